internal import RecallTesting

/// What many runs of the simulator add up to.
struct SimulationTally {
    private(set) var seeds = 0
    private(set) var totals: SimulationReport?
    /// The first run that failed.
    private(set) var failure: SimulationReport?
    /// Its shortest scenario that still fails.
    var shrunk: SimulationReport?
    var seconds = 0.0

    mutating func add(_ report: SimulationReport) {
        seeds += 1
        if !report.violations.isEmpty, failure == nil { failure = report }
        guard var sum = totals else { return totals = report }
        for (fault, count) in report.faults { sum.faults[fault, default: 0] += count }
        sum.simulatedSeconds += report.simulatedSeconds
        sum.events += report.events
        sum.messages += report.messages
        sum.connections += report.connections
        sum.recalls += report.recalls
        sum.checkpoints += report.checkpoints
        sum.adoptions += report.adoptions
        sum.effects += report.effects
        totals = sum
    }

    /// Faults that were never injected.
    var missing: [String] {
        SimulationFault.allCases.map(\.rawValue).filter { (totals?.faults[$0] ?? 0) == 0 }
    }

    var progress: String {
        "seed \(seeds), \(Int(totals?.simulatedSeconds ?? 0)) s simulated, \(totals?.recalls ?? 0) recalls"
    }

    // MARK: Reports

    private var rows: [(String, Int)] {
        guard let totals else { return [] }
        return [
            ("seeds", seeds), ("simulated seconds", Int(totals.simulatedSeconds)), ("events", totals.events),
            ("messages", totals.messages), ("connections", totals.connections), ("recalls", totals.recalls),
            ("checkpoints", totals.checkpoints), ("adoptions", totals.adoptions), ("effects", totals.effects),
            ("faults", totals.faults.values.reduce(0, +)),
        ]
    }

    func table(isComplete: Bool) -> String {
        var lines: [String] = []
        if let failure {
            let report = shrunk ?? failure
            lines += report.transcript
            lines += ["", "SEED \(failure.seed) FAILS"] + report.violations.map { "  ! \($0)" } + [""]
        } else if seeds == 1, let transcript = totals?.transcript {
            lines += transcript
        }
        lines += rows.map { padded($0.0, grouped($0.1)) }
        for fault in SimulationFault.allCases {
            lines.append(padded("  \(fault.rawValue)", grouped(totals?.faults[fault.rawValue] ?? 0)))
        }
        if let digest = totals?.digest, seeds == 1 { lines.append(padded("digest", String(digest, radix: 16))) }
        lines.append(padded("took", "\(Int(seconds)).\(Int(seconds * 10) % 10) s"))
        if let failure {
            lines.append("NOT AS IT SHOULD BE; to repeat it: recall simulate --seed \(failure.seed)")
        } else if !isComplete {
            lines.append("Nothing was wrong, but never injected: \(missing.joined(separator: ", "))")
        } else {
            lines.append("Nothing was wrong.")
        }
        return lines.joined(separator: "\n")
    }

    private func padded(_ name: String, _ value: String) -> String {
        name + String(repeating: " ", count: max(1, 24 - name.count)) + value
    }

    func json(isComplete: Bool) -> JSONValue {
        func number(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(value)) }
        func list(_ lines: [String]) -> JSONValue { .array(lines.map { .string(JSONText($0)) }) }
        var members: [JSONText: JSONValue] = ["ok": .bool(failure == nil && isComplete)]
        for (name, value) in rows where name != "faults" {
            members[JSONText(name == "simulated seconds" ? "simulatedSeconds" : name)] = number(value)
        }
        members["faults"] = .object(
            Dictionary(
                uniqueKeysWithValues: SimulationFault.allCases.map {
                    (JSONText($0.rawValue), number(totals?.faults[$0.rawValue] ?? 0))
                }))
        members["seconds"] = JSONNumber("\(Int(seconds)).\(Int(seconds * 10) % 10)").map { .number($0) } ?? .null
        if seeds == 1, let digest = totals?.digest { members["digest"] = .string(JSONText(String(digest, radix: 16))) }
        if let failure {
            members["failedSeed"] = number(failure.seed)
            members["violations"] = list((shrunk ?? failure).violations)
            members["transcript"] = list((shrunk ?? failure).transcript)
        }
        if !isComplete { members["neverInjected"] = list(missing) }
        return .object(members)
    }
}
