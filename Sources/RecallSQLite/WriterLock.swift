internal import Recall
internal import RecallCore

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The right to write a log: an open-file-description lock on `FILE.lock`, which holds the writer's process id for
/// people.
///
/// Not on the log itself: SQLite's own locks there are per process, and closing any other descriptor of the file would
/// drop them. This kind of lock also excludes a second log in the same process, and the system lets it go when the
/// process dies, however it dies. The file stays when the lock is let go: removing it would let two writers lock two
/// files.
final class WriterLock {
    private let descriptor: Int32

    init(_ file: String) throws(RecallError) {
        let path = Self.path(file)
        let descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot create the writer's lock", path) }
        var request = Self.wholeFile()
        guard fcntl(descriptor, Self.set, &request) == 0 else {
            let reason = errno
            defer { close(descriptor) }
            guard reason == EAGAIN || reason == EACCES else { throw FileSystem.failure("cannot lock", path) }
            let holder = Self.holder(descriptor).map { "process \($0)" } ?? "another writer"
            throw RecallError(.logInUse, "\(file): \(holder) has this log open")
        }
        self.descriptor = descriptor
        // For people only, so a failure (a full disk) is no reason to refuse the lock.
        let line = "\(getpid())\n"
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, line, line.utf8.count, 0) }
    }

    deinit {
        // Unlocked, not just closed: a child process in the moment between its fork and its exec holds a copy of the
        // descriptor, and with it the lock.
        var request = Self.wholeFile(Int16(F_UNLCK))
        _ = fcntl(descriptor, Self.set, &request)
        close(descriptor)
    }

    /// The process that has a log open for writing: its id, or 0 if unknown; nil if none has. Takes no lock itself.
    static func writer(of file: String) -> Int32? {
        let descriptor = open(path(file), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var request = wholeFile()
        guard fcntl(descriptor, query, &request) == 0, request.l_type != Int16(F_UNLCK) else { return nil }
        return holder(descriptor) ?? 0
    }

    static func path(_ file: String) -> String { file + ".lock" }

    private static func wholeFile(_ type: Int16 = Int16(F_WRLCK)) -> flock {
        flock(l_type: type, l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
    }

    private static func holder(_ descriptor: Int32) -> Int32? {
        var text = [UInt8](repeating: 0, count: 16)
        // Sound: `pread` is told the array's length.
        let count = text.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        return Int32(String(decoding: text[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }

    // F_OFD_SETLK and F_OFD_GETLK, which not every C library's module shows to Swift.
    #if canImport(Darwin)
        private static let set: Int32 = 90
        private static let query: Int32 = 92
    #else
        private static let set: Int32 = 37
        private static let query: Int32 = 36
    #endif
}
