internal import Foundation

/// SplitMix64: the same seed draws the same faults, on every machine.
struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// - Parameter stream: whose draws these are; each has its own.
    init(seed: UInt64, stream: UInt64) {
        state = seed
        state = next() ^ (stream &* 0xd6e8_feb8_6659_fd93)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }

    /// As often between 0.1 and 1 as between 1 and 10.
    mutating func logUniform(_ range: ClosedRange<Double>) -> Double {
        let (low, high) = (log(range.lowerBound), log(range.upperBound))
        return exp(Double.random(in: low...high, using: &self))
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &self) }
}

/// Goes over a range of seconds: on a logarithmic scale every part of it gets its share, however early one stops.
struct Sweep: Sendable {
    private let range: ClosedRange<Double>
    private var place: Double

    init(_ range: ClosedRange<Double>, from place: Double) { (self.range, self.place) = (range, place) }

    mutating func next() -> Double {
        // Multiples of the golden ratio, modulo 1, lie evenly after any number of steps.
        place += 0.618_033_988_749_894_9
        place -= place.rounded(.down)
        let (low, high) = (log(range.lowerBound), log(range.upperBound))
        return exp(low + (high - low) * place)
    }
}
