public import Recall

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What answers. The server has a real model; clients need none.
public protocol LanguageModel: Sendable {
    /// Continues a conversation. Asked twice under one identifier it may return its first answer.
    func answer(to turns: [Chat.Turn], requestID: String) async throws -> String
}

/// A conversation with a model: things that never come out the same twice. The model's answer is an effect's outcome,
/// the time and a fresh identifier come from the context, and so a replay has them all as they were.
public struct Chat: Session {
    public let model: any LanguageModel

    public struct Turn: Codable, Hashable, Sendable {
        public var speaker: String, text: String
        public init(speaker: String, text: String) {
            self.speaker = speaker
            self.text = text
        }
    }

    public struct Bookmark: Codable, Hashable, Sendable {
        public var id: UUID
        public var title: String
        public var madeAt: Date
        /// How many turns there were.
        public var turn: Int
    }

    public struct State: SessionState {
        public internal(set) var turns: [Turn] = []
        public internal(set) var bookmarks: [Bookmark] = []
        public init() {}
    }

    public enum Refusal: Error, Codable, Equatable {
        case empty
    }

    /// Says something; replies with the model's answer. While the model thinks, later messages of this session wait,
    /// and other sessions go on.
    public struct Say: EffectMessage {
        public var text: String

        public init(_ text: String) { self.text = text }

        public func validate(against chat: State) throws(Refusal) {
            if text.isEmpty { throw .empty }
        }

        public func perform(on chat: State, in context: EffectContext<Chat>) async throws -> String {
            try await context.host.model.answer(to: chat.turns + [said], requestID: context.idempotencyKey)
        }

        public func update(_ chat: inout State, outcome answer: String) -> String {
            chat.turns.append(said)
            chat.turns.append(Turn(speaker: "model", text: answer))
            return answer
        }

        private var said: Turn { Turn(speaker: "user", text: text) }
    }

    /// Marks the place in the conversation; replies with the bookmark.
    public struct Mark: ContextualUpdateMessage {
        public var title: String

        public init(_ title: String) { self.title = title }

        public func update(_ chat: inout State, in context: inout UpdateContext) -> Bookmark {
            let bookmark = Bookmark(id: context.uuid(), title: title, madeAt: context.now, turn: chat.turns.count)
            chat.bookmarks.append(bookmark)
            return bookmark
        }
    }

    /// The newest turns, oldest first.
    public struct History: RequestMessage {
        public var last: Int

        public init(last: Int) { self.last = last }

        public func reply(from chat: State) -> [Turn] { chat.turns.suffix(max(0, last)) }
    }

    public static let kind = SessionKind<Chat>("chat", [1: Say.self, 2: Mark.self, 3: History.self])

    public init(model: any LanguageModel) { self.model = model }
}
