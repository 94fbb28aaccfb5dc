internal import Foundation
internal import Recall
internal import RecallClient

/// Tells on standard error what happens to a session behind its caller's back.
struct NoticeWatch {
    enum Style: Sendable { case none, text, json }

    let stream = NoticeStream()
    private let task: Task<Void, Never>

    /// - Parameters:
    ///   - limit: how long the command waits for a server, in words.
    ///   - failed: called when the session has ended.
    init(_ style: Style, limit: String, failed: @escaping @Sendable () -> Void = {}) {
        let notices = stream.notices
        task = Task {
            var story = NoticeStory(limit: limit)
            for await notice in notices {
                if case .failed(.closed, _) = notice { return }  // by this command itself
                switch style {
                case .none: break
                case .text: if let text = story.text(notice) { Output.note("recall: \(text)") }
                case .json: if let value = Self.json(notice) { Output.note(value.encodedText) }
                }
                if case .failed = notice { failed() }
            }
        }
    }

    /// Returns when everything is told.
    func end() async {
        stream.continuation.finish()
        await task.value
    }

    private static func json(_ notice: SessionNotice) -> JSONValue? {
        switch notice {
        case .connected(let endpoint): ["event": "connected", "server": .string(JSONText("\(endpoint)"))]
        case .recalled(let messages, let duration):
            [
                "event": "recalled", "messages": .number(JSONNumber(messages)),
                "microseconds": .number(JSONNumber(duration.microseconds)),
            ]
        case .checkpoint(let number, let byteCount):
            [
                "event": "checkpoint", "at": .number(JSONNumber(number.rawValue)),
                "bytes": .number(JSONNumber(byteCount)),
            ]
        case .adopted(let number): ["event": "adopted", "at": .number(JSONNumber(number.rawValue))]
        case .unreachable(let endpoint, let reason):
            [
                "event": "unreachable", "server": .string(JSONText("\(endpoint)")),
                "reason": .string(JSONText(reason)),
            ]
        case .disconnected(let reason): ["event": "disconnected", "reason": .string(JSONText(reason))]
        case .drained: ["event": "drained"]
        case .refused(let code, let text): ["event": "refused", "reason": .string(JSONText("\(code): \(text)"))]
        case .failed(let code, let text): ["event": "failed", "reason": .string(JSONText("\(code): \(text)"))]
        }
    }
}

/// What a person wants to know of a session's notices: each trouble once, and its end.
struct NoticeStory {
    private let limit: String
    /// What was told since the last connection.
    private var told: Set<String> = []

    init(limit: String) { self.limit = limit }

    mutating func text(_ notice: SessionNotice) -> String? {
        switch notice {
        case .connected(let endpoint):
            guard !told.isEmpty else { return nil }
            told = []
            return "connected to \(endpoint)"
        case .recalled(let messages, let duration):
            return "the server had lost the session and rebuilt it: \(messages) messages in "
                + "\(duration.milliseconds) ms"
        case .adopted(let number): return "the log had lost its tail; it goes on from the server's state at \(number)"
        case .unreachable(let endpoint, let reason):
            return once("no server at \(endpoint) yet (\(reason)); still trying (\(limit))")
        case .disconnected(let reason): return once("disconnected: \(reason); trying again")
        case .drained: return once("the server is going away; trying another")
        case .refused(let code, let text): return once("refused for now, \(code): \(text); trying again")
        case .checkpoint, .failed: return nil  // of a failure its command speaks itself
        }
    }

    private mutating func once(_ text: String) -> String? { told.insert(text).inserted ? text : nil }
}

extension Duration {
    var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
    /// With one decimal.
    var milliseconds: String { "\(microseconds / 1000).\(microseconds % 1000 / 100)" }
}
