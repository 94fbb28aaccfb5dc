internal import Foundation
internal import RecallCore

/// The file that holds a root secret: 32 random bytes, for its owner's eyes only.
enum KeyFile {
    static let byteCount = 32

    /// Reads the secret. If there is no such file, makes it or says so. Never changes a file that exists.
    static func load(_ path: String, creating: Bool) throws(CommandError) -> (secret: Digest, isNew: Bool) {
        if let secret = try load(path) { return (secret, false) }
        guard creating else {
            throw CommandError(
                "there is no key file \(path). Make a further key with: (umask 077; head -c 32 /dev/urandom > \(path))")
        }
        let isNew = try create(path)
        guard let secret = try load(path) else { throw CommandError("\(path) is gone again, or leads nowhere") }
        return (secret, isNew)
    }

    /// Nil if there is no such file.
    private static func load(_ path: String) throws(CommandError) -> Digest? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // nobody may ever write to a pipe
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw CommandError("cannot read the key file \(path)", errno: errno)
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw CommandError("cannot read the key file \(path)", errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError("the key file \(path) is not a regular file")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw CommandError(
                "the key file \(path) can be read or written by others (mode "
                    + String(status.st_mode & 0o777, radix: 8) + "); run: chmod 600 \(path)")
        }
        guard status.st_size == byteCount else {
            throw CommandError(
                "the key file \(path) has \(status.st_size) bytes, not \(byteCount): it is no key of recall, or was "
                    + "cut. Restore it from a backup: sessions under a lost key cannot be recalled. For a new key name "
                    + "another file."
            )
        }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        guard read(file, &bytes, byteCount) == byteCount, let secret = Digest(bytes) else {
            throw CommandError("cannot read the key file \(path)", errno: errno)
        }
        return secret
    }

    /// Makes the file whole or not at all: of two servers that start at once, both get the same key. False if somebody
    /// else was first.
    private static func create(_ path: String) throws(CommandError) -> Bool {
        let draft = "\(path).new-\(getpid())"
        unlink(draft)  // of an earlier process with the same id
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw CommandError("cannot make the key file \(path)", errno: errno) }
        defer { unlink(draft) }
        do {
            defer { close(file) }
            try writeAll(randomBytes(), to: file)
            guard fsync(file) == 0 else { throw SystemFailure(code: errno) }
        } catch {
            throw CommandError("cannot write the key file \(path): \(error)")
        }
        guard link(draft, path) == 0 else {
            if errno == EEXIST { return false }
            throw CommandError("cannot make the key file \(path)", errno: errno)
        }
        return true
    }

    /// From the system's source for cryptographic use.
    static func randomBytes() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}
