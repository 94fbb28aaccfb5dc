internal import Crypto

/// What the protocol hashes for each message, written by hand: vector, seal before, 18 bytes of header, content. In one
/// piece, for each call of the library's hash costs some 300 instructions.
struct HandChain: Sendable {
    private static let before = 82
    private(set) var seal = SHA256.hash(data: [])
    private var number: UInt64 = 0
    private var piece = [UInt8](repeating: 3, count: Self.before + 256)

    mutating func add(_ content: UnsafeRawBufferPointer) {
        number += 1
        let (number, seal, count) = (number, seal, Self.before + content.count)
        if piece.count < count { piece += [UInt8](repeating: 0, count: count - piece.count) }
        self.seal = piece.withUnsafeMutableBytes { piece in
            // Sound: the piece is as long as all that is copied into it; slices are checked.
            seal.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: piece[32..<64]).copyMemory(from: $0) }
            piece.storeBytes(of: number.bigEndian, toByteOffset: 64, as: UInt64.self)
            piece.storeBytes(of: UInt64(content.count), toByteOffset: 72, as: UInt64.self)
            piece.storeBytes(of: 0, toByteOffset: 80, as: UInt16.self)
            UnsafeMutableRawBufferPointer(rebasing: piece[Self.before..<count]).copyMemory(from: content)
            var hash = SHA256()
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: piece[..<count]))
            return hash.finalize()
        }
    }
}

/// A replay written by hand: decode, verify, apply, over one array, on one core.
enum HandLoop {
    /// 64-byte messages after 4-byte lengths, and the seal of the last of them.
    struct History {
        var bytes: [UInt8]
        var count: Int
        var seal: SHA256.Digest
    }

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
        var chain = HandChain()
        var offset = 0
        bytes.withUnsafeBytes { raw in
            while offset + 4 <= raw.count {
                let size = Int(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                guard offset + 4 + size <= raw.count else { break }
                let content = UnsafeRawBufferPointer(rebasing: raw[(offset + 4)..<(offset + 4 + size)])
                chain.add(content)
                state.count &+= 1
                state.sum &+= UInt64(content[0])
                offset += 4 + size
            }
        }
        return (chain.seal, state)
    }
}
