internal import Recall

/// What a benchmark's sessions remember: 64 bytes.
struct TallyState: SessionState, BinaryCodable {
    var words = SIMD8<UInt64>()

    init() {}

    func write(to writer: inout ByteWriter) { for index in 0..<8 { writer.integer(words[index]) } }

    init(reading reader: inout ByteReader) throws(WireError) {
        for index in 0..<8 { words[index] = try reader.integer() }
    }
}

/// A session whose updates cost next to nothing, so that what is measured is all that lies around them.
struct Tally: Session {
    typealias State = TallyState

    /// Bytes of its own, without a reply: what is acknowledged is one receipt for all that one read brought.
    struct Put: UpdateMessage, BinaryCodable {
        typealias State = TallyState
        var bytes: [UInt8]

        func update(_ state: inout TallyState) {
            state.words[0] &+= 1
            state.words[1] &+= UInt64(bytes.first ?? 0)
        }

        init(bytes: [UInt8]) { self.bytes = bytes }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
        init(reading reader: inout ByteReader) throws(WireError) {
            bytes = try reader.take(reader.remaining).withUnsafeBytes { Array($0) }
        }
    }

    /// Two numbers and a word in the default codec, which is JSON: 56 bytes or so.
    struct Note: UpdateMessage {
        typealias State = TallyState
        var amount: Int
        var account: Int
        var text: String

        func update(_ state: inout TallyState) {
            state.words[0] &+= 1
            state.words[1] &+= UInt64(truncatingIfNeeded: amount)
        }
    }

    struct Count: RequestMessage, BinaryCodable {
        typealias State = TallyState
        func reply(from state: TallyState) -> UInt64 { state.words[0] }

        init() {}
        func write(to writer: inout ByteWriter) {}
        init(reading reader: inout ByteReader) throws(WireError) {}
    }

    static let kind = SessionKind<Tally>("tally", [1: Put.self, 2: Note.self, 3: Count.self])
}

/// The same without checkpoints: its history is replayed whole.
struct EndlessTally: Session {
    typealias State = TallyState
    static let endless = CheckpointBounds(
        minimumBytes: 1 << 40, maximumMessages: 1 << 40, maximumReplayTime: .seconds(1_000_000))
    static let kind = SessionKind<EndlessTally>(
        "endless",
        limits: SessionLimits(checkpoints: endless), [1: Tally.Put.self, 2: Tally.Note.self, 3: Tally.Count.self])
}
