internal import ArgumentParser

/// How long a command waits for a server, in seconds.
enum Patience {
    /// A year: longer than that nobody waits, and clocks would overflow.
    private static let range = 1...31_536_000

    static func validate(_ seconds: Int) throws {
        guard range.contains(seconds) else {
            throw ValidationError("--patience must be \(range.lowerBound) to \(range.upperBound) seconds")
        }
    }
}
