internal import Foundation

/// What one contender reached in one setting.
struct Figure: Codable, Sendable {
    /// The comparison that it belongs to.
    var group: String
    /// Window, connections, bytes, or whatever was set for all contenders alike.
    var setting: String
    var contender: String
    var unit: String
    /// One value for each round; the rounds of all contenders of a setting alternate.
    var rounds: [Double]
    /// Microseconds from sending to answer, where messages were followed one by one: percentiles, by rounds.
    var latencies: [String: [Double]]?
    /// Nanoseconds of processor time for each message, by rounds: of the client, of the server.
    var clientCPUs: [Double]?
    var serverCPUs: [Double]?
    /// Anything else worth keeping.
    var notes: [String: Double]?

    var median: Double { rounds.median }
    /// Medians of the rounds.
    var latency: [String: Double]? { latencies?.mapValues(\.median) }
    var clientCPU: Double? { clientCPUs?.median }
    var serverCPU: Double? { serverCPUs?.median }
}

/// A ratio of two contenders of one setting, round by round.
struct Ratio: Codable, Sendable {
    var median: Double
    var lowest: Double
    var highest: Double

    init?(_ a: Figure?, over b: Figure?) { self.init(a?.rounds, over: b?.rounds) }

    init?(_ a: [Double]?, over b: [Double]?) {
        guard let a, let b, a.count == b.count else { return nil }
        self.init(zip(a, b).map { $0 / $1 })
    }

    /// One value for each round.
    init?(_ values: [Double]?) {
        guard let values, !values.isEmpty else { return nil }
        (median, lowest, highest) = (values.median, values.min() ?? 0, values.max() ?? 0)
    }
}

/// Everything that a run measured.
struct Report: Codable, Sendable {
    var machine: String
    var cores: Int
    var system: String
    /// What Redis and PostgreSQL call themselves, as far as they are installed.
    var programs: [String]?
    var commit: String
    var date: String
    var command: String
    var seconds = 0.0
    var figures: [Figure] = []

    init(command: String) {
        self.command = command
        machine = Self.line(of: "/proc/cpuinfo", beginning: "model name") ?? "unknown"
        cores = ProcessInfo.processInfo.activeProcessorCount
        system = ProcessInfo.processInfo.operatingSystemVersionString
        programs = [Redis.path, Postgres.folder.map { $0 + "/postgres" }].compactMap { path in
            path.flatMap { try? Programs.run($0, ["--version"]) }.map {
                $0.split { $0 == " " || $0 == "\n" }.prefix(3).joined(separator: " ")
            }
        }
        commit =
            (try? Programs.run("/usr/bin/git", ["describe", "--always", "--dirty"])
                .trimmingCharacters(in: .whitespacesAndNewlines)) ?? "unknown"
        date = Date.now.formatted(.iso8601)
    }

    private static func line(of path: String, beginning: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix(beginning) }
            .flatMap { $0.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } }
    }

    func figure(_ group: String, _ setting: String, _ contender: String) -> Figure? {
        figures.first { $0.group == group && $0.setting == setting && $0.contender == contender }
    }

    /// As JSON.
    var encoded: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    func figures(_ group: String) -> [Figure] { figures.filter { $0.group == group } }
}
