/// What the shells around the machines take from the process that they run in. A simulation brings its own.
package struct Surroundings: Sendable {
    /// Draws a random number.
    package var random: @Sendable () -> UInt64
    /// Where tasks run; nil: on the concurrency pool, and on a client's loop what logs do that mostly need no waiting.
    package var executor: (any TaskExecutor)?

    package init(
        random: @escaping @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) },
        executor: (any TaskExecutor)? = nil
    ) {
        (self.random, self.executor) = (random, executor)
    }

    /// The same randomness for the standard library's algorithms.
    package var generator: some RandomNumberGenerator { Generator(draw: random) }

    private struct Generator: RandomNumberGenerator {
        let draw: @Sendable () -> UInt64
        func next() -> UInt64 { draw() }
    }
}
