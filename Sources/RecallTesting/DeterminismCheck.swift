internal import Foundation
public import Recall
internal import RecallCore
internal import RecallCrypto

/// Runs messages here, replays them in other processes, and compares: Swift seeds its hashes anew in each process, so
/// an update that goes by the order of a `Set` or a `Dictionary` gives itself away.
///
/// ```swift
/// @Test func replaysAlike() async throws {
///     let messages: [any Message<Counter.State>] = [Counter.Add(amount: 2), Counter.Add(amount: 3)]
///     #expect(try await DeterminismCheck.run(Counter(), messages) == nil)
/// }
/// ```
///
/// The other processes are this one's executable, started again: they run to the same call, answer, and exit there.
/// What the program does before that call it does in each of them.
public enum DeterminismCheck {
    /// The first message that is not the same everywhere.
    public struct Difference: Error, Sendable, Hashable, CustomStringConvertible {
        /// Its place among the messages, from 0.
        public var index: Int
        /// The message's type.
        public var message: String
        /// True if the reply differs, false if only the state after it does.
        public var isReply: Bool

        public var description: String {
            "message \(index), \(message), gives another \(isReply ? "reply" : "state") in another process"
        }
    }

    /// - Parameters:
    ///   - host: the kind's instance, with the gateways that its effects need. Effects run here, once.
    ///   - messages: in order. Requests are answered from the state that they find.
    ///   - processes: how many others to compare with; a leak of hash order can by chance look alike in two.
    ///   - arguments: what starts this program so that it comes to this call again; nil, as at first, for a test's own
    ///     name if Swift Testing runs, else for the arguments that this process has. XCTest wants its own:
    ///     `["Module.Class/testName"]`.
    ///   - function: the test that the call is in.
    ///   - file: where the call is, which tells it from others.
    ///   - line: as `file`.
    /// - Returns: the first difference, nil if there is none.
    /// - Throws: what keeps a message from being encoded; `RecallError` if another process cannot be started or does
    ///   not come to this call.
    public static func run<S: Session>(
        _ host: S, _ messages: [any Message<S.State>], processes: Int = 3, arguments: [String]? = nil,
        function: String = #function, file: String = #fileID, line: Int = #line
    ) async throws -> Difference? {
        let place = "\(file):\(line)"
        let environment = ProcessInfo.processInfo.environment
        if let asked = environment[Child.placeName] {
            guard asked == place, let path = environment[Child.fileName] else { return nil }
            try Child.answer(host, path)
        }
        let trial = DeterminismTrial(host)
        var script: [DeterminismTrial<S>.Step] = []
        var names: [String] = []
        for message in messages {
            let (content, isRequest) = try Self.content(of: message, S.self)
            names.append("\(type(of: message))")
            script.append(isRequest ? trial.ask(content) : await trial.perform(content))
        }
        for _ in 0..<max(1, processes) {
            let results = try Child.ask(
                script.map(\.recorded), at: place, arguments: arguments ?? Self.arguments(for: function))
            for (index, (own, other)) in zip(script.map(\.result), results).enumerated() where own != other {
                return Difference(index: index, message: names[index], isReply: own.reply != other.reply)
            }
        }
        return nil
    }

    private static func content<S: Session, M: Message<S.State>>(
        of message: M, _ kind: S.Type
    ) throws -> ([UInt8], isRequest: Bool) {
        let coding = try S.kind.coding(of: M.self)
        return (try coding.content(of: message), coding.isRequest)
    }

    /// A test runner is told to run the calling test alone.
    private static func arguments(for function: String) -> [String] {
        let own = CommandLine.arguments
        guard own.first?.hasSuffix(".xctest") == true || own.contains("--testing-library") else {
            return Array(own.dropFirst())
        }
        return ["--testing-library", "swift-testing", "--filter", NSRegularExpression.escapedPattern(for: function)]
    }
}

/// The other process: what it is asked, and how it answers.
private enum Child {
    static let placeName = "RECALL_DETERMINISM_PLACE"
    static let fileName = "RECALL_DETERMINISM_FILE"

    static func ask(
        _ script: [RecordedMessage], at place: String, arguments: [String]
    ) throws -> [MessageResult] {
        let file = FileManager.default.temporaryDirectory.appending(path: "recall-determinism-\(UUID().uuidString)")
        let answer = URL(filePath: file.path + ".answer")
        defer {
            try? FileManager.default.removeItem(at: file)
            try? FileManager.default.removeItem(at: answer)
        }
        try JSONEncoder().encode(script).write(to: file)
        let process = Process()
        process.executableURL = Bundle.main.executableURL
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        (environment[placeName], environment[fileName]) = (place, file.path)
        // Set, it would give every process the same hashes.
        environment["SWIFT_DETERMINISTIC_HASHING"] = nil
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard let data = try? Data(contentsOf: answer) else {
            throw RecallError(
                .misconfigured, "another process, started with \(arguments), did not come to the check at \(place)")
        }
        return try JSONDecoder().decode([MessageResult].self, from: data)
    }

