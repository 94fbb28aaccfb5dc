internal import CSQLite
internal import Foundation
internal import Synchronization

/// An SQLite file system that passes everything on to the system's own, and tells the simulated disks of what is
/// written to their folders.
///
/// It becomes the process's default one, since the log under test opens its files as it always does, and stays it;
/// files elsewhere do not notice. `Simulation` says so to its users. https://sqlite.org/vfs.html
enum SimulatedFiles {
    /// What SQLite's file begins with here; the system's own follows after `offset`.
    private struct File {
        var methods: UnsafePointer<sqlite3_io_methods>?
        var record: Unmanaged<Record>?
    }

    /// An open file of a simulated disk.
    fileprivate final class Record {
        let disk: SimulatedDisk
        let name: String
        init(_ disk: SimulatedDisk, _ name: String) { (self.disk, self.name) = (disk, name) }
    }

    private static let offset = 64
    private static let disks = Mutex<[String: SimulatedDisk]>([:])

    /// Registers the file system, once in a process. False if SQLite refuses.
    private static let isRegistered: Bool = register()

    /// From now on what SQLite writes into the disk's folder is seen by it. Throws away nothing: `remove` it later.
    static func add(_ disk: SimulatedDisk) -> Bool {
        disks.withLock { $0[disk.folder.path] = disk }
        return isRegistered
    }

    static func remove(_ disk: SimulatedDisk) { disks.withLock { $0[disk.folder.path] = nil } }

    private static func find(_ path: String) -> Record? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let folder = String(path[..<slash])
        guard let disk = disks.withLock({ $0[folder] }) else { return nil }
        return Record(disk, String(path[path.index(after: slash)...]))
    }

    // MARK: The file system

    // Sound, all three: set once, before a file is opened, and never given back.
    private nonisolated(unsafe) static var base: UnsafeMutablePointer<sqlite3_vfs>?
    private nonisolated(unsafe) static let own = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    private nonisolated(unsafe) static let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)

    // Sound: SQLite gives each open file `szOsFile` bytes, which are those of `File` and behind them, at `offset`, what
    // the system's own file system asks for; it hands them back to these functions alone, until it has closed the file.
    // No two threads use a file at once.
    private static func register() -> Bool {
        guard let found = sqlite3_vfs_find(nil) else { return false }
        base = found
        own.initialize(to: found.pointee)
        own.pointee.szOsFile = Int32(offset) + found.pointee.szOsFile
        own.pointee.pNext = nil
        own.pointee.zName = UnsafePointer(strdup("recall-simulation"))
        own.pointee.xOpen = { _, name, file, flags, outFlags in SimulatedFiles.open(name, file, flags, outFlags) }
        own.pointee.xDelete = { _, name, syncs in
            if let name, let record = SimulatedFiles.find(String(cString: name)) { record.disk.removed(record.name) }
            return SimulatedFiles.base?.pointee.xDelete?(SimulatedFiles.base, name, syncs) ?? SQLITE_ERROR
        }
        methods.initialize(to: ioMethods())
        return sqlite3_vfs_register(own, 1) == SQLITE_OK
    }

    private static func open(
        _ name: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let base, let file, let xOpen = base.pointee.xOpen else { return SQLITE_ERROR }
        guard let name, let record = find(String(cString: name)) else {
            return xOpen(base, name, file, flags, outFlags)
        }
        let result = xOpen(base, name, real(file), flags, outFlags)
        let raw = UnsafeMutableRawPointer(file)
        guard result == SQLITE_OK else {
            raw.storeBytes(of: nil, as: UnsafePointer<sqlite3_io_methods>?.self)
            return result
        }
        raw.initializeMemory(
            as: File.self,
            to: File(methods: UnsafePointer(methods), record: Unmanaged.passRetained(record)))
        record.disk.opened(record.name)
        return result
    }

    fileprivate static func real(_ file: UnsafeMutablePointer<sqlite3_file>) -> UnsafeMutablePointer<sqlite3_file> {
        (UnsafeMutableRawPointer(file) + offset).assumingMemoryBound(to: sqlite3_file.self)
    }

    fileprivate static func record(_ file: UnsafeMutablePointer<sqlite3_file>) -> Record? {
        UnsafeMutableRawPointer(file).assumingMemoryBound(to: File.self).pointee.record?.takeUnretainedValue()
    }

    fileprivate static func release(_ file: UnsafeMutablePointer<sqlite3_file>) {
        let header = UnsafeMutableRawPointer(file).assumingMemoryBound(to: File.self)
        if let record = header.pointee.record?.takeUnretainedValue() { record.disk.closed(record.name) }
        header.pointee.record?.release()
        header.pointee.record = nil
    }
}

