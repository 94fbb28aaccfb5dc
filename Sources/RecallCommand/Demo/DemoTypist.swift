internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallCore
internal import RecallSQLite
internal import RecallTesting

/// One session of a demonstration and whoever types into it.
protocol DemoTypist: Sendable {
    /// Types everything and waits until all of it is acknowledged.
    func type() async throws
    /// Compares what the session holds with what was typed.
    func check() async throws
}

/// The pauses between keystrokes.
struct DemoPace: Sendable {
    private let rate: Int
    private var random: SeededGenerator
    private var owed = Duration.zero

    init(rate: Int, seed: UInt64) { (self.rate, random) = (rate, SeededGenerator(seed: seed)) }

    /// Between half and one and a half of the usual pause. Short ones are saved up: a timer has its own idea of them.
    mutating func pause() async throws {
        guard rate > 0 else { return await Task.yield() }
        owed += .microseconds((500 + random.below(1000)) * 1000 / rate)
        guard owed >= .milliseconds(1) else { return }
        defer { owed = .zero }
        try await Task.sleep(for: owed)
    }
}

/// A typist whose client is in this process, with its log in a file.
actor DemoLocalTypist: DemoTypist {
    private struct Answer: Sendable {
        var length: Int
        var sent: ContinuousClock.Instant
        var task: Task<CallResult, any Error>
    }

    /// Keystrokes on their way.
    private static let window = 64

    private let session: Int
    private let plan: DemoPlan
    private let tally: DemoTally
    private let client: SessionClient<TextSession>
    private let watch: Task<Void, Never>
    private var plain = PlainText()
    private var unanswered = 0

    init(_ session: Int, _ plan: DemoPlan, _ tally: DemoTally, server: Address, log: String) async throws {
        (self.session, self.plan, self.tally) = (session, plan, tally)
        var configuration = ClientConfiguration()
        configuration.backoffCeiling = .milliseconds(500)
        let client = try await SessionClient<TextSession>.open(
            at: [.tcp(server.host, server.port)], log: SQLiteLog(path: log), mode: .initiate, configuration,
            .quiet("recall.demo"))
        self.client = client
        watch = Task {
            for await notice in client.notices {
                if case .recalled(let messages, let duration) = notice {
                    tally.recalled(session, messages: messages, microseconds: duration.microseconds)
                } else if case .failed(let code, let text) = notice, code != .closed {
                    tally.problem(session, "\(code): \(text)")
                }
            }
        }
    }

    func type() async throws {
        let (answers, continuation) = AsyncStream.makeStream(of: Answer.self)
        async let reading: Void = read(answers)
        do {
            defer { continuation.finish() }
            var pace = DemoPace(rate: plan.rate, seed: plan.seed &+ UInt64(session))
            for edit in plan.edits(of: session) {
                try await pace.pause()
                while unanswered >= Self.window { try await Task.sleep(for: .milliseconds(1)) }
                try await tally.admit(session)
                continuation.yield(try send(edit))
            }
        }
        try await reading
    }

    private func send(_ edit: TextEdit) throws -> Answer {
        try plain.apply(edit)
        let content = try TextSession.kind.coding(of: TextEdit.self).content(of: edit)
        unanswered += 1
        return Answer(length: plain.scalars.count, sent: .now, task: client.submit(content))
    }

    /// Takes the answers in order. Each tells the text's length, so that a lost or doubled keystroke shows at once.
    private func read(_ answers: AsyncStream<Answer>) async throws {
        var number = 0
        for await answer in answers {
            let result = try await answer.task.value
            number += 1
            unanswered -= 1
            let wait = (ContinuousClock.now - answer.sent).microseconds
            tally.change {
                $0.sessions[session].acknowledged += 1
                $0.longestWait = max($0.longestWait, wait)
            }
            switch result {
            case .reply(let bytes):
                let length = try TextSession.kind.coding(of: TextEdit.self).reply(from: bytes.span.bytes).codePoints
                if length != answer.length {
                    tally.problem(
                        session, "after update \(number) the text has \(length) code points, not \(answer.length)")
                }
            case .rejected: tally.problem(session, "update \(number) was rejected")
            case .failed(let code, let text): tally.problem(session, "update \(number) failed, \(code): \(text)")
            }
        }
    }

    func check() async throws {
        let text = try await client.wholeText()
        let head = await client.head.rawValue
        await client.close()
        watch.cancel()
        tally.judge(session, text: text, expected: plain, updates: head, typed: plan.updates)
    }
}

extension DemoTally {
    /// Compares a session's end with what was typed into it.
    func judge(_ session: Int, text: String, expected: PlainText, updates: UInt64, typed: Int) {
        change { counts in
            let updates = Int(clamping: updates)
            counts.updatesLost += max(0, typed - updates)
            counts.updatesDuplicated += max(0, updates - typed)
            if Array(text.unicodeScalars) != expected.scalars { counts.stateMismatches += 1 }
        }
    }
}
