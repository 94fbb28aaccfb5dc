internal import Foundation
public import Recall
public import RecallClient

/// Runs real clients, servers and logs in a world of its own: one thread, virtual time, and a seed that decides
/// everything, the faults above all. The same seed gives the same run, byte for byte.
///
/// A run has two phases. In the first, servers and clients die, disks fail, connections are cut and bytes come late;
/// all the while a checker, which reads the wire with code of its own, compares what callers are told with what was
/// meant. Then the faults end, and everything has to come to rest within four virtual minutes.
///
/// ```swift
/// let report = await Simulation.run(seed: 42)
/// #expect(report.violations.isEmpty)
/// ```
///
/// The logs are in memory or in SQLite files. For the latter the first run makes a file system of the simulator's own
/// this process's default SQLite VFS, and it stays that: files elsewhere are passed on to the system's, unchanged. A
/// test that needs the default one for something else should run in another process.
public enum Simulation {
    /// Runs one seed.
    ///
    /// - Parameters:
    ///   - seed: decides all of it.
    ///   - isTranscribed: true keeps what happened, line by line, in the report.
    public static func run(seed: UInt64, isTranscribed: Bool = false) async -> SimulationReport {
        await onThread { SimulationRun.run(Scenario(seed: seed), isTranscribed: isTranscribed) }
    }

    /// Runs one seed with a kind of your own in place of the simulation's.
    ///
    /// What is watched is then less: that no promise of the protocol is broken, that every message comes to an end,
    /// and that in the end each server's state is the one which a replay of the client's log makes, in this process and
    /// with the library's own code. What an answer should be only the kind knows, and its caller may judge. A kind that
    /// is not deterministic shows as a session that is refused `diverged` if its replies differ, else by its state in
    /// the end. Faults that take messages of the simulation's own, poison and forged histories, do not happen.
    ///
    /// ```swift
    /// let report = await Simulation.run(Counter(), seed: 42) { counter, random in
    ///     try await counter.send(Counter.Add(amount: Int.random(in: 1...9, using: &random)))
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - seed: decides all of it.
    ///   - isTranscribed: true keeps what happened, line by line, in the report.
    ///   - host: hosted by every server. Its effects run in virtual time: they must not sleep, nor wait for anything
    ///     that is not of this process.
    ///   - traffic: what a caller does at one time. Called again and again, several times at once, for several
    ///     sessions; whatever it throws is taken as an answer. Take every random choice from its second argument.
    public static func run<S: Session>(
        _ host: S, seed: UInt64, isTranscribed: Bool = false,
        traffic: @escaping @Sendable (SessionClient<S>, inout SimulationRandom) async throws -> Void
    ) async -> SimulationReport {
        let population = UserPopulation(host: host, traffic: traffic)
        return await onThread { SimulationRun.run(Scenario(seed: seed), population, isTranscribed: isTranscribed) }
    }

    /// Runs a seed that fails again and again, each time without some of its faults, until none can be left out.
    ///
    /// - Parameters:
    ///   - seed: of a run that has violations.
    ///   - limit: how long to try, at most, in real time.
    /// - Returns: the report of the shortest scenario that still fails, with its transcript; that of the seed itself if
    ///   it does not fail.
    public static func shrink(seed: UInt64, within limit: Duration = .seconds(60)) async -> SimulationReport {
        await onThread { Shrinker(seed: seed, limit: limit).run() }
    }

    /// The same with a kind of your own: see `run`.
    public static func shrink<S: Session>(
        _ host: S, seed: UInt64, within limit: Duration = .seconds(60),
        traffic: @escaping @Sendable (SessionClient<S>, inout SimulationRandom) async throws -> Void
    ) async -> SimulationReport {
        let population = UserPopulation(host: host, traffic: traffic)
        return await onThread {
            Shrinker(
                seed: seed, limit: limit, simulate: { SimulationRun.run($0, population, isTranscribed: $1) }
            ).run()
        }
    }

    /// All of a run happens on one thread, which is not one of the concurrency pool's.
    private static func onThread(_ body: @escaping @Sendable () -> SimulationReport) async -> SimulationReport {
        await withCheckedContinuation { continuation in
            let thread = Thread { continuation.resume(returning: body()) }
            thread.stackSize = 16 << 20
            thread.start()
        }
    }
}

/// Takes faults out of a scenario as long as it still fails: the ambient ones at once, the planned ones by halves, then
/// smaller parts, then one by one.
///
/// Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", IEEE TSE 2002 (`ddmin`, complements only).
struct Shrinker {
    let seed: UInt64
    let limit: Duration
    /// Runs a scenario, with a transcript or without.
    var simulate: (Scenario, _ isTranscribed: Bool) -> SimulationReport = {
        SimulationRun.run($0, isTranscribed: $1)
    }

    func run() -> SimulationReport {
        let deadline = ContinuousClock.now + limit
        var scenario = Scenario(seed: seed)
        let first = simulate(scenario, false)
        guard let kind = Self.kind(first) else { return first }
        // Perhaps the small faults have no part in it.
        for severity in [0, 5, 15, 40] where severity < scenario.severity && ContinuousClock.now < deadline {
            var candidate = scenario
            candidate.severity = severity
            guard Self.kind(simulate(candidate, false)) == kind else { continue }
            scenario = candidate
            break
        }
        var parts = 2
        while scenario.faults.count >= 1, ContinuousClock.now < deadline {
            let size = max(1, scenario.faults.count / parts)
            var didShrink = false
            for start in stride(from: 0, to: scenario.faults.count, by: size) where ContinuousClock.now < deadline {
                var candidate = scenario
                candidate.faults.removeSubrange(start..<min(start + size, scenario.faults.count))
                guard Self.kind(simulate(candidate, false)) == kind else { continue }
                scenario = candidate
                didShrink = true
                break
            }
            if didShrink {
                parts = max(2, parts - 1)
            } else if size == 1 {
                break
            } else {
                parts = min(scenario.faults.count, parts * 2)
            }
        }
        // A kind that draws its own random numbers may pass where it failed.
        let last = simulate(scenario, true)
        return last.violations.isEmpty ? first : last
    }

    /// Which invariant was broken.
    private static func kind(_ report: SimulationReport) -> Substring? {
        report.violations.first?.split(separator: ":", maxSplits: 1).first
    }
}
