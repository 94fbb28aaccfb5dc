internal import Foundation

/// The outcome of a run.
struct Report: Sendable {
    let name: String
    let seed: UInt64
    let seconds: Double
    let counts: Tally.Counts
    /// Where what was found can be looked at; nil if it was removed.
    let evidence: String?

    private static let problemsShown = 20

    var table: String {
        let rows = Item.allCases.filter { counts.items[$0] != nil || $0.isFailure }
            .map { ($0.rawValue, String(counts[$0])) }
        let width = rows.map(\.0.count).max() ?? 0
        let digits = rows.map(\.1.count).max() ?? 0
        var lines = ["recall-torture \(name), seed \(seed), \(Int(seconds)) s"]
        for (name, count) in rows {
            lines.append(
                "  " + name.padding(to: width) + "  " + String(repeating: " ", count: digits - count.count) + count)
        }
        lines += counts.notes.map { "  \($0)" }
        lines += counts.notRun.map { "NOT RUN: \($0)" }
        lines += counts.problems.prefix(Self.problemsShown).map { "WRONG: \($0)" }
        if counts.problems.count > Self.problemsShown {
            lines.append("… and \(counts.problems.count - Self.problemsShown) more")
        }
        if let evidence { lines.append("logs and journal: \(evidence)") }
        let good = counts.notRun.isEmpty ? "ok" : "ok, but for what was not run"
        lines.append(counts.isGood ? good : "FAILED; the same faults again: --seed \(seed)")
        return lines.joined(separator: "\n")
    }

    var json: String {
        var counted: [String: Int] = [:]
        for item in Item.allCases { counted["\(item)"] = counts[item] }
        let object: [String: Any] = [
            "run": name, "seed": seed, "seconds": (seconds * 10).rounded() / 10, "counts": counted,
            "notes": counts.notes, "notRun": counts.notRun,
            "problems": Array(counts.problems.prefix(100)), "ok": counts.isGood,
            "evidence": evidence.map { $0 as Any } ?? NSNull(),
        ]
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
