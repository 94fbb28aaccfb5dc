@testable import RecallTesting
import Testing

@Suite struct ShrinkerTests {
    /// A run that fails as long as two of its faults are in it, and tells how many there were.
    private static func run(_ scenario: Scenario, needing pair: [PlannedFault], transcribed: Bool) -> SimulationReport {
        var report = SimulationReport(seed: scenario.seed)
        let fails = pair.allSatisfy(scenario.faults.contains)
        report.violations = fails ? ["3: both are there"] : scenario.faults.isEmpty ? ["1: something else"] : []
        (report.messages, report.connections) = (scenario.faults.count, scenario.severity)
        if transcribed { report.transcript = scenario.faults.map(\.fault.rawValue) }
        return report
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func onlyWhatItTakesIsLeft(_ seed: UInt64) throws {
        let faults = Scenario(seed: seed).faults
        let pair = [try #require(faults.first), try #require(faults.dropFirst(faults.count / 2).first)]
        let shrinker = Shrinker(seed: seed, limit: .seconds(60)) { Self.run($0, needing: pair, transcribed: $1) }
        let report = shrinker.run()
        #expect(report.violations == ["3: both are there"])
        #expect(report.messages == 2)
        #expect(report.connections == 0)
        #expect(report.transcript == pair.map(\.fault.rawValue))
    }

    @Test func whatDoesNotFailIsLeftAlone() {
        let shrinker = Shrinker(seed: 1, limit: .seconds(60)) { scenario, _ in SimulationReport(seed: scenario.seed) }
        #expect(shrinker.run() == SimulationReport(seed: 1))
    }
}
