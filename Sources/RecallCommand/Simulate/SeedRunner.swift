internal import RecallTesting

/// Runs seeds on several threads at once, and hands over their reports in the order of the seeds: what comes of it does
/// not depend on the number of threads.
struct SeedRunner {
    let jobs: Int
    /// No more seeds are run than these.
    var limit = Int.max
    let simulate: @Sendable (UInt64) async -> SimulationReport

    /// - Parameters:
    ///   - first: the first seed.
    ///   - take: told of each report; false ends it.
    func run(from first: UInt64, _ take: (SimulationReport) throws -> Bool) async rethrows {
        try await withThrowingTaskGroup(of: SimulationReport.self) { group in
            var next = first
            func begin() {
                guard next &- first < UInt64(limit) else { return }
                let seed = next
                next &+= 1
                group.addTask { await simulate(seed) }
            }
            for _ in 0..<min(jobs, limit) { begin() }
            var (wanted, early) = (first, [UInt64: SimulationReport]())
            while let report = try await group.next() {
                early[report.seed] = report
                while let report = early.removeValue(forKey: wanted) {
                    wanted &+= 1
                    guard try take(report) else { return }
                }
                begin()
            }
        }
    }
}
