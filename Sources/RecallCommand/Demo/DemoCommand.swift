internal import ArgumentParser
internal import Foundation

/// `recall demo`
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kill servers again and again while people type, and count what gets lost.",
        discussion: """
            Starts 'recall serve' as a process and types into many sessions at once. At random moments the server is \
            killed (SIGKILL) and started again in an empty directory with nothing but its key file; one client is a \
            process that is killed, too. In the end the server is replaced once more, and each session's text compared \
            with one that was computed independently.

            Exits with 0 only if nothing was lost, nothing came twice and no text differs.
            """)

    @Option(help: ArgumentHelp("Sessions at once.", valueName: "number"))
    var sessions = 10

    @Option(help: ArgumentHelp("Keystrokes in each; 2000, or all of the trace.", valueName: "number"))
    var updates: Int?

    @Option(help: ArgumentHelp("Times that the server is killed.", valueName: "number"))
    var kills = 20

    @Option(help: ArgumentHelp("Times that the client process is killed.", valueName: "number"))
    var clientKills = 3

    @Option(
        help: ArgumentHelp(
            "Keystrokes a second in each session, 0 for no pauses; 250, or 0 with a trace.", valueName: "number"))
    var rate: Int?

    @Option(
        help: ArgumentHelp(
            "Type this recording, in the form of github.com/josephg/editing-traces, gzipped or not.",
            valueName: "file"), completion: .file())
    var trace: String?

    @Option(help: ArgumentHelp("Decides what is typed and when the kills come.", valueName: "number"))
    var seed: UInt64?

    @Flag(help: "Print one JSON object at the end and nothing else.")
    var json = false

    @Flag(help: "Leave the logs and the servers' directories behind, and say where.")
    var keep = false

    /// The executable to start, when this process is none (in a test).
    @Option(help: .hidden) var tool: String?

    func validate() throws {
        guard (1...1000).contains(sessions) else { throw ValidationError("--sessions must be 1 to 1000") }
        guard (1...10_000_000).contains(updates ?? 1) else {
            throw ValidationError("--updates must be 1 to 10000000")
        }
        guard (0...10_000).contains(kills), (0...1000).contains(clientKills) else {
            throw ValidationError("--kills must be 0 to 10000, --client-kills 0 to 1000")
        }
        guard (0...1_000_000).contains(rate ?? 0) else { throw ValidationError("--rate must be 0 to 1000000") }
    }

    func run() async throws {
        let plan = DemoPlan(
            sessions: sessions, updates: updates, serverKills: kills, clientKills: clientKills, rate: rate,
            recording: try recording(), seed: seed ?? UInt64.random(in: 0..<1_000_000), tool: try executable())
        let folder = FileManager.default.temporaryDirectory.appending(path: "recall-demo-\(getpid())-\(plan.seed)")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let isKept = keep
        let cleanUp: @Sendable () -> Void = { if !isKept { Interruption.remove(folder) } }
        let interruption = Interruption(cleanUp: cleanUp)
        defer {
            interruption.end()
            cleanUp()
        }
        if keep { Output.note("recall: everything is in \(folder.path)") }
        let tally = DemoTally(sessions: plan.sessions)
        let screen = DemoScreen(json ? .none : Output.isTerminal ? .picture : .lines, plan)
        let began = ContinuousClock.now
        try await DemoRun(plan: plan, tally: tally, screen: screen, folder: folder).run()
        let seconds = Double((ContinuousClock.now - began).microseconds) / 1e6
        await screen.end()
        let report = DemoReport(plan: plan, counts: tally.now, seconds: seconds)
        if json { try Output.line(report.json) } else { try Output.line(report.table) }
        if !report.counts.isPerfect { throw ExitCode.failure }
    }

    /// What to type, checked before it is typed.
    private func recording() throws -> [TextEdit]? {
        guard let trace else { return nil }
        do {
            let recorded = try Trace(try readFile(trace, limit: Trace.maximumBytes))
            if updates == nil { _ = try recorded.checkedText() }
            guard !recorded.edits.isEmpty else { throw CommandError("the trace has no patches") }
            return recorded.editsFromEmpty
        } catch {
            throw CommandError("\(trace): \(error)")
        }
    }

    private func executable() throws -> String {
        if let tool { return tool }
        guard let path = Bundle.main.executablePath else {
            throw CommandError("this process does not know its own executable")
        }
        return path
    }
}

