internal import Crypto

/// A replay written by hand: decode, verify, apply, over one array, on one core.
enum HandLoop {
    /// 64-byte messages after 4-byte lengths, and the seal of the last of them.
    struct History {
        var bytes: [UInt8]
        var count: Int
        var seal: SHA256.Digest
    }

    private static let vector = [UInt8](repeating: 3, count: 32)

    static func history(messages count: Int, bytes size: Int) -> History {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * (size + 4))
        for number in 0..<count {
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: size >> shift)) }
            for index in 0..<size { bytes.append(UInt8(truncatingIfNeeded: number &+ index)) }
        }
        let (seal, _) = walk(bytes)
        return History(bytes: bytes, count: count, seal: seal)
    }

    static func replay(_ history: History) throws -> Rate {
        let started = ContinuousClock.now
        let (seal, state) = walk(history.bytes)
        let seconds = (ContinuousClock.now - started).seconds
        guard seal == history.seal, state.count == UInt64(history.count) else { throw BenchError("a false replay") }
        return Rate(count: history.count, seconds: seconds)
    }

    private static func walk(_ bytes: [UInt8]) -> (SHA256.Digest, TallyState) {
        var state = TallyState()
        var seal = SHA256.hash(data: [])
        var offset = 0
        var number: UInt64 = 0
        bytes.withUnsafeBytes { raw in
            while offset + 4 <= raw.count {
                let size = Int(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                guard offset + 4 + size <= raw.count else { break }
                number += 1
                // What the protocol hashes for each message: vector, seal before, 18 bytes of header, content.
                var hash = SHA256()
                vector.withUnsafeBytes { hash.update(bufferPointer: $0) }
                seal.withUnsafeBytes { hash.update(bufferPointer: $0) }
                withUnsafeBytes(of: (number.bigEndian, UInt64(size), UInt16(0))) { header in
                    hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: header[0..<18]))
                }
                let content = UnsafeRawBufferPointer(rebasing: raw[(offset + 4)..<(offset + 4 + size)])
                hash.update(bufferPointer: content)
                seal = hash.finalize()
                state.count &+= 1
                state.sum &+= UInt64(content[0])
                offset += 4 + size
            }
        }
        return (seal, state)
    }
}
