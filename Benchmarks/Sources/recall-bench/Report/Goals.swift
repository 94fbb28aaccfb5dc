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
        let (wide, single) = ("1 connection, window 256", "1 connection, window 1")
        let echoes = ["echo", "echo, in parts of 64"].compactMap { figure("wire", wide, $0) }
        var goals = [
            Goal(
                "updates over an echo of the same bytes, \(wide)", atLeast: 0.8,
                Ratio(figure("wire", wide, "batches"), over: echoes.max { $0.median < $1.median })),
            Goal(
                "the same, 64 connections, window 16", atLeast: 0.8,
                ratio("wire", "64 connections, window 16", "batches", "echo")),
        ]
        for (way, text) in [("send, on the loop", "a caller on the client's loop"), ("send", "any caller")] {
            goals.append(
                Goal(
                    "round trip at window 1, p50 over the echo's, \(text)", atMost: 1.15,
                    Ratio(
                        figure("wire", single, way)?.latencies?["p50"],
                        over: figure("wire", single, "echo")?.latencies?["p50"])))
        }
        return goals + [
            Goal(
                "SQLite log (process) over bare batched appends", atLeast: 0.8,
                ratio("log", "durability process", "Recall, SQLite log", "bare SQLite")),
            Goal(
                "default codec, JSON: messages of the compact one over its own", atMost: 2,
                ratio("codec", "two numbers and a text", "compact", "JSON")),
        ]
    }

    private var alternativeGoals: [Goal] {
        let memory = "Recall, memory log", disk = "Recall, SQLite log (disk)"
        var goals: [Goal] = []
        for (connections, window, target) in [
            (50, 16, 2.0), (50, 1, 1), (16, 256, 1), (16, 1, 1), (1, 16, 1), (1, 1, 0.95),
        ] {
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
        guard let longest = lengths.max() else { return [] }
        let long = "\(longest)"
        return [
            Goal(
                "replay in a recall over the hand-written loop, \(longest) messages", atLeast: 0.8,
                ratio("replay", long, "without checkpoints", "hand-written loop")),
            Goal(
                "recall of \(longest) messages over loopback, over Redis loading its AOF", atMost: 0.6,
                ratio("recovery", long, "without checkpoints", "Redis, loading its AOF")),
            Goal(
                "recall with checkpoints, the slowest of all lengths over the fastest", atMost: 2,
                Self.spread(figures("recovery").filter { $0.contender == "with checkpoints" })),
            Goal(
                "recall without, time for each message, \(longest) over \(longest / 10)", atMost: 1.2,
                ratio("recovery", long, over: "\(longest / 10)", "without checkpoints", each: 10)),
            // A shorter one does not fill the buffers that a recall may have.
            Goal(
                "memory of a recall, \(longest) messages over \(longest / 100)", atMost: 2,
                ratio(
                    "recall cost", long, over: "\(longest / 100)", "without checkpoints: server's growth at its peak")),
            Goal(
                "recalling the typed recording whole", atMost: 0.5, unit: "s",
                Ratio(
                    figures("typing").filter { $0.contender == "text, without checkpoints" }
                        .max { (Int($0.setting) ?? 0) < (Int($1.setting) ?? 0) }?.rounds)),
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
                Ratio(storm?.latencies?["p99"]?.map { $0 / 1e6 })),
            Goal(
                "the same: sessions that waited longer than their client's patience of 10 s", atMost: 0, unit: "",
                Ratio(storm?.notes?["longer than patience"].map { [$0] })),
            Goal(
                "the same: peak memory over steady state", atMost: 2,
                Ratio(figure("storm memory", count, "with admission control: peak over steady")?.rounds)),
            Goal(
                "memory of a live session that idles, its 64-byte state included", atMost: 464, unit: "bytes",
                Ratio(idle?.rounds)),
            Goal(
                "1,000,000 live sessions, whole process", atMost: 600, unit: "MB",
                idle?.setting == "1000000" ? Ratio(idle?.notes?["process"].map { [$0 / 1e6] }) : nil),
        ]
    }

    private func ratio(_ group: String, _ setting: String, _ a: String, _ b: String) -> Ratio? {
        Ratio(figure(group, setting, a), over: figure(group, setting, b))
    }

    /// Of one contender in two settings, divided by what the first has more of.
    private func ratio(
        _ group: String, _ setting: String, over other: String, _ contender: String, each factor: Double = 1
    ) -> Ratio? {
        Ratio(
            figure(group, setting, contender)?.rounds.map { $0 / factor },
            over: figure(group, other, contender)?.rounds)
    }

    /// The largest median over the smallest.
    private static func spread(_ figures: [Figure]) -> Ratio? {
        let medians = figures.map(\.median)
        guard let lowest = medians.min(), let highest = medians.max(), lowest > 0 else { return nil }
        return Ratio([highest / lowest])
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
