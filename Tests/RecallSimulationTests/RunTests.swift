import Foundation
import RecallTesting
import Testing

/// A few runs. Many are `recall simulate`'s.
@Suite struct RunTests {
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func aSeedFindsNothing(_ seed: UInt64) async {
        let report = await Simulation.run(seed: seed)
        #expect(report.violations.isEmpty, "seed \(seed)")
        #expect(report.messages > 0)
        #expect(report.simulatedSeconds > 2)
    }

    /// Whatever their order on several threads, runs do not touch each other.
    @Test func runsAtOnceAreTheSame() async throws {
        let alone = try simulate(["--seeds", "3", "--json", "--jobs", "1"])
        let together = try simulate(["--seeds", "3", "--json", "--jobs", "3"])
        let digests = try #require(alone.firstRange(of: /"digests":\[[^\]]*\]/).map { alone[$0] })
        #expect(together.contains(digests))
    }

    @Test func theSameSeedGivesTheSameRun() async {
        let first = await Simulation.run(seed: 7, isTranscribed: true)
        let second = await Simulation.run(seed: 7, isTranscribed: true)
        #expect(first == second)
        #expect(first.transcript.count > 100)
    }

    /// Swift seeds its hashes anew in each process.
    @Test func theSameSeedGivesTheSameRunInAnotherProcess() async throws {
        let report = await Simulation.run(seed: 8)
        for _ in 0..<2 {
            let output = try simulate(["--seed", "8", "--json"])
            #expect(output.contains("\"digest\":\"\(String(report.digest, radix: 16))\""))
        }
    }

    @Test func otherSeedsGiveOtherRuns() async {
        let (first, second) = (await Simulation.run(seed: 9), await Simulation.run(seed: 10))
        #expect(first.digest != second.digest)
    }

    private func simulate(_ arguments: [String]) throws -> String {
        let folder = try #require(Bundle.main.executableURL?.deletingLastPathComponent())
        let process = Process()
        process.executableURL = folder.appending(path: "recall")
        process.arguments = ["simulate"] + arguments
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_DETERMINISTIC_HASHING"] = nil
        process.environment = environment
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }
}
