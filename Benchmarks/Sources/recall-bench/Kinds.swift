internal import Recall

/// What a benchmark's sessions remember: 64 bytes.
struct TallyState: SessionState, BinaryCodable {
    var count: UInt64 = 0, sum: UInt64 = 0
    var third: UInt64 = 0, fourth: UInt64 = 0, fifth: UInt64 = 0, sixth: UInt64 = 0, seventh: UInt64 = 0
    var eighth: UInt64 = 0

    init() {}

    func write(to writer: inout ByteWriter) {
        for word in [count, sum, third, fourth, fifth, sixth, seventh, eighth] { writer.integer(word) }
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        (count, sum) = (try reader.integer(), try reader.integer())
        (third, fourth, fifth) = (try reader.integer(), try reader.integer(), try reader.integer())
        (sixth, seventh, eighth) = (try reader.integer(), try reader.integer(), try reader.integer())
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
            state.count &+= 1
            state.sum &+= UInt64(bytes.first ?? 0)
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
            state.count &+= 1
            state.sum &+= UInt64(truncatingIfNeeded: amount)
        }
    }

    /// The same in the compact codec: 37 bytes.
    struct CompactNote: UpdateMessage, BinaryCodable {
        typealias State = TallyState
        var note: Note

        func update(_ state: inout TallyState) { note.update(&state) }

        init(_ note: Note) { self.note = note }
        func write(to writer: inout ByteWriter) {
            writer.integer(UInt64(bitPattern: Int64(note.amount)))
            writer.integer(UInt64(bitPattern: Int64(note.account)))
            writer.bytes.append(contentsOf: note.text.utf8)
        }
        init(reading reader: inout ByteReader) throws(WireError) {
            let amount = Int(Int64(bitPattern: try reader.integer()))
            let account = Int(Int64(bitPattern: try reader.integer()))
            let bytes = try reader.take(reader.remaining)
            guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else { throw .malformed }
            note = Note(amount: amount, account: account, text: text)
        }
    }

    struct Count: RequestMessage, BinaryCodable {
        typealias State = TallyState
        func reply(from state: TallyState) -> UInt64 { state.count }

        init() {}
        func write(to writer: inout ByteWriter) {}
        init(reading reader: inout ByteReader) throws(WireError) {}
    }

    static let kind = SessionKind<Tally>("tally", [1: Put.self, 2: Note.self, 3: Count.self, 4: CompactNote.self])
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
