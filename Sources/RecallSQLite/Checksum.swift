internal import RecallCore

/// XXH64 (xxhash.com, specification 0.1.1): finds bits that a disk flipped; no defence against an attacker, which the
/// hash chain is. Chosen over CRC-32C because it needs no tables and no processor instruction to run at memory speed.
package enum Checksum {
    private static let p1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let p2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let p3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let p4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let p5: UInt64 = 0x27D4_EB2F_1656_67C5

    package static func xxh64(_ raw: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var offset = 0
        var hash: UInt64
        if raw.count >= 32 {
            var (a, b, c, d) = (seed &+ p1 &+ p2, seed &+ p2, seed, seed &- p1)
            repeat {
                a = round(a, word(raw, offset))
                b = round(b, word(raw, offset + 8))
                c = round(c, word(raw, offset + 16))
                d = round(d, word(raw, offset + 24))
                offset += 32
            } while offset + 32 <= raw.count
            hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
            hash = merge(merge(merge(merge(hash, a), b), c), d)
        } else {
            hash = seed &+ p5
        }
        hash &+= UInt64(raw.count)
        // Sound: loads within the bounds, which are checked besides.
        while offset + 8 <= raw.count {
            hash = rotate(hash ^ round(0, word(raw, offset)), 27) &* p1 &+ p4
            offset += 8
        }
        if offset + 4 <= raw.count {
            let half = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            hash = rotate(hash ^ (UInt64(half) &* p1), 23) &* p2 &+ p3
            offset += 4
        }
        while offset < raw.count {
            hash = rotate(hash ^ (UInt64(raw[offset]) &* p5), 11) &* p1
            offset += 1
        }
        hash = (hash ^ (hash >> 33)) &* p2
        hash = (hash ^ (hash >> 29)) &* p3
        return hash ^ (hash >> 32)
    }

    // Sound: all offsets passed here are at most `count - 8`, and any bit pattern is an integer.
    private static func word(_ raw: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 { rotate(lane &+ word &* p2, 31) &* p1 }
    private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 { (hash ^ round(0, lane)) &* p1 &+ p4 }
}
