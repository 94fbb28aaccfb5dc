import Foundation
import Recall
import RecallCommand
import RecallCore
import RecallCrypto

/// Hosted sessions and what they are sent: whatever the bytes, a verdict comes back, and what was not applied changes
/// nothing. Texts beside a model that has no chunks.
enum KindTarget {
    private static let cryptography = Cryptography.swiftCrypto
    private static let keys = SessionKeys(root: Digest(), vector: Digest(), cryptography)
    private static let environment = ContextEnvironment(
        cryptography: cryptography, clock: { WallTime(nanoseconds: 1_700_000_000_123_456_789) })

    static func run(_ input: [UInt8]) {
        var script = Script(input)
        switch script.number(below: 8) {
        case 0, 1, 2: hosted(Scratch().hosted(), &script)
        case 3, 4: hosted(TextSession().hosted(), &script)
        case 5, 6: hosted(JSONSession().hosted(), &script)
        default: text(&script)
        }
    }

    // MARK: Hosted sessions

    private static func hosted(_ hosted: _Hosted, _ script: inout Script) {
        var number = SequenceNumber.zero
        for _ in 0..<16 where !script.isOver {
            let before = state(hosted)
            var reply = ByteWriter()
            var isChange = false
            switch script.number(below: 8) {
            case 0: _ = hosted.request(content: script.string().span.bytes, reply: &reply)
            case 1: isChange = (try? hosted.restoreState(script.string().span.bytes)) != nil
            case 2: hosted.abandonEffect()
            case 3: isChange = hosted.finishEffect(outcome: script.string().span.bytes, reply: &reply) == .applied
            case 4:
                number = number.next
                var context = context(number)
                let (content, outcome) = (script.string(), script.string())
                isChange =
                    hosted.replayEffect(
                        content: content.span.bytes, outcome: outcome.span.bytes, context: &context, reply: &reply)
                    == .applied
            default:
                number = number.next
                var context = context(number)
                let isReplay = script.flag()
                let verdict = hosted.apply(
                    content: script.string().span.bytes, replaying: isReplay, context: &context, reply: &reply)
                isChange = verdict == .applied
                if !isReplay, verdict == .effect { require(hosted.hasEffect, "an effect was announced, and is none") }
            }
            if !isChange { require(state(hosted) == before, "the state changed without a word") }
        }
    }

    private static func context(_ number: SequenceNumber) -> UpdateContext {
        UpdateContext(environment: environment, keys: keys, number: number)
    }

    private static func state(_ hosted: _Hosted) -> [UInt8] {
        var writer = ByteWriter()
        do { try hosted.encodeState(into: &writer) } catch { fatalError("a state does not encode: \(error)") }
        return writer.bytes
    }

    // MARK: Text

    private static let letters: [Unicode.Scalar] = ["a", "é", "語", "🙂", "\u{301}", "\0", "z", "\n"]

    private static func text(_ script: inout Script) {
        var model: [Unicode.Scalar] = []
        var buffer = TextBuffer()
        for _ in 0..<8 where !script.isOver {
            // Long ones too, so that chunks, of a kilobyte at least, are cut and joined.
            let count = script.flag() ? script.number(below: 8) : 2 * Int(script.byte())
            let first = script.number(below: letters.count)
            let inserted = (0..<count).map { letters[(first + $0) % letters.count] }
            let edit = TextEdit(place(&script, model.count), place(&script, model.count), string(inserted))
            if (try? buffer.apply(edit)) != nil {
                require(edit.position <= model.count, "an edit past the end was taken")
                model.replaceSubrange(edit.position..<(edit.position + edit.deleted), with: inserted)
            } else {
                let fits = (0...model.count).contains(edit.position)
                require(!fits || !(0...(model.count - edit.position)).contains(edit.deleted), "an edit was refused")
            }
            require(buffer.count == model.count, "the text has another length")
            let start = place(&script, model.count), length = script.number(below: 40)
            let part = model.dropFirst(max(0, start)).prefix(length)
            require(buffer.part(from: start, count: length) == string(part), "a part is another one")
        }
        require(Array(buffer.text.unicodeScalars) == model, "the text is another one")
        require(TextBuffer(buffer.text) == buffer, "the text, made anew, is another one")
    }

    /// In the text or around its end, and now and then nowhere near it.
    private static func place(_ script: inout Script, _ count: Int) -> Int {
        switch script.number(below: 8) {
        case 0: script.integer() - (1 << 31)
        case 1: count - script.number(below: 4)
        case 2: script.number(below: 4)
        default: count == 0 ? 0 : script.integer() % (count + 1)
        }
    }

    private static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }
}

/// A kind with a message of each role, whose updates take all that a context has.
private struct Scratch: Session {
    static let kind = SessionKind<Scratch>("scratch", [1: Keep.self, 2: Ask.self, 3: Show.self, 4: Note.self])

    struct State: SessionState, BinaryCodable {
        var kept: [UInt8] = []

        init() {}
        init(reading reader: inout ByteReader) throws(WireError) { kept = try read(&reader) }
        func write(to writer: inout ByteWriter) { writer.append(kept.span.bytes) }
    }

    struct Keep: ContextualUpdateMessage, BinaryCodable {
        var bytes: [UInt8]

        func update(_ state: inout State, in context: inout UpdateContext) -> UInt64 {
            let identifier = context.uuid().uuid
            require(identifier.6 >> 4 == 4 && identifier.8 >> 6 == 2, "the identifier is no UUID of version 4")
            let number = context.random.next()
            state.kept = bytes.suffix(32) + [UInt8(truncatingIfNeeded: number)]
            return number ^ UInt64(context.now.timeIntervalSince1970)
        }

        init(reading reader: inout ByteReader) throws(WireError) { bytes = try read(&reader) }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
    }

    /// In JSON, as is its reply.
    struct Note: UpdateMessage, Codable {
        var text: String
        var weight: Double?

        func update(_ state: inout State) -> [String: Double] {
            state.kept = text.utf8.suffix(32)
            return ["count": Double(text.utf8.count), "weight": weight ?? 0]
        }
    }

    struct Ask: EffectMessage, BinaryCodable {
        var bytes: [UInt8]

        func perform(on state: State, in context: EffectContext<Scratch>) async throws -> [UInt8] { bytes }
        func update(_ state: inout State, outcome: [UInt8]) { state.kept = outcome.suffix(32) }

        init(reading reader: inout ByteReader) throws(WireError) { bytes = try read(&reader) }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
    }

    struct Show: RequestMessage, BinaryCodable {
        func reply(from state: State) -> [UInt8] { state.kept }

        init(reading reader: inout ByteReader) throws(WireError) {}
        func write(to writer: inout ByteWriter) {}
    }
}

private func read(_ reader: inout ByteReader) throws(WireError) -> [UInt8] {
    try reader.take(reader.remaining).array
}
