internal import RecallCore

// Unsigned LEB128: seven bits a byte, the lowest first, the highest bit set in all bytes but the last. Most numbers of
// an edit take one to three bytes this way.

extension ByteWriter {
    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            integer(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        integer(UInt8(truncatingIfNeeded: rest))
    }
}

extension ByteReader {
    /// Refuses what is over 64 bits, and longer forms than the shortest: a number has one encoding.
    mutating func varint() throws(WireError) -> UInt64 {
        var (value, shift): (UInt64, UInt64) = (0, 0)
        while true {
            let byte = try integer(UInt8.self)
            guard shift < 63 || byte <= 1 else { throw .malformed }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                guard byte != 0 || shift == 0 else { throw .malformed }
                return value
            }
            shift += 7
        }
    }
}
