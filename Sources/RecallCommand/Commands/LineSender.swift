internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallCore

/// Sends lines of input as updates, many on their way at a time, and prints the answers in the updates' order.
struct LineSender<K: ToolKind> {
    /// An update that is in the log, or on its way there, and has no answer yet.
    private struct Pending: Sendable {
        enum Source: Sendable {
            /// An earlier run left it in the log.
            case log(AsyncStream<CallResult>)
            /// The input's line, and the call that carries it.
            case input(line: Int, Task<CallResult, any Error>)
        }
        var number: UInt64
        var source: Source

        /// Nil if the client was closed.
        func result() async throws -> CallResult? {
            switch source {
            case .log(let answers):
                for await answer in answers { return answer }
                return nil
            case .input(_, let call):
                // Awaiting a task's value does not end with the waiter's cancellation; the call itself does.
                return try await withTaskCancellationHandler {
                    try await call.value
                } onCancel: {
                    call.cancel()
                }
            }
        }
    }

    private let client: SessionClient<K>
    private let window: Int
    private let patience: Duration?
    /// The number of the last update that was handed to the client or is in the log.
    private var number: UInt64
    /// Updates of the input that the log holds already.
    private var toPass: UInt64
    private var pending = Fifo<Pending>()
    /// The last line that was handed over, or was none.
    private var lastLine = 0
    /// True once all input was read.
    private var isInputOver = false
    private var tally = SendTally()

    init(_ client: SessionClient<K>, head: UInt64, window: Int, resume: Bool, patience: Duration?) {
        (self.client, self.window, self.patience) = (client, window, patience)
        number = head
        toPass = resume ? head : 0
        guard let recovered = client.recovered else { return }
        for (number, answer) in recovered.updates {
            pending.append(Pending(number: number.rawValue, source: .log(answer)))
        }
    }

    /// Sends all lines, and returns when each update has its answer: first those that an earlier run left in the log.
    /// If the session ends, or nobody answers within the patience, says of each other update what is known, and throws.
    mutating func sendAll(_ reader: LineReader) async throws -> SendTally {
        do {
            try await answerAll()
            while true {
                let lines = try await reader.next()
                isInputOver = lines.isEmpty
                if isInputOver { break }
                for line in lines where !line.isBlank { try await send(line) }
                // Answers that are there are printed before waiting for more input: somebody may wait for them.
                try await answerAll()
            }
            if let failure = await client.failure { throw failure }
            return tally
        } catch {
            let ending = await client.failure ?? error
            await giveUp(ending)
            throw SendFailure(ending, tally)
        }
    }

    private mutating func send(_ input: InputLine) async throws {
        if let content = content(of: input) {
            if toPass > 0 {
                toPass -= 1
                tally.passed += 1
            } else {
                while pending.count >= window { try await answerOne() }
                number += 1
                pending.append(
                    Pending(number: number, source: .input(line: input.number, client.submit(content))))
            }
        }
        lastLine = input.number
    }

    /// The update of a line, encoded; nil, and a word on standard error, if it is none.
    private mutating func content(of line: InputLine) -> [UInt8]? {
        do {
            guard !line.isTooLong else { throw CommandError("longer than a message may be") }
            let change = try K.change(from: try JSONValue(parsing: line.bytes))
            return try K.kind.coding(of: K.Change.self).content(of: change)
        } catch {
            tally.malformed += 1
            let reason = (error as? RecallError)?.message ?? "\(error)"
            Output.note("recall: line \(line.number) is not sent: \(reason)")
            return nil
        }
    }

    private mutating func answerAll() async throws {
        while !pending.isEmpty { try await answerOne() }
    }

    private mutating func answerOne() async throws {
        guard let first = pending.first else { return }
        let result = try await waiting { try await first.result() }
        // Everybody who waits is told of a session's end; that says nothing about the single update.
        if case .failed(let code, let text)? = result, let failure = await client.failure,
            failure.code == code, failure.message == text
        {
            throw failure
        }
        guard let result else { throw RecallError(.closed, "the client was closed") }
        _ = pending.popFirst()
        try answer(first, result)
    }

    private mutating func answer(_ update: Pending, _ result: CallResult) throws {
        let coding = try K.kind.coding(of: K.Change.self)
        let (name, value): (JSONText, JSONValue)
        switch result {
        case .reply(let bytes):
            (name, value) = ("reply", K.describe(try coding.reply(from: bytes.span.bytes)))
            tally.applied += 1
        case .rejected(let bytes):
            let rejection = try coding.rejection(from: bytes.span.bytes)
            (name, value) = ("rejected", .string(JSONText("\(rejection)")))
            tally.rejected += 1
        case .failed(let code, let text):
            (name, value) = (code == .outcomeUnknown ? "unknown" : "failed", .string(JSONText("\(code): \(text)")))
            if code == .outcomeUnknown { tally.unknown += 1 } else { tally.failed += 1 }
        }
        try Output.line(.object(["number": .number(JSONNumber(update.number)), name: value]))
    }

    /// Gives up after the patience, if there is a limit to it.
    private func waiting<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        guard let patience else { return try await body() }
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: patience)
                return nil
            }
            defer { group.cancelAll() }
            if let first = try await group.next(), let result = first { return result }
            throw RecallError(.unreachable, "no server answered within \(patience.components.seconds) s")
        }
    }

    /// Nothing more is waited for: an update without an answer is in the log, where the next run finds it, or was never
    /// taken on.
    private mutating func giveUp(_ error: any Error) async {
        // Where the output is gone nothing can be said any more.
        guard error is RecallError else { return }
        // What is on its way into the log gets there first, answers among it.
        await client.close()
        let (persisted, failure) = (await client.persisted.rawValue, await client.failure)
        while let update = pending.popFirst() {
            let result = try? await update.result()
            if let result, !Self.isEnding(result, failure) {
                try? answer(update, result)
            } else if update.number <= persisted {
                tally.unknown += 1
                try? Output.line([
                    "number": .number(JSONNumber(update.number)), "unknown": .string(JSONText("\(error)")),
                ])
            } else if case .input(let line, _) = update.source {
                (lastLine, isInputOver) = (min(lastLine, line - 1), false)
            }
        }
        if isInputOver { return }
        Output.note("recall: the input after line \(lastLine) is not sent")
    }

    /// True for what everybody is told when a session ends.
    private static func isEnding(_ result: CallResult, _ failure: RecallError?) -> Bool {
        guard case .failed(let code, let text) = result else { return false }
        return code == .closed || (failure?.code == code && failure?.message == text)
    }
}

/// What became of the lines of `recall send`.
struct SendTally: Hashable, Sendable {
    var (applied, passed, rejected, failed, unknown, malformed) = (0, 0, 0, 0, 0, 0)

    /// Says what was not applied; true if all was.
    func report(quiet: Bool) -> Bool {
        if !quiet, passed > 0 { Output.note("recall: passed over \(passed) updates that the log holds already") }
        let problems = [
            (rejected, "rejected"), (failed, "failed"), (unknown, "unknown"), (malformed, "malformed and not sent"),
        ].filter { $0.0 > 0 }
        guard !problems.isEmpty else { return true }
        let list = problems.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        Output.note("recall: of \(applied + rejected + failed + unknown + malformed) updates, \(list)")
        return false
    }
}

/// Why `recall send` ended before its input did, and how far it came.
struct SendFailure: Error {
    var reason: any Error
    var tally: SendTally

    init(_ reason: any Error, _ tally: SendTally) { (self.reason, self.tally) = (reason, tally) }
}
