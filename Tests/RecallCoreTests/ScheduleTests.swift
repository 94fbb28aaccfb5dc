import RecallCore
import RecallTesting
import Testing

/// Short random runs against the invariants. A failure names its seed; `RECALL_SEED` runs that one alone, with its
/// actions.
@Suite struct ScheduleTests {
    static let count: UInt64 = UInt64(environment("RECALL_SCHEDULES") ?? "") ?? 1000
    static let seed = UInt64(environment("RECALL_SEED") ?? "")

    private func run(_ name: String, from first: UInt64, _ profile: Schedule.Profile) {
        let seeds = Self.seed.map { $0..<($0 + 1) } ?? first..<(first + Self.count)
        var failures = 0
        for seed in seeds where failures < 5 {
            let schedule = Schedule(seed: seed, profile)
            let violations = schedule.run()
            guard !violations.isEmpty else { continue }
            failures += 1
            let actions = Self.seed == nil ? "" : "\n" + schedule.actions.joined(separator: "\n")
            Issue.record("\(name), seed \(seed): \(violations.prefix(3).joined(separator: "; "))\(actions)")
        }
    }

    @Test func durableLogs() { run("durable logs", from: 10_000, Schedule.Profile()) }

    @Test func logsThatLoseWhatWasNotAcknowledged() {
        run("lost messages", from: 20_000, Schedule.Profile(losesUnacknowledged: true))
    }

    @Test func logsThatLoseAnything() { run("lost anything", from: 30_000, Schedule.Profile(losesAnything: true)) }

    /// Every bound so low that it is met all the time.
    @Test func tightLimits() {
        var limits = HandlerLimits()
        (limits.sessions, limits.memory, limits.drops, limits.unconfirmed, limits.turn) = (1, 1, 1, 2, 1)
        (limits.windowMessages, limits.windowBytes) = (2, 8)
        (limits.recalls.concurrent, limits.recalls.bytes, limits.recalls.waiting) = (1, 1, 1)
        run("tight limits", from: 50_000, Schedule.Profile(losesUnacknowledged: true, limits: limits))
    }

    @Test func withoutBrokenCopies() { run("long", from: 40_000, Schedule.Profile(steps: 300, breaksCopies: false)) }
}
