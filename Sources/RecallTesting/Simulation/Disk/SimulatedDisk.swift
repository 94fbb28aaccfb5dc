internal import Foundation

/// A folder whose files SQLite writes through here, so that what was not synced can be lost, torn and reordered.
///
/// The files are real; what the simulation adds is the memory of what they held at their last sync, and of every write
/// since. Confined to the simulation's thread.
final class SimulatedDisk: @unchecked Sendable {
    /// The files as a new process would find them.
    typealias Image = [String: [UInt8]]

    private struct Write {
        let offset: Int
        let before: [UInt8]
        /// Empty for a truncation, which `offset` is the length of.
        let after: [UInt8]
        let isTruncation: Bool
    }

    enum Operation { case write, sync, read }

    /// What a medium writes at once, or not at all.
    private static let sector = 512

    let folder: URL
    /// What is in the files that SQLite has open, and how often it has.
    private var contents: [String: (bytes: [UInt8], opened: Int)] = [:]
    /// Since each file's last sync, in order.
    private var unsynced: [String: [Write]] = [:]
    /// So many of the next writes and truncations fail.
    var failures = 0
    /// The next of these fails, and tells so.
    var failing: [Operation: () -> Void] = [:]
    private(set) var hasFailedSync = false
    /// True while nothing more fits.
    var isFull = false
    /// After so many writes the process dies; nil: it does not.
    private var writesLeft: Int?
    private var onDeath: () -> Void = {}
    /// What was there at that moment.
    private(set) var captured: Image?
    /// Told of everything that fails.
    var onFault: () -> Void = {}
    /// Told of what fails because of `failures` or `isFull`.
    var onOrderedFault: () -> Void = {}

    init(folder: URL, image: Image) throws {
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, bytes) in image.sorted(by: { $0.key < $1.key }) {
            try Data(bytes).write(to: folder.appending(path: name))
        }
    }

    // MARK: What SQLite does

    /// False if the write is to fail.
    func willWrite(_ name: String, at offset: Int, _ bytes: [UInt8]) -> Bool {
        guard !fails() else { return false }
        unsynced[name, default: []].append(
            Write(offset: offset, before: current(name, offset, bytes.count), after: bytes, isTruncation: false))
        return true
    }

    private func fails() -> Bool {
        if fails(.write) { return true }
        guard failures > 0 || isFull else { return false }
        failures = max(0, failures - 1)
        onOrderedFault()
        onFault()
        return true
    }

    private func fails(_ operation: Operation) -> Bool {
        guard let onFailure = failing.removeValue(forKey: operation) else { return false }
        onFailure()
        onFault()
        return true
    }

    /// False if the read is to fail.
    func willRead() -> Bool { !fails(.read) }

    func didWrite(_ name: String, at offset: Int, _ bytes: [UInt8]) {
        let end = offset + bytes.count
        let missing = end - (contents[name]?.bytes.count ?? end)
        if missing > 0 { contents[name]?.bytes.append(contentsOf: repeatElement(0, count: missing)) }
        contents[name]?.bytes.replaceSubrange(offset..<end, with: bytes)
        guard let left = writesLeft else { return }
        writesLeft = left > 0 ? left - 1 : nil
        guard left == 0, captured == nil else { return }
        captured = files()
        onDeath()
    }

    /// False if the truncation is to fail. On a full disk it does not.
    func willTruncate(_ name: String, to length: Int) -> Bool {
        guard failures == 0 else {
            failures -= 1
            onOrderedFault()
            onFault()
            return false
        }
        let rest = current(name, length, Int.max)
        unsynced[name, default: []].append(Write(offset: length, before: rest, after: [], isTruncation: true))
        if rest.count > 0 { contents[name]?.bytes.removeLast(rest.count) }
        return true
    }

    /// False if the sync fails: what was written since the last one may be on the medium or not.
    func sync(_ name: String) -> Bool {
        guard !fails(.sync) else {
            hasFailedSync = true
            return false
        }
        unsynced[name] = nil
        return true
    }
    func removed(_ name: String) { unsynced[name] = nil }

    func opened(_ name: String) {
        if contents[name] == nil { contents[name] = (read(name), 0) }
        contents[name]?.opened += 1
    }

    func closed(_ name: String) {
        guard let opened = contents[name]?.opened else { return }
        contents[name]?.opened = opened - 1
        if opened == 1 { contents[name] = nil }
    }

    private func read(_ name: String) -> [UInt8] {
        (try? Data(contentsOf: folder.appending(path: name))).map { [UInt8]($0) } ?? []
    }

    private func current(_ name: String, _ offset: Int, _ count: Int) -> [UInt8] {
        guard let bytes = contents[name]?.bytes, offset < bytes.count else { return [] }
        return Array(bytes[offset..<(offset + min(count, bytes.count - offset))])
    }

    // MARK: Deaths

    /// The process dies in the middle of a write, after so many more.
    func die(afterWrites count: Int, _ onDeath: @escaping () -> Void) { (writesLeft, self.onDeath) = (count, onDeath) }

    /// It does not, after all.
    func live() { if captured == nil { writesLeft = nil } }

    /// The files as they are now, or were when the process died in the middle of a write.
    func image(isPowerLoss: Bool, random: inout SeededGenerator) -> Image {
        var image = captured ?? files()
        guard isPowerLoss else { return image }
        for (name, writes) in unsynced.sorted(by: { $0.key < $1.key }) {
            guard let bytes = image[name] else { continue }
            image[name] = lose(writes, from: bytes, random: &random)
        }
        return image
    }

    func files() -> Image {
        var image: Image = [:]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        // The lock and the shared memory are the dead process's own.
        for name in names.sorted() where !name.hasSuffix("-shm") && !name.hasSuffix(".lock") {
            image[name] = contents[name]?.bytes ?? read(name)
        }
        return image
    }

    /// Back to the last sync, then forward again with any part of what was written since.
    private func lose(_ writes: [Write], from bytes: [UInt8], random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for write in writes.reversed() {
            if write.isTruncation {
                bytes = Array(bytes.prefix(write.offset)) + write.before
            } else {
                let end = min(bytes.count, write.offset + write.after.count)
                guard write.offset <= end else { continue }
                let isLast = end == bytes.count
                bytes.replaceSubrange(write.offset..<end, with: write.before)
                if isLast, write.before.count < write.after.count {
                    bytes.removeLast(max(0, bytes.count - write.offset - write.before.count))
                }
            }
        }
        // Often a beginning of them survives, sometimes any.
        let isOrdered = random.chance(60)
        let kept = Int.random(in: 0...writes.count, using: &random)
        for (index, write) in writes.enumerated() {
            if isOrdered ? index < kept : random.chance(50) {
                redo(write, &bytes, isTorn: false, &random)
            } else if isOrdered ? index == kept : random.chance(20) {
                redo(write, &bytes, isTorn: true, &random)
            }
        }
        return bytes
    }

    private func redo(_ write: Write, _ bytes: inout [UInt8], isTorn: Bool, _ random: inout SeededGenerator) {
        if write.isTruncation {
            if !isTorn { bytes = Array(bytes.prefix(write.offset)) }
            return
        }
        var start = 0
        while start < write.after.count {
            let end = min(write.after.count, (start / Self.sector + 1) * Self.sector)
            if !isTorn || random.chance(50) {
                let place = write.offset + start
                let length = write.offset + end
                if bytes.count < length { bytes += [UInt8](repeating: 0, count: length - bytes.count) }
                bytes.replaceSubrange(place..<length, with: write.after[start..<end])
            }
            start = end
        }
    }
}
