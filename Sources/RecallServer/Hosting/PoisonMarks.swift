package import Recall
package import RecallCore

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Remembers, in memory that outlives the process, which updates are being applied; and counts the deaths they caused.
/// Requests too: their number is 0, and the digest of their content is their seal.
///
/// A small file, mapped shared: a store into it survives a crash of the process without any system call. Layout: a
/// header of 64 bytes, which begins with a name and a version of the layout; then 64-byte records, the first 256 for
/// updates under way, the others for suspects. Record: state (1: under way, 2: suspect, 3: an
/// effect under way whose copy is gone), deaths, deaths while the effect was out, a byte free, then 4
/// bytes free, number 8, session 16, seal 32; host byte order, since it never leaves it.
package final class PoisonMarks {
    package struct Suspect: Hashable {
        package var session: SessionID
        package var number: SequenceNumber
        package var seal: Digest
        /// While the update itself was being applied.
        package var deaths: UInt8
        /// While its effect was out.
        package var effectDeaths: UInt8 = 0

        package var allDeaths: Int { Int(deaths) + Int(effectDeaths) }
    }

    private static let recordBytes = 64
    private static let runs = 256
    private static let suspectPlaces = 768
    private static let recordsBytes = recordBytes * (runs + suspectPlaces)
    private static let fileBytes = headerBytes + recordsBytes
    private static let headerBytes = 64
    /// What every poison file begins with; the byte after it is the layout's version.
    private static let magic = Array("recall poison\n".utf8)
    private static let version: UInt8 = 1

    /// All records, mapped from the file for as long as this object lives. Sound: places are below their number, and
    /// fields within one. Without a file there is room for one, and none is read or written.
    private let records: UnsafeMutableRawBufferPointer
    /// The mapped file, open for its lock; nil without one.
    private let file: CInt?
    private let limit: Int
    package private(set) var suspects: [Suspect] = []
    /// Places of effects that are out, by the copy that sent them; index 0 is for the update that is being applied on
    /// the loop.
    private var places: [Incarnation: Int] = [:]
    private var free: [Int]

    /// - Parameter path: nil keeps the marks in plain memory: deaths of the process are then not seen.
    package init(path: String?, deaths: Int) throws(RecallError) {
        limit = max(1, deaths)
        free = Array((1..<Self.runs).reversed())
        if let path {
            let (file, records) = try Self.map(path)
            self.file = file
            self.records = records
            adopt()
        } else {
            records = .allocate(byteCount: Self.recordBytes, alignment: 8)
            records.initializeMemory(as: UInt8.self, repeating: 0)
            file = nil
        }
    }

    /// An orderly end is no death, whatever is out; and another may use the file now.
    package func end() {
        guard let file else { return }
        for place in places.values { records[place * Self.recordBytes] = 0 }
        places = [:]
        flock(file, LOCK_UN)
    }

    deinit {
        // Sound: what `init` allocated or mapped, and nobody else holds.
        guard let file else { return records.deallocate() }
        munmap(records.baseAddress?.advanced(by: -Self.headerBytes), Self.fileBytes)
        Self.release(file)
    }

    private static func map(_ path: String) throws(RecallError) -> (CInt, UnsafeMutableRawBufferPointer) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path) }
        // Held until the file is closed.
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            defer { close(file) }
            guard errno == EWOULDBLOCK else { throw failure(path) }
            throw RecallError(.misconfigured, "the poison file \(path) is in use by another process")
        }
        do throws(RecallError) {
            try claim(file, path)
            guard Self.reserve(file),
                let base = mmap(nil, fileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), base != MAP_FAILED
            else { throw failure(path) }
            // Sound: so many bytes are mapped and reserved on the disk, until the marks are gone.
            return (file, UnsafeMutableRawBufferPointer(start: base + headerBytes, count: recordsBytes))
        } catch {
            release(file)
            throw error
        }
    }

    /// Unlocked, not just closed: a child process in the moment between its fork and its exec holds a copy of the
    /// descriptor, and with it the lock.
    private static func release(_ file: CInt) {
        flock(file, LOCK_UN)
        close(file)
    }

    /// Sees that the file is a poison file, or makes it one if it is empty. Never over something else, a key file least
    /// of all.
    private static func claim(_ file: CInt, _ path: String) throws(RecallError) {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure(path) }
        let header = magic + [version] + [UInt8](repeating: 0, count: headerBytes - magic.count - 1)
        if status.st_size == 0 {
            // The header before the records, in one piece: a process that dies here leaves a file that is taken again.
            guard pwrite(file, header, headerBytes, 0) == headerBytes else { throw failure(path) }
            return
        }
        var found = [UInt8](repeating: 0, count: headerBytes)
        guard pread(file, &found, headerBytes, 0) >= 0 else { throw failure(path) }
        let size = Int(status.st_size)
        let isWhole = size == headerBytes || size == fileBytes
        guard found.starts(with: magic), size >= headerBytes, isWhole || found != header else {
            throw RecallError(
                .misconfigured, "\(path) is not a poison file: name one that does not exist, and it is made")
        }
        guard found == header else {
            let what = found[magic.count] == version ? "damaged" : "of version \(found[magic.count]), not \(version)"
            throw RecallError(.misconfigured, "\(path) is a poison file \(what): remove it, or name another")
        }
    }

    /// Gives the file its size and its room on the disk: a store into a page that the disk has no room for would trap.
    private static func reserve(_ file: CInt) -> Bool {
        #if canImport(Darwin)
            return ftruncate(file, off_t(fileBytes)) == 0
        #else
            let code = posix_fallocate(file, 0, off_t(fileBytes))
            if code != 0 { errno = code }
            return code == 0
        #endif
    }

    private static func failure(_ path: String) -> RecallError {
        RecallError(.misconfigured, "the poison file \(path) cannot be used: \(String(cString: strerror(errno)))")
    }

    /// What an earlier process left: what was under way when it died is a suspect now. An update that was being applied
    /// is the likely cause, as that takes microseconds; without one it is the effects that were out, and first of all
    /// those that a deadline had given up, since others went out beside them. Who is suspected wrongly gains no more
    /// deaths by going out alone, and it takes several before an update is given up.
    private func adopt() {
        var found: [Suspect] = []
        let wasApplying = read(0) != nil
        let hadOutlived = (1..<Self.runs).contains { read($0)?.state == 3 }
        // The old ones first, since the last are kept.
        let order = Array(Self.runs..<(Self.runs + Self.suspectPlaces)) + Array(0..<Self.runs)
        for index in order {
            guard let (state, suspect) = read(index) else { continue }
            if index > 0, index < Self.runs, wasApplying || (hadOutlived && state != 3) { continue }
            // One death, however many runs of the same update were out: a mark says how many there were before it.
            let deaths = state != 2 && index == 0 ? suspect.deaths + 1 : suspect.deaths
            let effectDeaths = state != 2 && index > 0 ? suspect.effectDeaths + 1 : suspect.effectDeaths
            if let place = found.firstIndex(where: {
                $0.session == suspect.session && $0.number == suspect.number && $0.seal == suspect.seal
            }) {
                found[place].deaths = max(found[place].deaths, deaths)
                found[place].effectDeaths = max(found[place].effectDeaths, effectDeaths)
            } else {
                var new = suspect
                (new.deaths, new.effectDeaths) = (deaths, effectDeaths)
                found.append(new)
            }
        }
        records.initializeMemory(as: UInt8.self, repeating: 0)
        for suspect in found.suffix(Self.suspectPlaces) { remember(suspect) }
    }

    private func read(_ index: Int) -> (state: UInt8, Suspect)? {
        let offset = index * Self.recordBytes
        let state = records[offset]
        guard (1...3).contains(state) else { return nil }
        let base = UnsafeRawBufferPointer(records)
        // Sound: every field lies within the record, and any bits are valid for its type.
        let seal = Digest(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: base[(offset + 32)..<(offset + 64)])))
        return (
            state,
            Suspect(
                session: SessionID(
                    high: base.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self),
                    low: base.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)),
                number: SequenceNumber(base.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)),
                seal: seal ?? Digest(), deaths: min(records[offset + 1], 250),
                effectDeaths: min(records[offset + 2], 250))
        )
    }

    private func write(_ index: Int, state: UInt8, _ suspect: Suspect) {
        // Sound: slots are below the number of records, and all accesses are checked against the mapping's length.
        let offset = index * Self.recordBytes
        records[offset] = 0
        (records[offset + 1], records[offset + 2]) = (suspect.deaths, suspect.effectDeaths)
        records.storeBytes(of: suspect.number.rawValue, toByteOffset: offset + 8, as: UInt64.self)
        records.storeBytes(of: suspect.session.high, toByteOffset: offset + 16, as: UInt64.self)
        records.storeBytes(of: suspect.session.low, toByteOffset: offset + 24, as: UInt64.self)
        suspect.seal.withBytes { raw in
            raw.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: records[(offset + 32)..<(offset + 64)]).copyMemory(from: bytes)
            }
        }
        records[offset] = state
    }

    private func remember(_ suspect: Suspect) {
        if let place = suspects.firstIndex(where: {
            $0.session == suspect.session && $0.number == suspect.number && $0.seal == suspect.seal
        }) {
            suspects[place] = suspect
        } else {
            if suspects.count == Self.suspectPlaces { suspects.removeFirst() }
            suspects.append(suspect)
        }
        if file != nil { rewriteSuspects() }
    }

    private func rewriteSuspects() {
        for (place, suspect) in suspects.enumerated() {
            write(Self.runs + place, state: 2, suspect)
        }
    }

    // MARK: Updates under way

    /// An update is being applied on the loop.
    package func updateBegins(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        guard file != nil else { return }
        write(0, state: 1, suspect(session, number, seal))
    }

    package func updateEnded() {
        if file != nil { records[0] = 0 }
    }

    /// An update's effect goes out. The mark stays until `effectEnded`, though the copy may be deleted before.
    package func effectBegins(_ copy: Incarnation, _ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        guard file != nil, places[copy] == nil else { return }
        guard let place = free.popLast() else { return }  // more effects out than places: these go unmarked
        places[copy] = place
        write(place, state: 1, suspect(session, number, seal))
    }

    /// The copy is gone, and its effect goes on.
    package func effectOutlives(_ copy: Incarnation) {
        guard file != nil, let place = places[copy] else { return }
        records[place * Self.recordBytes] = 3
    }

    package func effectEnded(_ copy: Incarnation) {
        guard file != nil, let place = places.removeValue(forKey: copy) else { return }
        records[place * Self.recordBytes] = 0
        free.append(place)
    }

    // MARK: Suspects

    /// The update broke its copy: counted as a death.
    package func died(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        var suspect = suspect(session, number, seal)
        suspect.deaths = min(250, suspect.deaths) + 1
        remember(suspect)
    }

    /// True if the process died, once at least, while it was under way.
    func isSuspect(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) -> Bool {
        suspect(session, number, seal).allDeaths > 0
    }

    /// True if deaths of the process are seen.
    var areKept: Bool { file != nil }

    /// True while nothing is remembered and nothing is to be: most servers, all the time.
    var areIdle: Bool { file == nil && suspects.isEmpty }

    var hasSuspects: Bool { !suspects.isEmpty }

    /// True if it has caused as many deaths as are put up with. A replay needs no effect, so that one's do not count.
    package func isPoisoned(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest, isReplay: Bool) -> Bool {
        guard !suspects.isEmpty else { return false }
        let suspect = suspect(session, number, seal)
        return (isReplay ? Int(suspect.deaths) : suspect.allDeaths) >= limit
    }

    /// It ended without a death: it was suspected wrongly, or its cause is gone.
    package func survived(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        guard
            let place = suspects.firstIndex(where: { $0.session == session && $0.number == number && $0.seal == seal })
        else { return }
        suspects.remove(at: place)
        guard file != nil else { return }
        rewriteSuspects()  // first, so that a death in between loses none: one that stands twice counts once
        records[(Self.runs + suspects.count) * Self.recordBytes] = 0
    }

    /// What is held against an update: nothing, mostly.
    private func suspect(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) -> Suspect {
        suspects.first { $0.session == session && $0.number == number && $0.seal == seal }
            ?? Suspect(session: session, number: number, seal: seal, deaths: 0)
    }
}
