internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallCore

/// Sends lines of input as updates, many on their way at a time, and prints the answers in the lines' order.
struct LineSender<K: ToolKind> {
    private struct Pending: Sendable {
        var number: UInt64
        var answer: Task<CallResult, any Error>
    }

    private let client: SessionClient<K>
    private let window: Int
    private let patience: Duration?
    /// The number of the last update that was handed to the client or is in the log.
    private var number: UInt64
    /// Updates of the input that the log holds already.
    private var toPass: UInt64
    private var pending = Queue<Pending>()
    private var (applied, passed, rejected, failed, malformed) = (0, 0, 0, 0, 0)

    init(_ client: SessionClient<K>, head: UInt64, window: Int, resume: Bool, patience: Duration?) {
        (self.client, self.window, self.patience) = (client, window, patience)
        number = head
        toPass = resume ? head : 0
    }

    /// Sends all lines, and returns when each has its answer and the log has no update without one.
    mutating func sendAll(_ reader: LineReader) async throws {
        while case let lines = try await reader.next(), !lines.isEmpty {
            for line in lines where !line.isBlank {
                guard let content = content(of: line) else { continue }
                if toPass > 0 {
                    toPass -= 1
                    passed += 1
                    continue
                }
                while pending.count >= window { try await answerOne() }
                submit(content)
            }
            // Answers that are there are printed before waiting for more input: somebody may wait for them.
            while !pending.isEmpty { try await answerOne() }
        }
        try await settle()
    }

    /// The update of a line, encoded; nil, and a word on standard error, if it is none.
    private mutating func content(of line: InputLine) -> [UInt8]? {
        do {
            guard !line.isTooLong else { throw CommandError("longer than a message may be") }
            let change = try K.change(from: try JSONValue(parsing: line.bytes))
            var writer = ByteWriter()
            _ = try K.kind.encode(change, into: &writer)
            return writer.bytes
        } catch {
            malformed += 1
            let reason = (error as? RecallError)?.message ?? "\(error)"
            Output.note("recall: line \(line.number) is not sent: \(reason)")
            return nil
        }
    }

    private mutating func submit(_ content: [UInt8]) {
        number += 1
        pending.append(Pending(number: number, answer: client.submit(content)))
    }

    private mutating func answerOne() async throws {
        guard let first = pending.popFirst() else { return }
        let result = try await waiting {
            // Awaiting a task's value does not end with the waiter's cancellation; the call itself does.
            try await withTaskCancellationHandler {
                try await first.answer.value
            } onCancel: {
                first.answer.cancel()
            }
        }
        var members: [JSONText: JSONValue] = ["number": .number(JSONNumber(first.number))]
        switch result {
        case .reply(let bytes):
            applied += 1
            members["reply"] = K.describe(try K.kind.reply(to: K.Change.self, from: bytes.span.bytes))
        case .rejected(let bytes):
            rejected += 1
            let rejection = try K.kind.rejection(of: K.Change.self, from: bytes.span.bytes)
            members["rejected"] = .string(JSONText("\(rejection)"))
        case .failed(let code, let text):
            failed += 1
            members["failed"] = .string(JSONText("\(code): \(text)"))
        }
        try Output.line(.object(members))
    }

    /// Waits until a server has acknowledged everything in the log, also what an earlier run left there.
    private func settle() async throws {
        let client = client
        try await waiting {
            while await client.acknowledged < client.head { try await Task.sleep(for: .milliseconds(5)) }
        }
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
            throw CommandError(
                "no server answered within \(patience.components.seconds) s. What was sent is in the log: run the "
                    + "command again with the same --log to go on.")
        }
    }

    /// Says what was not applied; true if all was.
    func report(quiet: Bool) -> Bool {
        if !quiet, passed > 0 { Output.note("recall: passed over \(passed) updates that the log holds already") }
        let problems = [
            (rejected, "rejected"), (failed, "failed"), (malformed, "malformed and not sent"),
        ].filter { $0.0 > 0 }
        guard !problems.isEmpty else { return true }
        let list = problems.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        Output.note("recall: of \(applied + rejected + failed + malformed) lines, \(list)")
        return false
    }
}

/// First in, first out; what was taken is let go in batches.
struct Queue<Element> {
    private var elements: [Element?] = []
    private var start = 0

    var count: Int { elements.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard start < elements.count else { return nil }
        defer { start += 1 }
        let first = elements[start].take()
        if start >= 1024, start * 2 > elements.count {
            elements.removeFirst(start)
            start = 0
        }
        return first
    }
}
