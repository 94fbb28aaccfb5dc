internal import ArgumentParser
internal import Foundation
internal import RecallTesting

/// `recall simulate`
struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run real clients, servers and logs in a simulated world, and break it in every way there is.",
        discussion: """
            Virtual time, one thread, and a seed that decides everything: the same seed gives the same run. Each run \
            has a phase full of faults and one without, in which everything must come to rest. What callers were told \
            is compared with what was meant.

            Exits with 0 only if nothing was wrong and, over many seeds, every fault was injected. On a failure the \
            seed and its shortest scenario are printed.
            """)

    @Option(help: ArgumentHelp("Run this seed alone.", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Run so many seeds; 200 if nothing else is said.", valueName: "number"))
    var seeds: Int?

    @Option(help: ArgumentHelp("Run seeds for so long.", valueName: "number"))
    var minutes: Double?

    @Option(help: ArgumentHelp("The first seed of many.", valueName: "number"))
    var from: UInt64 = 1

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

    func validate() throws {
        guard (seed == nil ? 0 : 1) + (seeds == nil ? 0 : 1) + (minutes == nil ? 0 : 1) <= 1 else {
            throw ValidationError("only one of --seed, --seeds and --minutes may be given")
        }
        guard (1...100_000_000).contains(seeds ?? 1) else { throw ValidationError("--seeds must be 1 to 100000000") }
        guard (minutes ?? 1) > 0, (minutes ?? 1) <= 10_000 else {
            throw ValidationError("--minutes must be 0 to 10000")
        }
    }

    func run() async throws {
        #if RECALL_PLANTED_BUGS
            if bugs || bug != nil {
                guard try await PlantedBugHunt(limit: UInt64(seeds ?? 400)).run(only: bug) else {
                    throw ExitCode.failure
                }
                return
            }
        #endif
        let began = ContinuousClock.now
        var tally = SimulationTally()
        if let seed {
            tally.add(await Simulation.run(seed: seed, isTranscribed: transcript))
        } else {
            let limit = minutes.map { began + .seconds($0 * 60) }
            let count = limit == nil ? seeds ?? 200 : .max
            var next = from
            while tally.seeds < count, tally.failure == nil, limit.map({ ContinuousClock.now < $0 }) ?? true {
                tally.add(await Simulation.run(seed: next))
                next &+= 1
                if !json, Output.isTerminal {
                    FileHandle.standardOutput.write(Data("\r\(tally.progress)\u{1b}[K".utf8))
                }
            }
            if !json, Output.isTerminal { FileHandle.standardOutput.write(Data("\r\u{1b}[K".utf8)) }
        }
        if let failure = tally.failure, !transcript { tally.shrunk = await Simulation.shrink(seed: failure.seed) }
        tally.seconds =
            Double((ContinuousClock.now - began).components.attoseconds / 1_000_000_000_000_000) / 1000
            + Double((ContinuousClock.now - began).components.seconds)
        let isComplete = seed != nil || tally.missing.isEmpty
        if json {
            try Output.line(tally.json(isComplete: isComplete))
        } else {
            try Output.line(tally.table(isComplete: isComplete))
        }
        if tally.failure != nil || !isComplete { throw ExitCode.failure }
    }
}