    /// Replays what the file holds, writes what came of it, and ends the process.
    static func answer<S: Session>(_ host: S, _ path: String) throws -> Never {
        let script = try JSONDecoder().decode([RecordedMessage].self, from: Data(contentsOf: URL(filePath: path)))
        let trial = DeterminismTrial(host)
        try JSONEncoder().encode(script.map(trial.replay)).write(to: URL(filePath: path + ".answer"))
        exit(0)
    }
}

/// A message, and what it took from outside if it is an update.
private struct RecordedMessage: Codable {
    var content: [UInt8]
    var isRequest = false
    var clock: Int64?
    var outcome: [UInt8]?
    /// Refused or failed: never asked again.
    var isSkipped = false
}

/// What a message showed and left.
private struct MessageResult: Codable, Hashable {
    var reply: [UInt8]
    var state: [UInt8]
}

/// One instance, and messages for it.
private final class DeterminismTrial<S: Session> {
    struct Step {
        let recorded: RecordedMessage
        let result: MessageResult
    }

    private let hosted: _Hosted
    private let keys = SessionKeys(root: Digest(), vector: Digest(), .swiftCrypto)
    private let environment = ContextEnvironment(cryptography: .swiftCrypto) {
        WallTime(nanoseconds: Int64(Date().timeIntervalSince1970 * 1000) * 1_000_000)
    }
    private var number = SequenceNumber.zero

    init(_ host: S) { hosted = host.hosted() }

    /// Applies an update as a new one.
    func perform(_ content: [UInt8]) async -> Step {
        number = number.next
        var recorded = RecordedMessage(content: content)
        var reply = ByteWriter()
        var context = UpdateContext(environment: environment, keys: keys, number: number)
        let verdict = hosted.apply(content: content.span.bytes, replaying: false, context: &context, reply: &reply)
        recorded.clock = context.clockReading?.nanoseconds
        switch verdict {
        case .applied: break
        case .effect:
            let (hosted, key) = (hosted, "\(number)")
            let result = await withCheckedContinuation { continuation in
                hosted.launchEffect(key: key) { continuation.resume(returning: $0) }
            }
            if case .success(let outcome) = result {
                recorded.outcome = outcome
                _ = hosted.finishEffect(outcome: outcome.span.bytes, reply: &reply)
            } else {
                recorded.isSkipped = true
                hosted.abandonEffect()
            }
        case .refused, .failed, .broken, .replied:
            recorded.isSkipped = true
            reply = ByteWriter()
        }
        return Step(recorded: recorded, result: MessageResult(reply: reply.bytes, state: state))
    }

    /// Answers a request.
    func ask(_ content: [UInt8]) -> Step {
        let recorded = RecordedMessage(content: content, isRequest: true)
        return Step(recorded: recorded, result: answer(recorded))
    }

    private func answer(_ request: RecordedMessage) -> MessageResult {
        var reply = ByteWriter()
        switch hosted.request(content: request.content.span.bytes, reply: &reply) {
        case .replied, .refused: return MessageResult(reply: reply.bytes, state: state)
        case let verdict: return MessageResult(reply: Array("\(verdict)".utf8), state: state)
        }
    }

    /// Applies an update as a recall does; answers a request as at first.
    func replay(_ recorded: RecordedMessage) -> MessageResult {
        guard !recorded.isRequest else { return answer(recorded) }
        number = number.next
        var reply = ByteWriter()
        var context = UpdateContext(
            environment: environment, keys: keys, number: number,
            replaying: recorded.clock.map { WallTime(nanoseconds: $0) })
        if recorded.isSkipped {
            // Its place is taken, and nothing else.
        } else if let outcome = recorded.outcome {
            _ = hosted.replayEffect(
                content: recorded.content.span.bytes, outcome: outcome.span.bytes, context: &context, reply: &reply)
        } else {
            _ = hosted.apply(
                content: recorded.content.span.bytes, replaying: true, context: &context, reply: &reply)
        }
        return MessageResult(reply: reply.bytes, state: state)
    }

    private var state: [UInt8] {
        var writer = ByteWriter()
        try? hosted.encodeState(into: &writer)
        return writer.bytes
    }
}
