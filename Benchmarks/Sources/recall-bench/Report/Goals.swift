internal import Foundation

/// What is to be reached, as ratios within one run.
struct Goal: Sendable {
    var name: String
    var target: String
    /// Nil if this run did not measure it.
    var reached: Ratio?
    var isMet: Bool?
    /// How the value is written.
    var unit = "x"

    init(_ name: String, atLeast target: Double, _ reached: Ratio?) {
        (self.name, self.target, self.reached) = (name, "≥ \(target.short) x", reached)
        isMet = reached.map { $0.median >= target }
    }

    init(_ name: String, atMost target: Double, unit: String = "x", _ reached: Ratio?) {
        (self.name, self.target, self.reached, self.unit) = (name, "≤ \(target.short) \(unit)", reached, unit)
        isMet = reached.map { $0.median <= target }
    }
}

extension Report {
    var goals: [Goal] { wireGoals + alternativeGoals + recoveryGoals + memoryGoals }

    private var wireGoals: [Goal] {
        [
            Goal(
                "updates over an echo of the same bytes, window 256", atLeast: 0.8,
                ratio("wire", "1 connection, window 256", "batches", "echo")),
            Goal(
                "the same, 64 connections, window 16", atLeast: 0.8,
                ratio("wire", "64 connections, window 16", "batches", "echo")),
            Goal(
                "round trip at window 1, p50 over the echo's", atMost: 1.15,
                latencyRatio("wire", "1 connection, window 1", "send, on the loop", "echo")),
            Goal(
                "SQLite log (process) over bare batched appends", atLeast: 0.8,
                ratio("log", "durability process", "Recall, SQLite log", "bare SQLite")),
            Goal(
                "default codec, JSON: messages of the compact one over its own", atMost: 2,
                ratio("codec", "about 60 bytes", "compact", "JSON")),
        ]
    }

    private var alternativeGoals: [Goal] {
        let memory = "Recall, memory log", disk = "Recall, SQLite log (disk)"
        var goals: [Goal] = []
        for (connections, window, target) in [(50, 16, 2.0), (50, 1, 1), (1, 16, 1), (1, 1, 0.95)] {
            goals.append(
                Goal(
                    "over Redis everysec, \(connections) connections, window \(window)", atLeast: target,
                    ratio(
                        "alternatives", "\(connections) connections, window \(window)", memory, "Redis, everysec")))
        }
        // By group commit: with a window one sync serves many updates. PostgreSQL's connections have the same window.
        for window in [256, 1] {
            let setting = "16 connections, window \(window)"
            goals.append(
                Goal(
                    "memory log over PostgreSQL, an INSERT per update, \(setting)", atLeast: 30,
                    ratio("alternatives", setting, memory, "PostgreSQL, durable")))
            goals.append(
                Goal(
                    "SQLite log (disk) over the same", atLeast: 10,
                    ratio("alternatives", setting, disk, "PostgreSQL, durable")))
        }
        return goals
    }

    private var recoveryGoals: [Goal] {
        let lengths = figures("recovery").compactMap { Int($0.setting) }
        guard let longest = lengths.max(), let shortest = lengths.min() else { return [] }
        let long = "\(longest)"
        return [
            Goal(
                "replay in a recall over the hand-written loop, \(longest) messages", atLeast: 0.8,
                medians("replay", long, "without checkpoints", "hand-written loop")),
            Goal(
                "recall of \(longest) messages over loopback, over Redis loading its AOF", atMost: 0.6,
                medians("recovery", long, "without checkpoints", "Redis, loading its AOF")),
            Goal(
                "recall with checkpoints, \(longest) messages over \(shortest)", atMost: 2,
                Self.quotient(
                    figure("recovery", long, "with checkpoints"),
                    figure("recovery", "\(shortest)", "with checkpoints"))),
            Goal(
                "recalling the typed recording whole", atMost: 0.5, unit: "s",
                figures("typing").first.map { Ratio($0.median) }),
        ]
    }

    private var memoryGoals: [Goal] {
        let storm = figures("storm").filter { $0.contender == "with admission control" }
            .max { (Int($0.setting) ?? 0) < (Int($1.setting) ?? 0) }
        let count = storm?.setting ?? "0"
        let idle = figures("memory").first { $0.contender == "live session, idle" }
        return [
            Goal(
                "\(count) sessions come back at once: p99", atMost: 30, unit: "s",
                storm?.latency?["p99"].map { Ratio($0 / 1e6) }),
            Goal(
                "the same: peak memory over steady state", atMost: 2,
                storm?.notes.flatMap { notes in
                    zip([notes["peak bytes"]], [notes["steady bytes"]]).compactMap { peak, steady in
                        peak.flatMap { peak in steady.map { Ratio(peak / $0) } }
                    }.first
                }),
            Goal(
                "memory of a live session that idles, its 64-byte state included", atMost: 464, unit: "bytes",
                idle.map { Ratio($0.median) }),
            Goal(
                "1,000,000 live sessions, whole process", atMost: 600, unit: "MB",
                idle?.setting == "1000000" ? idle?.notes?["process"].map { Ratio($0 / 1e6) } : nil),
        ]
    }

    private func ratio(_ group: String, _ setting: String, _ a: String, _ b: String) -> Ratio? {
        Ratio(figure(group, setting, a), over: figure(group, setting, b))
    }

    private func latencyRatio(_ group: String, _ setting: String, _ a: String, _ b: String) -> Ratio? {
        guard let own = figure(group, setting, a)?.latency?["p50"],
            let other = figure(group, setting, b)?.latency?["p50"]
        else { return nil }
        return Ratio(own / other)
    }

    /// For figures with different numbers of rounds.
    private func medians(_ group: String, _ setting: String, _ a: String, _ b: String) -> Ratio? {
        Self.quotient(figure(group, setting, a), figure(group, setting, b))
    }

    private static func quotient(_ a: Figure?, _ b: Figure?) -> Ratio? {
        guard let a, let b, b.median > 0 else { return nil }
        return Ratio(a.median / b.median)
    }
}

extension Double {
    /// Three digits that count, for people.
    var short: String {
        let digits = self >= 100 ? 0 : self >= 10 ? 1 : self >= 1 ? 2 : 3
        var text = formatted(
            .number.precision(.fractionLength(digits)).locale(.init(identifier: "en_US_POSIX")).grouping(.never))
        while text.contains("."), text.hasSuffix("0") || text.hasSuffix(".") { text.removeLast() }
        return text
    }
}
