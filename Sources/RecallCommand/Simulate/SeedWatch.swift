internal import Foundation
internal import Synchronization

/// Names the seeds that are under way when a run traps or does not end: nobody else could say then what to repeat.
///
/// For a process that runs many seeds and then ends; the watch does not.
final class SeedWatch: Sendable {
    /// Seconds in which this process ran. A run takes some tens of milliseconds, and seconds where many others go on
    /// beside it.
    private static let patience: UInt64 = 600
    private static let capacity = 1000

    /// Watches from its first use on.
    static let shared = begin()
    /// Sound: set once, before anything is watched, since what a signal finds must not be made in its handler.
    nonisolated(unsafe) private static var current: SeedWatch?

    private struct Place: ~Copyable {
        /// A seed and one; 0 for none.
        let seed = Atomic<UInt64>(0)
        /// When it began, in turns of the watch.
        let began = Atomic<UInt64>(.max)
    }
    /// Sound to share: its atomics are all that is touched.
    nonisolated(unsafe) private let places: UnsafeMutablePointer<Place>
    /// Turns of a second each, which do not go on while the process or the machine sleeps.
    private let turns = Atomic<UInt64>(0)

    private let file: Int32
    /// What signals did before, by their numbers. Sound to share: only `begin` writes it.
    nonisolated(unsafe) private let former = UnsafeMutablePointer<sigaction>.allocate(capacity: 32)

    /// - Parameter file: where the seeds are named.
    init(file: Int32) {
        self.file = file
        // Sound: both are initialised here to the last, and never given back.
        former.initialize(repeating: sigaction(), count: 32)
        places = .allocate(capacity: Self.capacity)
        for index in 0..<Self.capacity { (places + index).initialize(to: Place()) }
    }

    private static func begin() -> SeedWatch {
        let watch = SeedWatch(file: 2)
        current = watch
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
            var action = sigaction()
            action.sa_flags = SA_ONSTACK
            action.__sigaction_handler.sa_handler = { number in
                SeedWatch.current?.tell("recall simulate: the process dies in a run of one of these seeds:")
                // Comes again when this returns, and ends the process as it would have: with a backtrace, perhaps.
                if let watch = SeedWatch.current { sigaction(number, watch.former + Int(number), nil) }
                raise(number)
            }
            sigaction(number, &action, watch.former + Int(number))
        }
        Thread { while true { watch.look() } }.start()
        return watch
    }

    /// Runs a seed that is named if it does not come back.
    func watch<T>(_ seed: UInt64, _ body: () async -> T) async -> T {
        let taken = (0..<Self.capacity).first {
            places[$0].seed.compareExchange(expected: 0, desired: seed &+ 1, ordering: .acquiringAndReleasing).exchanged
        }
        guard let taken else { return await body() }
        places[taken].began.store(now, ordering: .releasing)
        let result = await body()
        places[taken].began.store(.max, ordering: .releasing)
        places[taken].seed.store(0, ordering: .releasing)
        return result
    }

    private var now: UInt64 { turns.load(ordering: .acquiring) }

    private func look() {
        Thread.sleep(forTimeInterval: 1)
        turns.add(1, ordering: .releasing)
        guard now > Self.patience else { return }
        let earliest = now - Self.patience
        guard (0..<Self.capacity).contains(where: { places[$0].began.load(ordering: .acquiring) < earliest }) else {
            return
        }
        tell("recall simulate: a run does not end, of one of these seeds:")
        _exit(1)
    }

    /// Writes without allocating: a signal may have come in the middle of that.
    func tell(_ text: StaticString) {
        // Sound: a static string's bytes are there for good; the digits' lie on the stack until they are written.
        _ = write(file, text.utf8Start, text.utf8CodeUnitCount)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 22) { digits in
            for index in 0..<Self.capacity {
                var rest = places[index].seed.load(ordering: .acquiring)
                guard rest > 0 else { continue }
                rest -= 1
                var first = digits.count
                repeat {
                    first -= 1
                    digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
                    rest /= 10
                } while rest > 0
                first -= 1
                digits[first] = UInt8(ascii: " ")
                _ = write(file, digits.baseAddress.map { $0 + first }, digits.count - first)
            }
        }
        let end: StaticString = "\nto repeat one of them: recall simulate --seed NUMBER\n"
        _ = write(file, end.utf8Start, end.utf8CodeUnitCount)
    }
}
