internal import RecallTesting

/// What many runs of the simulator add up to.
struct SimulationTally {
    private(set) var seeds = 0
    private(set) var totals: SimulationReport?
    /// The first run that failed.
    private(set) var failure: SimulationReport?
    /// Its shortest scenario that still fails.
    var shrunk: SimulationReport?
    /// What is shown of a failure: the shortest, unless nothing was wrong with it.
    private var shown: SimulationReport? { shrunk.map { $0.violations.isEmpty ? failure : $0 } ?? failure }
    var seconds = 0.0
    /// One for each run, in order, as long as they are few.
    private(set) var digests: [UInt64] = []
    /// Of all runs, in order.
    private var digest: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ report: SimulationReport) {
        seeds += 1
        digest = (digest ^ report.digest) &* 0x100_0000_01b3
        if digests.count < 100 { digests.append(report.digest) }
        if !report.violations.isEmpty, failure == nil { failure = report }
        guard var sum = totals else { return totals = report }
        for (fault, count) in report.faults { sum.faults[fault, default: 0] += count }
        for (fault, count) in report.ambientFaults { sum.ambientFaults[fault, default: 0] += count }
        sum.shapes.merge(report.shapes, uniquingKeysWith: +)
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

    /// Faults that were never injected, and shapes of work that no session had.
    var missing: [String] {
        TrafficShape.allCases.map(\.rawValue).filter { (totals?.shapes[$0] ?? 0) == 0 }.map { "sessions of \($0)" }
            + SimulationFault.allCases.map(\.rawValue).filter { (totals?.faults[$0] ?? 0) == 0 }
            + AmbientFault.allCases.map(\.name).filter { (totals?.ambientFaults[$0] ?? 0) == 0 }
    }

    var plannedFaults: Int { totals?.faults.values.reduce(0, +) ?? 0 }
    var ambientFaults: Int { totals?.ambientFaults.values.reduce(0, +) ?? 0 }
    var faults: Int { plannedFaults + ambientFaults }

    var progress: String {
        let seconds = grouped(Int(totals?.simulatedSeconds ?? 0))
        return "\(grouped(seeds)) seeds, \(grouped(faults)) faults, \(seconds) s simulated, "
            + "\(grouped(totals?.recalls ?? 0)) recalls"
    }

    // MARK: Reports

    private var rows: [(String, Int)] {
        guard let totals else { return [] }
        return [
            ("seeds", seeds), ("simulated seconds", Int(totals.simulatedSeconds)), ("events", totals.events),
            ("messages", totals.messages), ("connections", totals.connections), ("recalls", totals.recalls),
            ("checkpoints", totals.checkpoints), ("adoptions", totals.adoptions), ("effects", totals.effects),
        ]
    }

    private var faultRows: [String] {
        var lines = [padded("faults", grouped(faults)), padded("  planned", grouped(plannedFaults))]
        for fault in SimulationFault.allCases {
            lines.append(padded("    \(fault.rawValue)", grouped(totals?.faults[fault.rawValue] ?? 0)))
        }
        lines.append(padded("  ambient", grouped(ambientFaults)))
        for fault in AmbientFault.allCases {
            lines.append(padded("    \(fault.name)", grouped(totals?.ambientFaults[fault.name] ?? 0)))
        }
        return lines
    }

    func table(isComplete: Bool) -> String {
        var lines: [String] = []
        if let failure, let report = shown {
            lines += report.transcript
            lines += ["", "SEED \(failure.seed) FAILS"] + report.violations.map { "  ! \($0)" } + [""]
        } else if seeds == 1, let transcript = totals?.transcript {
            lines += transcript
        }
        lines += rows.map { padded($0.0, grouped($0.1)) }
        lines.append(padded("sessions", grouped(totals?.shapes.values.reduce(0, +) ?? 0)))
        lines += TrafficShape.allCases.map { padded("    \($0.rawValue)", grouped(totals?.shapes[$0.rawValue] ?? 0)) }
        lines += faultRows
        lines.append(padded("digest", shownDigest))
        lines.append(padded("took", "\(Int(seconds)).\(Int(seconds * 10) % 10) s"))
        if let failure {
            lines.append("NOT AS IT SHOULD BE; to repeat it: recall simulate --seed \(failure.seed)")
        } else if !isComplete {
            lines.append("Nothing was wrong, but never came to be: \(missing.joined(separator: ", "))")
        } else {
            lines.append("Nothing was wrong.")
        }
        return lines.joined(separator: "\n")
    }

    private var shownDigest: String { String(seeds == 1 ? totals?.digest ?? 0 : digest, radix: 16) }

    private func padded(_ name: String, _ value: String) -> String {
        name + String(repeating: " ", count: max(1, 27 - name.count)) + value
    }

    func json(isComplete: Bool) -> JSONValue {
        func number(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(value)) }
        func list(_ lines: [String]) -> JSONValue { .array(lines.map { .string(JSONText($0)) }) }
        var members: [JSONText: JSONValue] = ["ok": .bool(failure == nil && isComplete)]
        for (name, value) in rows {
            members[JSONText(name == "simulated seconds" ? "simulatedSeconds" : name)] = number(value)
        }
        members["sessions"] = .object(
            Dictionary(
                uniqueKeysWithValues: TrafficShape.allCases.map {
                    (JSONText($0.rawValue), number(totals?.shapes[$0.rawValue] ?? 0))
                }))
        members["faults"] = number(faults)
        members["planned"] = .object(
            Dictionary(
                uniqueKeysWithValues: SimulationFault.allCases.map {
                    (JSONText($0.rawValue), number(totals?.faults[$0.rawValue] ?? 0))
                }))
        members["ambient"] = .object(
            Dictionary(
                uniqueKeysWithValues: AmbientFault.allCases.map {
                    (JSONText($0.name), number(totals?.ambientFaults[$0.name] ?? 0))
                }))
        members["seconds"] = JSONNumber("\(Int(seconds)).\(Int(seconds * 10) % 10)").map { .number($0) } ?? .null
        members["digest"] = .string(JSONText(shownDigest))
        if seeds <= digests.count { members["digests"] = list(digests.map { String($0, radix: 16) }) }
        if let failure, let report = shown {
            members["failedSeed"] = number(failure.seed)
            members["violations"] = list(report.violations)
            members["transcript"] = list(report.transcript)
        }
        if !isComplete { members["neverInjected"] = list(missing) }
        return .object(members)
    }
}
