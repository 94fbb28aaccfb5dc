internal import Foundation
internal import Recall
internal import RecallClient

/// Tells on standard error what happens to a session behind its caller's back.
struct NoticeWatch {
    enum Style: Sendable { case none, text, json }

    private let task: Task<Void, Never>

    init(_ notices: AsyncStream<SessionNotice>, style: Style) {
        task = Task {
            for await notice in notices {
                if case .failed(.closed, _) = notice { return }  // by this command itself
                switch style {
                case .none: break
                case .text: if let text = Self.text(notice) { Output.note("recall: \(text)") }
                case .json: if let value = Self.json(notice) { Output.note(value.encodedText) }
                }
            }
        }
    }

    func end() { task.cancel() }

    /// What a person wants to know.
    private static func text(_ notice: SessionNotice) -> String? {
        switch notice {
        case .recalled(let messages, let duration):
            "the server had lost the session and rebuilt it: \(messages) messages in \(duration.milliseconds) ms"
        case .adopted(let number): "the log had lost its tail; it goes on from the server's state at \(number)"
        case .disconnected(let reason): "disconnected: \(reason); trying again"
        case .drained: "the server is going away; trying another"
        case .refused(let code, let text): "refused for now, \(code): \(text); trying again"
        case .failed(let code, let text): "the session has ended, \(code): \(text)"
        default: nil
        }
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
        case .disconnected(let reason): ["event": "disconnected", "reason": .string(JSONText(reason))]
        case .drained: ["event": "drained"]
        case .refused(let code, let text): ["event": "refused", "reason": .string(JSONText("\(code): \(text)"))]
        case .failed(let code, let text): ["event": "failed", "reason": .string(JSONText("\(code): \(text)"))]
        }
    }
}

extension Duration {
    var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
    /// With one decimal.
    var milliseconds: String { "\(microseconds / 1000).\(microseconds % 1000 / 100)" }
}
