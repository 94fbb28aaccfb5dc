import ArgumentParser
import Foundation
import Recall
import RecallClient
@testable import RecallCommand
@testable import RecallTesting
import Synchronization
import Testing

/// What `recall simulate` says of its runs, and what it exits with.
@Suite struct SimulateTests {
    private static func report(_ seed: UInt64, _ violations: [String] = [], without fault: SimulationFault? = nil)
        -> SimulationReport
    {
        var report = SimulationReport(seed: seed)
        report.violations = violations
        for each in SimulationFault.allCases where each != fault { report.faults[each.rawValue] = 1 }
        for each in AmbientFault.allCases { report.ambientFaults[each.name] = 2 }
        for each in TrafficShape.allCases { report.shapes[each.rawValue] = 1 }
        return report
    }

    @Test func faultsThatNeverHappenedAreNamed() {
        var tally = SimulationTally()
        tally.add(Self.report(1, without: .halfOpen))
        #expect(tally.missing == ["halfOpen"])
        #expect(tally.table(isComplete: false).contains("never came to be: halfOpen"))
        tally.add(Self.report(2))
        #expect(tally.missing.isEmpty)
        #expect(tally.faults == 2 * SimulationFault.allCases.count - 1 + 4 * AmbientFault.allCases.count)
    }

    /// One seed ran as many as there were threads.
    @Test(arguments: [1, 3, 8]) func noMoreSeedsAreRunThanAskedFor(jobs: Int) async {
        let runs = Mutex<[UInt64]>([])
        let runner = SeedRunner(jobs: jobs, limit: 3) { seed in
            runs.withLock { $0.append(seed) }
            return SimulationReport(seed: seed)
        }
        var taken: [UInt64] = []
        await runner.run(from: 5) { report in
            taken.append(report.seed)
            return taken.count < 3
        }
        #expect(taken == [5, 6, 7])
        #expect(runs.withLock { $0.sorted() } == [5, 6, 7])
    }

    @Test func theFirstFailureIsShown() {
        var tally = SimulationTally()
        tally.add(Self.report(1))
        tally.add(Self.report(2, ["4: something"]))
        tally.add(Self.report(3, ["5: something else"]))
        #expect(tally.failure?.seed == 2)
        // One that did not fail again tells nothing.
        tally.shrunk = SimulationReport(seed: 2)
        let table = tally.table(isComplete: true)
        #expect(table.contains("SEED 2 FAILS"))
        #expect(table.contains("! 4: something"))
        #expect(table.contains("recall simulate --seed 2"))
    }

    /// Runs the command with other runs than the simulator's.
    private func exitCode(
        _ arguments: [String], _ run: @escaping @Sendable (UInt64) async -> SimulationReport
    ) async throws -> ExitCode {
        let command = try Simulate.parse(arguments)
        do {
            try await Simulate.$runs.withValue(Simulate.Runs(run: { seed, _ in await run(seed) }, shrink: run)) {
                try await command.run()
            }
            return .success
        } catch let code as ExitCode { return code }
    }

    @Test func exitCodes() async throws {
        #expect(try await exitCode(["--seeds", "3"]) { Self.report($0) } == .success)
        #expect(try await exitCode(["--seeds", "3"]) { Self.report($0, $0 == 3 ? ["1: lost"] : []) } == .failure)
        #expect(try await exitCode(["--seed", "3"]) { Self.report($0, ["1: lost"]) } == .failure)
        #expect(throws: (any Error).self) { try Simulate.parse(["--seed", "3", "--minutes", "1"]) }
        #expect(try Simulate.parse(["--seeds", "3", "--minutes", "1"]).seeds == 3)
        // Few runs need not see every fault, many must.
        #expect(try await exitCode(["--seeds", "199"]) { Self.report($0, without: .halfOpen) } == .success)
        #expect(try await exitCode(["--seeds", "200"]) { Self.report($0, without: .halfOpen) } == .failure)
    }

    @Test func seedsUnderWayAreNamed() async throws {
        let pipe = Pipe()
        let watch = SeedWatch(file: pipe.fileHandleForWriting.fileDescriptor)
        await watch.watch(7) {
            await watch.watch(12_345_678_901) { watch.tell("it died in a run of one of these seeds:") }
        }
        watch.tell("none:")
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: try #require(try pipe.fileHandleForReading.readToEnd()), as: UTF8.self)
        #expect(
            text == """
                it died in a run of one of these seeds: 7 12345678901
                to repeat one of them: recall simulate --seed NUMBER
                none:
                to repeat one of them: recall simulate --seed NUMBER

                """)
    }

    struct Dice: Session {
        struct State: SessionState { var sum = 0 }

        /// Not the same twice.
        struct Throw: UpdateMessage {
            typealias State = Dice.State
            func update(_ dice: inout State) -> Int {
                dice.sum += Int.random(in: 1...1_000_000)
                return dice.sum
            }
        }

        static let kind = SessionKind<Dice>("dice", [1: Throw.self])
    }

    @Test func aKindThatIsNotDeterministicFailsTheCommand() async throws {
        let code = try await exitCode(["--seeds", "5"]) { seed in
            await Simulation.run(Dice(), seed: seed) { dice, _ in _ = try await dice.send(Dice.Throw()) }
        }
        #expect(code == .failure)
    }
}
