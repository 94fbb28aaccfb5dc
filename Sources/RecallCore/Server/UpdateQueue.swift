/// A run of updates whose seals were verified on arrival.
package struct SealedRun: Sendable {
    /// The contents, end to end, each after its 4-byte length.
    private let bytes: [UInt8]
    private let offsets: [Int]
    package let seals: [Digest]
    package let first: SequenceNumber
    /// How many of them were dealt with.
    package var done = 0

    package var count: Int { seals.count }
    package var byteCount: Int { bytes.count }

    /// Splits `raw` and computes the chain after `previous`; nil if the last seal is not `expected`.
    package init?(
        _ raw: RawSpan, first: SequenceNumber, after previous: Digest, expected: Digest, _ sealer: Sealer
    ) throws(WireError) {
        var reader = ByteReader(raw)
        var offsets: [Int] = []
        var seals: [Digest] = []
        var seal = previous
        var number = first
        while reader.remaining > 0 {
            offsets.append(raw.byteCount - reader.remaining)
            let content = try reader.block(limit: WireLimits.message)
            guard content.byteCount > 0, seals.count < WireLimits.windowMessages else { throw .malformed }
            seal = sealer.seal(.update, content, number: number, after: seal)
            seals.append(seal)
            number = number.next
        }
        guard !seals.isEmpty else { throw .malformed }
        guard seal == expected else { return nil }
        (self.bytes, self.offsets, self.seals, self.first) = (raw.array, offsets, seals, first)
    }

    /// Number, seal and content of the next one to deal with.
    package func withNext<R, E: Error>(
        _ body: (SequenceNumber, Digest, RawSpan) throws(E) -> R
    ) throws(E) -> R {
        let start = offsets[done] + 4
        let end = done + 1 < offsets.count ? offsets[done + 1] : bytes.count
        return try body(first.advanced(by: done), seals[done], bytes.span.bytes.extracting(start..<end))
    }
}

/// What waits for its turn in one session: updates and requests in the order in which they came.
package struct UpdateQueue: Sendable {
    package enum Item: Sendable {
        case run(SealedRun)
        case request(RequestID, number: SequenceNumber, content: [UInt8])
    }
    private var items = Fifo<Item>()
    /// Updates and requests that wait, and their bytes.
    package private(set) var updates = 0, requests = 0, bytes = 0

    package init() {}

    package var isEmpty: Bool { items.isEmpty }

    package mutating func append(_ item: Item) {
        switch item {
        case .run(let run):
            updates += run.count
            bytes += run.byteCount
        case .request(_, _, let content):
            requests += 1
            bytes += content.count
        }
        items.append(item)
    }

    /// The item whose turn it is. A run stays until all its updates are done.
    package mutating func takeFirst() -> Item? {
        guard let item = items.popFirst() else { return nil }
        items.trim()
        switch item {
        case .run(let run):
            updates -= run.count - run.done
            bytes -= run.byteCount
        case .request(_, _, let content):
            requests -= 1
            bytes -= content.count
        }
        return item
    }

    /// Puts a run back that has updates left.
    package mutating func putBack(_ run: SealedRun) {
        updates += run.count - run.done
        bytes += run.byteCount
        items.putBack(.run(run))
    }

    package mutating func removeAll() { self = UpdateQueue() }
}
