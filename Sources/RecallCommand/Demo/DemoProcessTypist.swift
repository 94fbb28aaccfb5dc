internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallSQLite
internal import Synchronization

/// A typist whose client is a process, `recall send`, that is killed now and then and started again on the same log.
actor DemoProcessTypist: DemoTypist {
    private let session: Int
    private let plan: DemoPlan
    private let tally: DemoTally
    private let server: Address
    private let log: String
    private let folder: String
    private var plain = PlainText()
    /// Every line typed, and the text's length after it: a new process is told all of them, and passes over those that
    /// its log holds.
    private var lines: [[UInt8]] = []
    private var lengths: [Int] = []
    private var acknowledged = 0
    private var process: ChildProcess?
    private var readers: [Task<Void, Never>] = []

    init(_ session: Int, _ plan: DemoPlan, _ tally: DemoTally, server: Address, log: String, folder: String) {
        (self.session, self.plan, self.tally) = (session, plan, tally)
        (self.server, self.log, self.folder) = (server, log, folder)
    }

    func type() async throws {
        try await start()
        var kills = plan.clientKills[...]
        var pace = DemoPace(rate: plan.rate, seed: plan.seed &+ UInt64(session))
        for edit in plan.edits(of: session) {
            try await pace.pause()
            // Ahead of the answers by no more than the window, and a little for what the pipes hold.
            while lines.count - acknowledged >= 128 { try await waitForProcess() }
            try await tally.admit(session)
            try plain.apply(edit)
            lines.append(TextSession.describe(edit).encoded + [0x0a])
            lengths.append(plain.scalars.count)
            while let kill = kills.first, kill < lines.count {
                kills.removeFirst()
                try await killAndRestart()
            }
            try await write(lines[lines.count - 1])
        }
        try await finish()
    }

    private func start() async throws {
        let process = try ChildProcess(
            plan.tool,
            [
                "send", "--kind", "text", "--log", log, "--server", "\(server)", "--window", "64", "--resume",
                "--events", "--parent", "\(getpid())",
            ], in: folder)
        self.process = process
        // The tasks hold the process, not this typist: they end when its output does.
        readers = [
            Task { [weak self] in
                while let lines = try? await process.output.next(), !lines.isEmpty { await self?.read(lines) }
            },
            Task { [weak self] in
                while let lines = try? await process.errors.next(), !lines.isEmpty { await self?.note(lines) }
            },
        ]
    }

    private func killAndRestart() async throws {
        process?.signal(SIGKILL)
        guard await process?.end(within: .seconds(10)) != nil else { throw CommandError("a client does not end") }
        for reader in readers { await reader.value }
        tally.change { $0.clientKills += 1 }
        try await start()
        try await write(lines.dropLast().flatMap { $0 })
    }

    private func write(_ bytes: [UInt8]) async throws {
        do { try await process?.write(bytes) } catch { throw CommandError("a client process has ended: \(error)") }
    }

    private func waitForProcess() async throws {
        if let end = process?.end { throw CommandError("a client process ended by itself: \(end)") }
        try await Task.sleep(for: .milliseconds(1))
    }

    /// Answers come in order, each once. What an earlier process had sent is answered to nobody; the next number tells
    /// that it counts.
    private func read(_ answers: [InputLine]) {
        for answer in answers {
            guard let value = try? JSONValue(parsing: answer.bytes), case .object(let members) = value,
                case .number(let number)? = members["number"], let number = number.integer(Int.self),
                number > acknowledged, number <= lengths.count
            else {
                tally.problem(session, "an unexpected answer: \(String(decoding: answer.bytes, as: UTF8.self))")
                continue
            }
            advance(to: number)
            if members["reply"] != .number(JSONNumber(lengths[number - 1])) {
                tally.problem(
                    session,
                    "update \(number) should have left \(lengths[number - 1]) code points: \(value.encodedText)")
            }
        }
    }

    private func advance(to number: Int) {
        acknowledged = number
        tally.change { $0.sessions[session].acknowledged = number }
    }

    private func note(_ lines: [InputLine]) {
        for line in lines {
            guard let value = try? JSONValue(parsing: line.bytes), case .object(let members) = value,
                members["event"] == "recalled", case .number(let messages)? = members["messages"],
                case .number(let microseconds)? = members["microseconds"]
            else { continue }
            tally.recalled(session, messages: messages.integer() ?? 0, microseconds: microseconds.integer() ?? 0)
        }
    }

    /// No more lines: the process ends when all is acknowledged.
    private func finish() async throws {
        process?.closeInput()
        while process?.end == nil { try await Task.sleep(for: .milliseconds(5)) }
        for reader in readers { await reader.value }
        guard process?.end == .code(0) else {
            return tally.problem(session, "the client process ended with \(process?.end as Any)")
        }
        advance(to: lines.count)
    }

    func check() async throws {
        let client = try await SessionClient<TextSession>.open(
            at: [.tcp(server.host, server.port)], log: SQLiteLog(path: log), mode: .resume, ClientConfiguration(),
            .quiet("recall.demo"))
        let text = try await client.wholeText()
        let head = await client.head.rawValue
        await client.close()
        tally.judge(session, text: text, expected: plain, updates: head, typed: plan.updates)
    }
}
