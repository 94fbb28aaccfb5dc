internal import Foundation

/// A run of the suite: how long it measures, where it works, what it has found.
final class Suite {
    /// How many rounds and how long each of them takes.
    struct Pace {
        var rounds: Int
        var seconds: Double
        /// Of histories, of sessions in a storm, of sessions that are only there.
        var histories: [Int]
        var storms: [Int]
        var idleSessions: Int
        /// One setting stands for several.
        var isQuick = false

        static let whole = Pace(
            rounds: 5, seconds: 0.6, histories: [10, 100, 1000, 10_000, 100_000, 1_000_000],
            storms: [1000, 10_000, 100_000], idleSessions: 1_000_000)
        static let quick = Pace(
            rounds: 3, seconds: 0.2, histories: [10, 1000, 100_000], storms: [1000, 10_000], idleSessions: 50_000,
            isQuick: true)
    }

    let pace: Pace
    /// For logs and the alternatives' data; removed at the end.
    let folder: String
    var report: Report

    init(_ pace: Pace, folder: String, command: String) throws {
        (self.pace, self.folder) = (pace, folder)
        report = Report(command: command)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    func end() { try? FileManager.default.removeItem(atPath: folder) }

    /// Says what is being done; a run takes minutes.
    func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    /// One contender: what it is called, the server whose processor time counts, and one round of it.
    struct Contender {
        var name: String
        var server: Int32?
        var round: (Double) async throws -> Rate

        init(_ name: String, server: Child? = nil, _ round: @escaping (Double) async throws -> Rate) {
            (self.name, self.server, self.round) = (name, server?.id, round)
        }
    }

    /// Measures contenders side by side: their rounds alternate, so that a disturbance meets all of them. One short
    /// round before, which does not count, warms connections and code.
    func compare(_ group: String, _ setting: String, unit: String = "1/s", _ contenders: [Contender]) async throws {
        var figures = contenders.map {
            Figure(group: group, setting: setting, contender: $0.name, unit: unit, rounds: [])
        }
        for round in 0...pace.rounds {
            for (index, contender) in contenders.enumerated() {
                let before = try CPU(contender.server)
                let rate = try await contender.round(round == 0 ? min(0.1, pace.seconds) : pace.seconds)
                if round == 0 { continue }
                let after = try CPU(contender.server)
                figures[index].take(rate, client: after.client - before.client, server: after.server - before.server)
            }
        }
        report.figures += figures
        say("  \(group), \(setting): " + figures.map { "\($0.contender) \(Int($0.median))" }.joined(separator: ", "))
    }

    private struct CPU {
        var client: Double
        var server: Double

        init(_ server: Int32?) throws {
            client = try CPUTime.own
            self.server = try server.map { try CPUTime.seconds(of: $0) } ?? 0
        }
    }
}

extension Figure {
    /// Adds a round's percentiles.
    mutating func follow(_ percentiles: [String: Double]) {
        guard !percentiles.isEmpty else { return }
        latencies = (latencies ?? [:]).merging(percentiles.mapValues { [$0] }, uniquingKeysWith: +)
    }

    fileprivate mutating func take(_ rate: Rate, client: Double, server: Double) {
        clientCPUs = (clientCPUs ?? []) + [client * 1e9 / Double(max(1, rate.count))]
        serverCPUs = (serverCPUs ?? []) + [server * 1e9 / Double(max(1, rate.count))]
        follow(rate.percentiles)
        rounds.append(rate.perSecond)
    }
}
