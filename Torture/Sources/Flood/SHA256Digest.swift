/// SHA-256 (FIPS 180-4), for seals: the rig borrows none of the tool's code, and few bytes are hashed.
enum SHA256Digest {
    private static let constants: [UInt32] = {
        // The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
        primes(64).map { fraction(of: Double($0), root: cubeRoot) }
    }()

    private static let initial: [UInt32] = primes(8).map { fraction(of: Double($0), root: { $0.squareRoot() }) }

    static func of(_ message: [UInt8]) -> [UInt8] {
        var state = initial
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        var length = FrameWriter()
        length.integer(UInt64(message.count) * 8)
        padded += length.bytes
        for start in stride(from: 0, to: padded.count, by: 64) { compress(padded[start..<start + 64], &state) }
        var digest = FrameWriter()
        for word in state { digest.integer(word) }
        return digest.bytes
    }

    private static func compress(_ block: ArraySlice<UInt8>, _ state: inout [UInt32]) {
        var words = stride(from: block.startIndex, to: block.endIndex, by: 4).map { place in
            block[place..<place + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for place in 16..<64 {
            let (early, late) = (words[place - 15], words[place - 2])
            let first = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
            let second = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
            words.append(words[place - 16] &+ first &+ words[place - 7] &+ second)
        }
        var v = state
        for place in 0..<64 {
            let choice = v[4] & v[5] ^ ~v[4] & v[6]
            let sum = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)
            let first = v[7] &+ sum &+ choice &+ constants[place] &+ words[place]
            let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
            let second = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) &+ majority
            v = [first &+ second, v[0], v[1], v[2], v[3] &+ first, v[4], v[5], v[6]]
        }
        for place in 0..<8 { state[place] &+= v[place] }
    }

    private static func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }

    private static func primes(_ count: Int) -> [Int] {
        var primes: [Int] = []
        var candidate = 2
        while primes.count < count {
            if !primes.contains(where: { candidate % $0 == 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes
    }

    private static func cubeRoot(_ value: Double) -> Double {
        var root = 1.0
        for _ in 0..<200 { root -= (root * root * root - value) / (3 * root * root) }
        return root
    }

    private static func fraction(of value: Double, root: (Double) -> Double) -> UInt32 {
        let exact = root(value)
        return UInt32((exact - exact.rounded(.down)) * 4_294_967_296)
    }
}
