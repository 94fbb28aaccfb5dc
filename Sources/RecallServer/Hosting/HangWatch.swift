internal import Dispatch
internal import Logging
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Ends the process when the user's synchronous code does not end.
///
/// Such code holds the loop that everything runs on, so that no failure detector gets a turn and nothing but the
/// process's death frees the other sessions. The poison file lays the death to the message that was being dealt with.
final class HangWatch {
    /// Looks before a run counts as hung. Looks and not time, so that a process that was stopped for a while is not
    /// taken for hung when it goes on.
    private static let looks = 8

    private final class Run: Sendable {
        /// Which run of user code is under way, counted from 1; 0 between two.
        let current = Atomic<UInt64>(0)
        /// The one at the last look, and at how many before it.
        let seen = Mutex<(run: UInt64, times: Int)>((0, 0))

        func isHung() -> Bool {
            let run = current.load(ordering: .relaxed)
            return seen.withLock { seen in
                seen = run != 0 && run == seen.run ? (run, seen.times + 1) : (run, 0)
                return seen.times >= HangWatch.looks
            }
        }
    }
    private let run = Run()
    private var count: UInt64 = 0
    private let timer = DispatchSource.makeTimerSource(queue: .global(qos: .userInteractive))

    /// - Parameter limit: at least 80 ms; what runs longer is hung, which shows at most a quarter later.
    init(limit: Duration, logger: Logger) {
        let period = DispatchTimeInterval.nanoseconds(Int(max(10_000_000, limit.nanoseconds / Int64(Self.looks))))
        timer.schedule(deadline: .now() + period, repeating: period)
        timer.setEventHandler { [run] in
            guard run.isHung() else { return }
            logger.critical("user code does not end, so the process does", metadata: ["limit": "\(limit)"])
            abort()
        }
        timer.activate()
    }

    deinit { timer.cancel() }

    /// User code begins on the loop.
    func begin() {
        count += 1
        run.current.store(count, ordering: .relaxed)
    }

    func end() { run.current.store(0, ordering: .relaxed) }
}
