public import Recall

/// A text that is edited: the plain case. Every change is a message, the message is a function on the state, and what
/// could go wrong is refused before it.
public struct Notebook: Session {
    public struct State: SessionState {
        public internal(set) var text = ""
        public init() {}
    }

    public enum Refusal: Error, Codable, Equatable {
        /// The edit reaches past the text, which has this length.
        case outOfRange(length: Int)
        /// The text would grow beyond this length.
        case full(limit: Int)
    }

    /// Replaces `delete` Unicode scalars from position `at` by a text; replies with the new length.
    ///
    /// Scalars and not characters, because what counts as one character changes with the Unicode version that Swift
    /// comes with: a replay on a newer server would cut at other places.
    public struct Edit: UpdateMessage {
        public static let limit = 1 << 20

        public var at: Int, delete: Int, insert: String

        public init(at: Int, delete: Int = 0, insert: String = "") {
            self.at = at
            self.delete = delete
            self.insert = insert
        }

        // Positions come from a client. Unchecked, a wrong one would trap in `update`, and at every replay again.
        public func validate(against notebook: State) throws(Refusal) {
            let length = notebook.text.unicodeScalars.count
            guard at >= 0, delete >= 0, at <= length, delete <= length - at else { throw .outOfRange(length: length) }
            guard length - delete + insert.unicodeScalars.count <= Self.limit else { throw .full(limit: Self.limit) }
        }

        public func update(_ notebook: inout State) -> Int {
            let scalars = notebook.text.unicodeScalars
            let start = scalars.index(scalars.startIndex, offsetBy: at)
            let end = scalars.index(start, offsetBy: delete)
            notebook.text.replaceSubrange(start..<end, with: insert)
            return notebook.text.unicodeScalars.count
        }
    }

    public struct Read: RequestMessage {
        public init() {}
        public func reply(from notebook: State) -> String { notebook.text }
    }

    public static let kind = SessionKind<Notebook>("notebook", [1: Edit.self, 2: Read.self])

    public init() {}
}

// Every keystroke is an edit, so it writes its own bytes: ten times as fast as JSON. All else stays JSON.
extension Notebook.Edit: BinaryCodable {
    public func write(to writer: inout ByteWriter) {
        writer.integer(Int64(at))
        writer.integer(Int64(delete))
        writer.string(insert)
    }

    public init(reading reader: inout ByteReader) throws(WireError) {
        // `Int(exactly:)`, since the bytes are a stranger's and `Int` may be narrower than what they say.
        guard let at = Int(exactly: try reader.integer(Int64.self)),
            let delete = Int(exactly: try reader.integer(Int64.self))
        else { throw .malformed }
        self.init(at: at, delete: delete, insert: try reader.string())
    }
}
