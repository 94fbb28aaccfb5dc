package import RecallCore

/// The random numbers of one update: the same at every replay, and not to be guessed by the client beforehand.
///
/// The seed is 32 bytes: HMAC-SHA-256 under the session's random key, which servers alone can compute, of the update's
/// number. Block i (from 0) is SHA-256("rblk", 1, seed 32 bytes, i as 8 bytes big-endian). Each block gives four
/// numbers: bytes 0-7, 8-15, 16-23 and 24-31 as big-endian integers, in this order. That is fixed for ever, since
/// replays depend on it.
///
/// Nothing is computed until the first number is asked for. A copy continues on its own from where it was taken, and so
/// gives the same numbers as the original: pass it `inout`.
///
/// What `Int.random(in:using:)`, `shuffled(using:)` and their kin make of the numbers is the standard library's choice
/// and could change with it; where logs must outlive a toolchain, use `next()` and your own arithmetic.
public struct SessionRandom: RandomNumberGenerator, Sendable {
    private enum Seed: Sendable {
        case ready(Digest)
        case derivable(SessionKeys, SequenceNumber)
    }

    private let environment: ContextEnvironment
    private var seed: Seed
    private var counter: UInt64 = 0
    private var block = Digest()
    /// Numbers of `block` not given out yet.
    private var left = 0

    package init(environment: ContextEnvironment, seed: Digest) {
        self.environment = environment
        self.seed = .ready(seed)
    }

    package init(environment: ContextEnvironment, keys: SessionKeys, number: SequenceNumber) {
        self.environment = environment
        seed = .derivable(keys, number)
    }

    /// The next number of the stream.
    public mutating func next() -> UInt64 {
        if left == 0 { refill() }
        let offset = (4 - left) * 8
        left -= 1
        return block.withBytes { bytes in
            // Sound: a digest has 32 bytes, and the offset is 0, 8, 16 or 24.
            UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
    }

    private mutating func refill() {
        let cryptography = environment.cryptography
        let key: Digest
        switch seed {
        case .ready(let digest): key = digest
        case .derivable(let keys, let number):
            key = keys.randomSeed(at: number, cryptography)
            seed = .ready(key)
        }
        block = cryptography.randomBlock(counter, seed: key)
        counter &+= 1
        left = 4
    }
}
