/// A small reproducible generator: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). The same seed gives the same run on
/// every platform.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True so many times in a hundred.
    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// A number from 0 up to, not including, `bound`; 0 if there is none. By multiplication, not by the standard
    /// library, whose way from bits to ranges may change.
    package mutating func below(_ bound: Int) -> Int {
        bound > 0 ? Int(UInt64(bound).multipliedFullWidth(by: next()).high) : 0
    }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// A generator for something else, independent of what this one gives from now on.
    package mutating func fork() -> SeededGenerator { SeededGenerator(seed: next()) }
}
