internal import Recall
internal import RecallCore

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The few calls to the file system that SQLite does not make for us; all name the path in their errors.
enum FileSystem {
    /// The path with its directory resolved and its links followed, so that two names of one file share one lock.
    static func resolve(_ path: String) throws(RecallError) -> String {
        if let whole = canonical(path) {
            guard isFile(whole) else { throw RecallError(.logFailed, "\(path): not a regular file; left untouched") }
            return whole
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard let name = parts.last, !name.isEmpty, name != ".", name != ".." else {
            throw RecallError(.logFailed, "\(path): not the path of a file")
        }
        let directory = parts.count == 1 ? "." : parts.dropLast().joined(separator: "/") + "/"
        guard let whole = canonical(directory) else { throw failure("cannot find the directory of", path) }
        return whole == "/" ? "/\(name)" : "\(whole)/\(name)"
    }

    private static func canonical(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Not a directory, a device or a pipe, which a log's file would take the place of.
    private static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Bytes in a file; nil if there is none.
    static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// Creates an empty file that only its owner may read, since a log holds a session's secret.
    static func create(_ path: String) throws(RecallError) {
        let descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("cannot create", path) }
        close(descriptor)
    }

    static func move(_ path: String, to other: String) throws(RecallError) {
        guard rename(path, other) == 0 else { throw failure("cannot move to \(other)", path) }
    }

    static func remove(_ path: String) throws(RecallError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("cannot remove", path) }
    }

    /// Makes creations, moves and removals beside a file durable.
    static func syncDirectory(of path: String) throws(RecallError) {
        let directory = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
        let descriptor = open(directory.isEmpty ? "/" : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot open the directory of", path) }
        defer { close(descriptor) }
        // Some file systems cannot sync a directory and say so with EINVAL; there is nothing more to be had from them.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("cannot sync the directory of", path) }
    }

    static func failure(_ action: String, _ path: String) -> RecallError {
        RecallError(.logFailed, "\(path): \(action): \(String(cString: strerror(errno)))")
    }
}

/// A file read at chosen offsets.
final class InputFile {
    private let descriptor: Int32

    /// Nil if it cannot be opened.
    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Fills the buffer from an offset; false if the file ends before.
    func read(_ buffer: inout [UInt8], at offset: Int) -> Bool {
        var done = 0
        while done < buffer.count {
            let count = buffer.withUnsafeMutableBytes {
                // Sound: the system writes no more than the rest of the buffer.
                let rest = UnsafeMutableRawBufferPointer(rebasing: $0[done...])
                return pread(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            }
            guard count > 0 || (count < 0 && errno == EINTR) else { return false }
            done += max(0, count)
        }
        return true
    }
}
