/// What a run of the simulator did and found.
public struct SimulationReport: Sendable, Hashable, Codable {
    /// Repeats the run.
    public var seed: UInt64
    /// What went wrong; empty if nothing did. Each begins with the number of the invariant that was broken.
    public var violations: [String] = []
    /// How often each fault of the scenario was injected.
    public var faults: [String: Int] = [:]
    /// How often each of the small faults that happen all the time did.
    public var ambientFaults: [String: Int] = [:]
    /// How many sessions there were of each shape of work.
    public var shapes: [String: Int] = [:]
    /// Virtual time, in seconds.
    public var simulatedSeconds: Double = 0
    /// Events that happened in it.
    public var events = 0
    /// Updates that callers asked for.
    public var messages = 0
    public var connections = 0
    /// Recalls that clients were told of.
    public var recalls = 0
    /// Checkpoints that clients kept.
    public var checkpoints = 0
    /// Times that a client took over a server's state.
    public var adoptions = 0
    /// Times that the outside service was called.
    public var effects = 0
    /// Sessions of a user's kind whose state in the end was compared with a replay of the client's log.
    public var comparisons = 0
    /// The same for equal runs, in any process and any build.
    public var digest: UInt64 = 0
    /// What happened, line by line; empty if it was not asked for.
    public var transcript: [String] = []

    init(seed: UInt64) { self.seed = seed }
}

extension SimulationReport {
    init(_ world: SimulatedWorld, violations: [String]) {
        self.init(seed: world.scenario.seed)
        self.violations = violations
        faults = Dictionary(uniqueKeysWithValues: world.injected.map { ($0.key.rawValue, $0.value) })
        ambientFaults = Dictionary(
            uniqueKeysWithValues: AmbientFault.allCases.compactMap {
                let count = world.weather.counts[Int($0.rawValue)]
                return count > 0 ? ($0.name, count) : nil
            })
        if world.population.isOwn {
            shapes = Dictionary(world.members.map { ($0.shape.rawValue, 1) }, uniquingKeysWith: +)
        }
        simulatedSeconds = Double(world.timeline.now / 1_000_000) / 1000
        events = world.timeline.count
        let counts = world.counts
        (messages, connections, recalls) = (counts.messages, counts.connections, counts.recalls)
        (checkpoints, adoptions, effects) = (counts.checkpoints, counts.adoptions, world.outside.calls)
        (comparisons, digest) = (counts.comparisons, world.digest)
        transcript = world.transcript
    }
}

/// Runs scenarios.
enum SimulationRun {
    static func run(
        _ scenario: Scenario, _ population: any Population = OwnPopulation(), isTranscribed: Bool = false
    ) -> SimulationReport {
        let world = SimulatedWorld(scenario, population, isTranscribed: isTranscribed)
        let violations = world.run()
        return SimulationReport(world, violations: violations)
    }
}
