internal import Foundation

/// Reads a session through a server that was just started, and compares it with the record.
struct Judge: Sendable {
    let workspace: Workspace
    /// Each judgement takes four processes.
    private let turnstile = Turnstile(3)

    init(_ workspace: Workspace) { self.workspace = workspace }

    /// The session's client has ended. False if anything is wrong: then its log is to be kept.
    func judge(_ record: SessionRecord, isComplete: Bool) async -> Bool {
        await turnstile.pass {
            do throws(TortureError) {
                return try await compare(record, isComplete)
            } catch {
                workspace.tally.problem("\(record.name): cannot be compared: \(error)")
                return false
            }
        }
    }

    private func compare(_ record: SessionRecord, _ isComplete: Bool) async throws(TortureError) -> Bool {
        let known = record.now
        guard access(record.log, F_OK) == 0 else {
            if known.answered > 0 {
                workspace.tally.problem("\(record.name): the log is gone", .lost, count: known.answered)
            }
            return known.answered == 0
        }
        let server = try await ServerProcess.listening(workspace)
        let request = try await ToolRun(
            workspace,
            [
                "request", "--log", record.log, "--server", "127.0.0.1:\(server.port)", "--patience", "60",
            ] + (record.kind == .text ? ["--json"] : []), within: 90)
        _ = await server.kill()
        let verification = try await ToolRun(workspace, ["log", "verify", "--json", record.log], within: 60)
        if known.answered == 0, Self.isEmptyLog(request), Self.isEmptyLog(verification) {
            return true  // killed before the session began
        }
        workspace.tally.add(.comparisons)
        var problems = Problems(record.name)
        if !request.isGood { problems.add("cannot be read: \(request.failure)") }
        if !verification.isGood { problems.add("the log does not verify: \(verification.failure)") }
        let report = jsonObject(verification.text)
        if verification.isGood, report?["ok"] as? Bool != true {
            problems.add("the log does not verify: \(verification.text.prefix(200))")
        }
        if request.isGood {
            let applied =
                record.kind == .text
                ? problems.compareText(request.text, known) : problems.compareDocument(request.text, known)
            if let applied, let last = report?["last"] as? Int, last != applied {
                problems.add("the state is that of \(applied) updates, the log holds \(last)")
            }
            if isComplete, let applied, applied != known.updates.count {
                problems.add("\(applied) updates are applied, of \(known.updates.count) sent")
            }
        }
        problems.report(to: workspace.tally)
        return problems.isEmpty
    }

    private static func isEmptyLog(_ run: ToolRun) -> Bool {
        run.errors.contains { $0.contains("holds no session") }
    }
}

/// What is wrong with one session.
private struct Problems {
    private let name: String
    private var lost: [String] = []
    private var twice: [String] = []
    private var others: [String] = []

    init(_ name: String) { self.name = name }

    var isEmpty: Bool { lost.isEmpty && twice.isEmpty && others.isEmpty }

    mutating func add(_ text: String) { others.append(text) }

    /// How many updates made this text; nil if that cannot be said.
    mutating func compareText(_ output: String, _ known: SessionRecord.State) -> Int? {
        let value = try? JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed)
        guard let text = value as? String else {
            add("the text cannot be read: \(output.prefix(200))")
            return nil
        }
        var names = text.components(separatedBy: ";")
        if names.removeLast() != "" { add("something follows the last update: \(text.suffix(40))") }
        var counts: [String: Int] = [:]
        for name in names { counts[name, default: 0] += 1 }
        lost = known.updates.prefix(known.answered).filter { counts[$0.name] == nil }.map(\.name)
        twice = counts.filter { $0.value > 1 }.map(\.key)
        let sent = Set(known.updates.map(\.name))
        let unknown = counts.keys.filter { !sent.contains($0) }
        if !unknown.isEmpty { add("\(unknown.count) updates that nobody sent: \(unknown.prefix(5))") }
        let expected = ExpectedState.names(after: known.updates.prefix(names.count))
        if names != expected, lost.isEmpty, twice.isEmpty, unknown.isEmpty { add("the updates are in another order") }
        return names.count
    }

    mutating func compareDocument(_ output: String, _ known: SessionRecord.State) -> Int? {
        guard let object = jsonObject(output), let members = object as? [String: Int] else {
            add("the document cannot be read: \(output.prefix(200))")
            return nil
        }
        let applied = max(0, members["last"] ?? 0)
        if applied < known.answered { lost = known.updates[applied..<known.answered].map(\.name) }
        let expected = ExpectedState.members(after: known.updates.prefix(applied))
        lost += expected.keys.filter { members[$0] == nil }
        // A member that a later update had deleted is there again only if its own was applied once more.
        twice = members.keys.filter { expected[$0] == nil }
        let different = members.filter { expected[$0.key] != nil && expected[$0.key] != $0.value }
        if !different.isEmpty { add("other values: \(different.prefix(5))") }
        return applied
    }

    func report(to tally: Tally) {
        if !lost.isEmpty {
            tally.problem("\(name): \(lost.count) lost: \(lost.prefix(5))", .lost, count: lost.count)
        }
        if !twice.isEmpty {
            tally.problem("\(name): \(twice.count) applied twice: \(twice.prefix(5))", .twice, count: twice.count)
        }
        for text in others { tally.problem("\(name): \(text)") }
    }
}