/// The outcome of a demonstration.
struct DemoReport {
    let plan: DemoPlan
    let counts: DemoTally.Counts
    let seconds: Double

    private func milliseconds(_ microseconds: Int64) -> String {
        "\(microseconds / 1000).\(microseconds % 1000 / 100)"
    }

    private func number(_ value: some BinaryInteger) -> JSONValue { .number(JSONNumber(value)) }

    private func decimal(_ text: String) -> JSONValue { JSONNumber(text).map { .number($0) } ?? .null }

    var json: JSONValue {
        [
            "sessions": number(plan.sessions), "updatesPerSession": number(plan.updates), "seed": number(plan.seed),
            "updatesTyped": number(counts.typed), "updatesAcknowledged": number(counts.acknowledged),
            "updatesLost": number(counts.updatesLost), "updatesDuplicated": number(counts.updatesDuplicated),
            "stateMismatches": number(counts.stateMismatches), "filesLeftByServers": number(counts.filesLeft),
            "serverKills": number(counts.serverKills), "clientKills": number(counts.clientKills),
            "recalls": number(counts.recalls.count), "messagesReplayed": number(counts.messagesReplayed),
            "recallMilliseconds": [
                "p50": decimal(milliseconds(counts.recalls.percentile(50))),
                "p99": decimal(milliseconds(counts.recalls.percentile(99))),
                "max": decimal(milliseconds(counts.recalls.max() ?? 0)),
            ],
            "longestWaitMilliseconds": decimal(milliseconds(counts.longestWait)),
            "seconds": decimal(secondsText),
            "problems": .array(counts.problems.prefix(20).map { .string(JSONText($0)) }),
            "ok": .bool(counts.isPerfect),
        ]
    }

    private func times(_ count: Int) -> String { count == 1 ? "once" : "\(grouped(count)) times" }

    private var secondsText: String { "\(Int(seconds)).\(Int(seconds * 10) % 10)" }

    var table: String {
        let p50 = milliseconds(counts.recalls.percentile(50)), p99 = milliseconds(counts.recalls.percentile(99))
        let most = milliseconds(counts.recalls.max() ?? 0)
        let rows = [
            ("sessions", grouped(plan.sessions)),
            ("keystrokes acknowledged", grouped(counts.acknowledged)),
            ("server killed", "\(times(counts.serverKills)), then replaced once"),
            ("client process killed", times(counts.clientKills)),
            ("sessions recalled", "\(times(counts.recalls.count)), \(grouped(counts.messagesReplayed)) messages"),
            ("time of a recall", "half within \(p50) ms, 99 % within \(p99) ms, all within \(most) ms"),
            ("longest wait for an answer", "\(milliseconds(counts.longestWait)) ms"),
            ("files that servers left", "\(counts.filesLeft)"),
            ("keystrokes lost", "\(counts.updatesLost)"),
            ("keystrokes doubled", "\(counts.updatesDuplicated)"),
            ("texts that differ", "\(counts.stateMismatches)"),
            ("took", "\(secondsText) s"),
        ]
        let width = rows.map(\.0.count).max() ?? 0
        var lines = rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count + 3) + $0.1 }
        lines += counts.problems.prefix(20).map { "  ! \($0)" }
        lines.append(counts.isPerfect ? "Nothing was lost." : "NOT AS IT SHOULD BE; to repeat it: --seed \(plan.seed)")
        return "\n" + lines.joined(separator: "\n")
    }
}
