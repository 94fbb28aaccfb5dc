internal import ArgumentParser
internal import Foundation
#if RECALL_PLANTED_BUGS
    internal import RecallCore
#endif
internal import RecallTesting

/// `recall simulate`
struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run real clients, servers and logs in a simulated world, and break it in every way there is.",
        discussion: """
            Virtual time, one thread for each run, and a seed that decides everything: the same seed gives the same \
            run. Each run has a phase full of faults and one without, in which everything must come to rest. What \
            callers were told is compared with what was meant.

            Exits with 0 only if nothing was wrong and, over \(Self.manySeeds) seeds or more, every fault was \
            injected. On a failure the lowest seed that fails and its shortest scenario are printed.
            """)

    @Option(help: ArgumentHelp("Run this seed alone.", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Run so many seeds.", valueName: "number"))
    var seeds: Int?

    @Option(
        help: ArgumentHelp(
            "Run seeds until there were so many faults; \(Self.usualFaults) if nothing else is said.",
            valueName: "number"))
    var faults: Int?

    @Option(help: ArgumentHelp("Run seeds for so long at most; alone, for so long.", valueName: "number"))
    var minutes: Double?

    @Option(help: ArgumentHelp("The first seed of many.", valueName: "number"))
    var from: UInt64 = 1

    @Option(help: ArgumentHelp("Runs at once; one for each core if nothing is said.", valueName: "number"))
    var jobs: Int?

    @Flag(help: "With --seed: print everything that happens.")
    var transcript = false

    @Flag(help: "Print one JSON object at the end and nothing else.")
    var json = false

    #if RECALL_PLANTED_BUGS
        @Flag(help: "Find the bugs that are planted in this build, one after the other.")
        var bugs = false

        @Option(help: ArgumentHelp("Find this one alone.", valueName: "name"))
        var bug: String?
    #endif

    /// What it runs, so that tests can have other runs.
    struct Runs: Sendable {
        var run: @Sendable (_ seed: UInt64, _ isTranscribed: Bool) async -> SimulationReport
        var shrink: @Sendable (_ seed: UInt64) async -> SimulationReport
        /// Seeds are named if the process dies, or a run does not end.
        var isWatched = false
    }

    @TaskLocal static var runs = Runs(
        run: { await Simulation.run(seed: $0, isTranscribed: $1) }, shrink: { await Simulation.shrink(seed: $0) },
        isWatched: true)

    private static let usualFaults = 200_000
    /// So many runs see every fault.
    private static let manySeeds = 200

    func validate() throws {
        guard [seed != nil, seeds != nil, faults != nil].filter({ $0 }).count <= 1 else {
            throw ValidationError("only one of --seed, --seeds and --faults may be given")
        }
        guard seed == nil || minutes == nil else {
            throw ValidationError("--minutes bounds many seeds: with --from N it runs those from N on")
        }
        guard seed == nil || from == 1 else {
            throw ValidationError("--from is the first of many seeds, --seed the only one")
        }
        guard !transcript || !json else { throw ValidationError("--transcript is for people: leave --json out") }
        guard (1...1_000_000_000_000).contains(faults ?? 1) else {
            throw ValidationError("--faults must be 1 to 1000000000000")
        }
        guard (1...1000).contains(jobs ?? 1) else { throw ValidationError("--jobs must be 1 to 1000") }
        guard (1...100_000_000).contains(seeds ?? 1) else { throw ValidationError("--seeds must be 1 to 100000000") }
        guard (minutes ?? 1) > 0, (minutes ?? 1) <= 10_000 else {
            throw ValidationError("--minutes must be more than 0, and at most 10000")
        }
        guard !transcript || seed != nil || seeds == 1 else {
            throw ValidationError("--transcript tells of one run: it needs --seed")
        }
    }

    func run() async throws {
        let jobs = jobs ?? max(1, ProcessInfo.processInfo.activeProcessorCount)
        #if RECALL_PLANTED_BUGS
            let hunt = PlantedBugHunt(limit: UInt64(seeds ?? 1500))
            if let bug {
                guard let bug = PlantedBug(rawValue: bug) else { throw ValidationError("there is no bug \(bug)") }
                guard try await hunt.find(bug) else { throw ExitCode.failure }
                return
            }
            if bugs {
                guard try await hunt.run(jobs: jobs) else { throw ExitCode.failure }
                return
            }
        #endif
        let began = ContinuousClock.now
        var tally = SimulationTally()
        if let seed {
            tally.add(await Self.runs.run(seed, transcript))
        } else {
            tally = await many(jobs: jobs, since: began)
        }
        if let failure = tally.failure, !transcript {
            tally.shrunk = await Self.watched(failure.seed) { await Self.runs.shrink(failure.seed) }
        }
        tally.seconds = (ContinuousClock.now - began) / .seconds(1)
        // Few runs need not see everything.
        let isComplete = tally.seeds < Self.manySeeds || tally.missing.isEmpty
        if json {
            try Output.line(tally.json(isComplete: isComplete))
        } else {
            try Output.line(tally.table(isComplete: isComplete))
        }
        if tally.failure != nil || !isComplete { throw ExitCode.failure }
    }

    private static func watched(
        _ seed: UInt64, _ run: @Sendable () async -> SimulationReport
    ) async -> SimulationReport {
        guard runs.isWatched else { return await run() }
        return await SeedWatch.shared.watch(seed, run)
    }

    private func many(jobs: Int, since began: ContinuousClock.Instant) async -> SimulationTally {
        var tally = SimulationTally()
        let limit = minutes.map { began + .seconds($0 * 60) }
        let faults = faults ?? (seeds == nil && minutes == nil ? Self.usualFaults : .max)
        let showsProgress = !json && Output.isTerminal
        let runner = SeedRunner(jobs: jobs, limit: seeds ?? .max) { seed in
            await Self.watched(seed) { await Self.runs.run(seed, false) }
        }
        await runner.run(from: from) { report in
            tally.add(report)
            if showsProgress {
                FileHandle.standardOutput.write(Data("\r\(tally.progress)\u{1b}[K".utf8))
            }
            return tally.failure == nil && tally.seeds < seeds ?? .max && tally.faults < faults
                && limit.map { ContinuousClock.now < $0 } ?? true
        }
        if showsProgress { FileHandle.standardOutput.write(Data("\r\u{1b}[K".utf8)) }
        return tally
    }
}
