package import Recall
package import RecallCore

/// The kind `text`: one text, edited by position.
package struct TextSession: Session {
    package typealias State = TextBuffer
    package init() {}

    package static let kind = SessionKind<TextSession>(
        "text", [1: TextEdit.self, 2: ReadText.self, 3: CountText.self])
}

/// In a checkpoint: the text in UTF-8.
extension TextBuffer: SessionState, BinaryCodable {
    package func write(to writer: inout ByteWriter) { writer.append(utf8.span.bytes) }

    package init(reading reader: inout ByteReader) throws(WireError) {
        guard let text = try reader.take(reader.remaining).text else { throw .malformed }
        self.init(text)
    }
}

/// Refused, with what does not fit, if it reaches past the text. Replies the text's new length, by which a client knows
/// at once if its text and the server's are no longer the same size.
extension TextEdit: UpdateMessage {
    package typealias State = TextBuffer
    package typealias Rejection = TextRangeError  // spelled out: were it inferred as `Never`, nothing would be refused

    package func validate(against text: TextBuffer) throws(TextRangeError) { try text.check(self) }

    package func update(_ text: inout TextBuffer) -> TextLength {
        // Never throws: `validate` has checked the edit. In a replay by changed code nothing may happen, and then the
        // length in the reply tells.
        try? text.apply(self)
        return TextLength(codePoints: text.count)
    }
}

/// Position and deleted as LEB128 (negative ones as the 64-bit pattern, for `validate` to refuse), the rest is UTF-8: a
/// letter typed at position 100,000 takes five bytes.
extension TextEdit: BinaryCodable {
    package func write(to writer: inout ByteWriter) {
        writer.varint(UInt64(bitPattern: Int64(position)))
        writer.varint(UInt64(bitPattern: Int64(deleted)))
        writer.bytes.append(contentsOf: inserted.utf8)
    }

    package init(reading reader: inout ByteReader) throws(WireError) {
        let position = Int(truncatingIfNeeded: try reader.varint())
        let deleted = Int(truncatingIfNeeded: try reader.varint())
        guard let inserted = try reader.take(reader.remaining).text else { throw .malformed }
        self.init(position, deleted, inserted)
    }
}

/// A text's length.
package struct TextLength: Hashable, BinaryCodable {
    package var codePoints: Int

    package init(codePoints: Int) { self.codePoints = codePoints }

    package func write(to writer: inout ByteWriter) { writer.varint(UInt64(clamping: codePoints)) }

    package init(reading reader: inout ByteReader) throws(WireError) {
        guard let count = Int(exactly: try reader.varint()) else { throw .malformed }
        codePoints = count
    }
}

/// A part of the text. A reply holds a megabyte, so a longer text is read part by part.
package struct ReadText: RequestMessage {
    /// Code points that fit a reply, whatever they are: a code point has at most four bytes, and an escape in JSON six.
    package static let part = 128 << 10

    package var position: Int
    package var count: Int

    package init(position: Int = 0, count: Int = part) {
        self.position = position
        self.count = count
    }

    /// What there is of it; empty past the end.
    package func reply(from text: TextBuffer) -> String { text.part(from: position, count: count) }
}

/// The text's length.
package struct CountText: RequestMessage {
    package init() {}
    package func reply(from text: TextBuffer) -> TextLength { TextLength(codePoints: text.count) }
}
