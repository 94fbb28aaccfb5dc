extension Report {
    /// For people: the goals, then what each comparison gave.
    var table: String {
        var lines = [
            "\(machine), \(cores) cores, \(([system] + (programs ?? [])).joined(separator: ", ")); "
                + "commit \(commit), \(date); `\(command)`, \(Int(seconds)) s",
            "",
            "| goal | target | reached | rounds between | |", "|---|---|---|---|---|",
        ]
        for goal in goals {
            guard let reached = goal.reached else {
                lines.append("| \(goal.name) | \(goal.target) | not measured | | |")
                continue
            }
            let between =
                reached.lowest == reached.highest ? "" : "\(reached.lowest.short) and \(reached.highest.short)"
            lines.append(
                "| \(goal.name) | \(goal.target) | \(reached.median.short) \(goal.unit) | \(between) | "
                    + (goal.isMet == true ? "met" : "not met") + " |")
        }
        var seen: [String] = []
        for figure in figures where !seen.contains(figure.group) {
            seen.append(figure.group)
            lines += ["", "### \(Self.titles[figure.group] ?? figure.group)", ""] + Self.rows(figures(figure.group))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let titles = [
        "wire": "Updates of 64 bytes beside an echo",
        "payload": "Payloads, window 256",
        "codec": "Codecs",
        "sessions": "Many sessions beside an echo of as many messages under way",
        "log": "Logs, window 256",
        "alternatives": "256-byte updates beside Redis and PostgreSQL",
        "replay": "Replay, messages a second",
        "recall cost": "What a recall takes: bytes on the loopback interface, growth of the server's resident memory",
        "recovery": "Recovery: time until a session answers",
        "typing": "A recording of typing: so many edits, and all",
        "storm": "Storms: all sessions of a dead server at once",
        "storm memory": "Storms: the new server's memory over the old one's",
        "memory": "Memory",
    ]

    /// The unit in which a figure is readable, and the factor to it.
    private static func unit(of figure: Figure) -> (String, Double) {
        guard figure.unit == "s", figure.median < 1 else { return (figure.unit, 1) }
        return figure.median < 0.001 ? ("us", 1e6) : ("ms", 1e3)
    }

    private static func rows(_ figures: [Figure]) -> [String] {
        let followed = figures.contains { $0.latency != nil }, counted = figures.contains { $0.clientCPU != nil }
        var header = "| setting | contender | median | rounds between |"
        if followed { header += " p50, us | p99, us |" }
        if counted { header += " CPU of client and server, ns |" }
        var lines = [header, "|" + String(repeating: "---|", count: header.count { $0 == "|" } - 1)]
        for figure in figures {
            let (unit, scale) = unit(of: figure)
            var line = "| \(figure.setting) | \(figure.contender) | \((figure.median * scale).short) \(unit) | "
            line += "\(((figure.rounds.min() ?? 0) * scale).short) and \(((figure.rounds.max() ?? 0) * scale).short) |"
            if followed {
                line += " \(figure.latency?["p50"]?.short ?? "") | \(figure.latency?["p99"]?.short ?? "") |"
            }
            if counted {
                let server = figure.serverCPU.map { $0 > 0 ? "+ " + $0.short : "" }
                line += " \(figure.clientCPU?.short ?? "") \(server ?? "") |"
            }
            lines.append(line)
        }
        return lines
    }
}
