/// Finds places by their sessions' names: a hash table of four bytes a bucket, since the places know their names.
/// A dictionary would hold each name a second time.
///
/// Linear probing, at most three quarters full; removal moves followers back, so there are no tombstones. Hashes are
/// seeded anew in each process, so that no peer can choose names that collide.
struct SessionIndex {
    /// A place's index plus one; zero is free. A power of two of them, or none.
    private var buckets: [UInt32] = []
    private(set) var count = 0

    /// - Parameter places: what the index was filled from, here and below.
    func place(of session: SessionID, in places: [SessionPlace?]) -> SessionPlace? {
        guard !buckets.isEmpty else { return nil }
        let bucket = bucket(of: session, in: places)
        return buckets[bucket] == 0 ? nil : places[Int(buckets[bucket]) - 1]
    }

    /// Adds a place whose session has none yet.
    mutating func insert(_ place: SessionPlace, in places: [SessionPlace?]) {
        if (count + 1) * 4 > buckets.count * 3 { grow(places) }
        buckets[bucket(of: place.session, in: places)] = UInt32(truncatingIfNeeded: place.id.index + 1)
        count += 1
    }

    /// Forgets a place that is still among the places.
    mutating func remove(_ place: SessionPlace, in places: [SessionPlace?]) {
        guard !buckets.isEmpty else { return }
        var hole = bucket(of: place.session, in: places)
        guard buckets[hole] != 0 else { return }
        count -= 1
        var next = following(hole)
        while buckets[next] != 0, let other = places[Int(buckets[next]) - 1] {
            // It may fill the hole unless its own bucket lies behind that.
            let home = home(of: other.session)
            if distance(from: home, to: next) >= distance(from: hole, to: next) {
                buckets[hole] = buckets[next]
                hole = next
            }
            next = following(next)
        }
        buckets[hole] = 0
    }

    /// Where a session is, or the free bucket where it would be. There must be buckets.
    private func bucket(of session: SessionID, in places: [SessionPlace?]) -> Int {
        var bucket = home(of: session)
        while buckets[bucket] != 0, places[Int(buckets[bucket]) - 1]?.session != session { bucket = following(bucket) }
        return bucket
    }

    private mutating func grow(_ places: [SessionPlace?]) {
        let former = buckets
        buckets = Array(repeating: 0, count: max(8, former.count * 2))
        for entry in former where entry != 0 {
            guard let place = places[Int(entry) - 1] else { continue }
            buckets[bucket(of: place.session, in: places)] = entry
        }
    }

    private func home(of session: SessionID) -> Int { session.hashValue & (buckets.count - 1) }
    private func following(_ bucket: Int) -> Int { (bucket + 1) & (buckets.count - 1) }
    private func distance(from: Int, to: Int) -> Int { (to - from) & (buckets.count - 1) }
}