extension SimulatedFiles {
    private typealias Methods = UnsafePointer<sqlite3_io_methods>

    /// The system's own file and what it can do; nil if it is not open.
    fileprivate static func below(
        _ file: UnsafeMutablePointer<sqlite3_file>?
    ) -> (UnsafeMutablePointer<sqlite3_file>, sqlite3_io_methods)? {
        guard let file else { return nil }
        let below = real(file)
        guard let methods = below.pointee.pMethods else { return nil }
        return (below, methods.pointee)
    }

    private static func ioMethods() -> sqlite3_io_methods {
        var methods = sqlite3_io_methods()
        methods.iVersion = 3
        addWriting(&methods)
        methods.xRead = { file, bytes, count, place in
            guard let file, let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            if SimulatedFiles.record(file)?.disk.willRead() == false { return SQLITE_IOERR | (1 << 8) }
            return call.xRead?(below, bytes, count, place) ?? SQLITE_IOERR
        }
        methods.xFileSize = { file, size in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xFileSize?(below, size) ?? SQLITE_IOERR
        }
        methods.xFileControl = { file, what, argument in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xFileControl?(below, what, argument) ?? SQLITE_NOTFOUND
        }
        methods.xSectorSize = { file in
            guard let (below, call) = SimulatedFiles.below(file) else { return 0 }
            return call.xSectorSize?(below) ?? 0
        }
        methods.xDeviceCharacteristics = { file in
            guard let (below, call) = SimulatedFiles.below(file) else { return 0 }
            return call.xDeviceCharacteristics?(below) ?? 0
        }
        addLocking(&methods)
        return methods
    }

    private static func addWriting(_ methods: inout sqlite3_io_methods) {
        methods.xClose = { file in
            guard let file, let (below, call) = SimulatedFiles.below(file) else { return SQLITE_OK }
            SimulatedFiles.release(file)
            return call.xClose?(below) ?? SQLITE_OK
        }
        methods.xWrite = { file, bytes, count, place in
            guard let file, let (below, call) = SimulatedFiles.below(file), let record = SimulatedFiles.record(file)
            else { return SQLITE_IOERR }
            // Sound: SQLite has so many bytes there for the time of the call.
            let array = Array(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
            guard record.disk.willWrite(record.name, at: Int(place), array) else {
                return record.disk.isFull ? SQLITE_FULL : SQLITE_IOERR | (3 << 8)
            }
            let result = call.xWrite?(below, bytes, count, place) ?? SQLITE_IOERR
            record.disk.didWrite(record.name, at: Int(place), array)
            return result
        }
        methods.xTruncate = { file, length in
            guard let file, let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            if let record = SimulatedFiles.record(file), !record.disk.willTruncate(record.name, to: Int(length)) {
                return SQLITE_IOERR | (6 << 8)
            }
            return call.xTruncate?(below, length) ?? SQLITE_IOERR
        }
        methods.xSync = { file, flags in
            guard let file, let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            // The simulated medium is what it is told to be: the real one need not be bothered.
            if let record = SimulatedFiles.record(file) {
                return record.disk.sync(record.name) ? SQLITE_OK : SQLITE_IOERR | (4 << 8)
            }
            return call.xSync?(below, flags) ?? SQLITE_IOERR
        }
    }

    private static func addLocking(_ methods: inout sqlite3_io_methods) {
        methods.xLock = { file, level in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xLock?(below, level) ?? SQLITE_IOERR
        }
        methods.xUnlock = { file, level in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xUnlock?(below, level) ?? SQLITE_IOERR
        }
        methods.xCheckReservedLock = { file, result in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xCheckReservedLock?(below, result) ?? SQLITE_IOERR
        }
        methods.xShmMap = { file, region, size, extends, pointer in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xShmMap?(below, region, size, extends, pointer) ?? SQLITE_IOERR
        }
        methods.xShmLock = { file, place, count, flags in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xShmLock?(below, place, count, flags) ?? SQLITE_IOERR
        }
        methods.xShmBarrier = { file in
            if let (below, call) = SimulatedFiles.below(file) { call.xShmBarrier?(below) }
        }
        methods.xShmUnmap = { file, deletes in
            guard let (below, call) = SimulatedFiles.below(file) else { return SQLITE_IOERR }
            return call.xShmUnmap?(below, deletes) ?? SQLITE_IOERR
        }
        methods.xFetch = { _, _, _, pointer in
            pointer?.pointee = nil
            return SQLITE_OK
        }
        methods.xUnfetch = { _, _, _ in SQLITE_OK }
    }
}
