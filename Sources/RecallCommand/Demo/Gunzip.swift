internal import CZlib

/// Why a file could not be unpacked.
package struct GunzipError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
}

/// Whether bytes begin as a gzip file does (RFC 1952, section 2.3.1).
package func isGzip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1f, 0x8b]) }

/// Unpacks a gzip file of one or several members, to at most `limit` bytes.
package func gunzip(_ packed: [UInt8], limit: Int) throws(GunzipError) -> [UInt8] {
    guard packed.count <= Int(UInt32.max) else { throw GunzipError(description: "a gzip file of more than 4 GiB") }
    var stream = z_stream()
    // 15 bits of window, and 16 for "the gzip format only".
    let opened = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard opened == Z_OK else { throw GunzipError(description: "zlib cannot start (\(opened))") }
    defer { inflateEnd(&stream) }

    var input = packed
    var output = [UInt8](repeating: 0, count: 1 << 18)
    var plain: [UInt8] = []
    var problem: GunzipError?
    // Sound: both buffers are there while zlib reads and writes them, and it is told their lengths.
    input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            problem = inflateAll(&stream, into: output, limit: limit, &plain)
        }
    }
    if let problem { throw problem }
    return plain
}

/// Runs the stream to the end of its input, one buffer of output after the other. Bounded: every turn writes at least
/// one byte, ends a member of at least 18 bytes, or is the last.
private func inflateAll(
    _ stream: inout z_stream, into output: UnsafeMutableBufferPointer<UInt8>, limit: Int, _ plain: inout [UInt8]
) -> GunzipError? {
    while true {
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        let status = inflate(&stream, Z_NO_FLUSH)
        let written = output.count - Int(stream.avail_out)
        guard plain.count + written <= limit else {
            return GunzipError(description: "unpacks to more than \(limit) bytes")
        }
        plain.append(contentsOf: output[..<written])
        switch status {
        case Z_OK where written > 0: continue
        case Z_OK, Z_BUF_ERROR: return GunzipError(description: "the gzip file is cut short")
        case Z_STREAM_END:
            if stream.avail_in == 0 { return nil }
            guard inflateReset(&stream) == Z_OK else { return GunzipError(description: "zlib cannot go on") }
        default:
            let reason = stream.msg.map { String(cString: $0) } ?? "status \(status)"
            return GunzipError(description: "not a sound gzip file: \(reason)")
        }
    }
}
