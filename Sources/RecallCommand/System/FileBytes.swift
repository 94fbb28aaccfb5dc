internal import Foundation

/// Reads a whole file of at most `limit` bytes. Errors name the file and the reason.
func readFile(_ path: String, limit: Int) throws(CommandError) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw CommandError("cannot read \(path)", errno: errno) }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(file, &buffer, buffer.count)
        if count == 0 { return bytes }
        guard count > 0 else {
            if errno == EINTR { continue }
            throw CommandError("cannot read \(path)", errno: errno)
        }
        guard bytes.count + count <= limit else { throw CommandError("\(path) is larger than \(limit) bytes") }
        bytes.append(contentsOf: buffer[..<count])
    }
}

/// Writes all bytes; throws the system's reason. `EPIPE` means that the reader has gone.
func writeAll(_ bytes: [UInt8], to file: Int32) throws(SystemFailure) {
    var written = 0
    while written < bytes.count {
        // Sound: `write` is told the length of what is left.
        let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        guard count >= 0 else {
            if errno == EINTR { continue }
            throw SystemFailure(code: errno)
        }
        written += count
    }
}

/// What the system answered.
struct SystemFailure: Error, Hashable, CustomStringConvertible {
    var code: Int32
    var description: String { String(cString: strerror(code)) }
}
