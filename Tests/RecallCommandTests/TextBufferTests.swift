import Foundation
@testable import RecallCommand
import RecallTesting
import Testing

@Suite struct TextBufferTests {
    @Test func beginsEmpty() {
        let buffer = TextBuffer()
        #expect(buffer.count == 0)
        #expect(buffer.text == "")
    }

    @Test func editsOneAfterTheOther() throws {
        let steps = [
            (TextEdit(0, 0, "hello"), "hello"), (TextEdit(5, 0, " world"), "hello world"),
            (TextEdit(0, 1, "J"), "Jello world"), (TextEdit(4, 7, ""), "Jell"), (TextEdit(0, 0, ""), "Jell"),
            (TextEdit(0, 4, ""), ""),
        ]
        var buffer = TextBuffer()
        for (edit, text) in steps {
            try buffer.apply(edit)
            #expect(buffer.text == text)
            #expect(buffer.count == text.unicodeScalars.count)
        }
    }

    @Test func countsCodePoints() throws {
        var buffer = TextBuffer("e\u{301}🙂記x")
        #expect(buffer.count == 5)
        try buffer.apply(TextEdit(1, 1, ""))
        #expect(buffer.text == "e🙂記x")
        try buffer.apply(TextEdit(2, 0, "👩‍💻"))
        #expect(buffer.count == 7)
        #expect(buffer.text == "e🙂👩‍💻記x")
        try buffer.apply(TextEdit(1, 5, "é"))
        #expect(Array(buffer.text.unicodeScalars) == Array("eéx".unicodeScalars))
    }

    @Test(arguments: [
        TextEdit(-1, 0, "a"), TextEdit(0, -1, "a"), TextEdit(6, 0, "a"), TextEdit(5, 1, "a"), TextEdit(0, 6, "a"),
        TextEdit(.max, .max, "a"), TextEdit(.min, .min, "a"), TextEdit(1, .max, "a"), TextEdit(.max, 0, ""),
    ])
    func refusesWhatDoesNotFit(_ edit: TextEdit) {
        var buffer = TextBuffer("12345")
        let error = TextRangeError(position: edit.position, deleted: edit.deleted, length: 5)
        #expect(throws: error) { try buffer.check(edit) }
        #expect(throws: error) { try buffer.apply(edit) }
        #expect(buffer.text == "12345")
    }

    @Test func equalityIsByCodePoint() {
        #expect(TextBuffer("é") != TextBuffer("e\u{301}"))
        #expect("é" == "e\u{301}")
        #expect(TextBuffer("abc") == TextBuffer("abc"))
    }

    @Test func isEncodedAsItsText() throws {
        let buffer = TextBuffer(String(repeating: "één 🙂 ", count: 3000))
        let bytes = try JSONEncoder().encode(buffer)
        #expect(try JSONDecoder().decode(String.self, from: bytes) == buffer.text)
        #expect(try JSONDecoder().decode(TextBuffer.self, from: bytes) == buffer)
    }

    /// Large random edits over many chunks, against the plainest computation there is.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func agreesWithAnArray(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var (buffer, plain) = (TextBuffer(), PlainText())
        let alphabet = ["a", "é", "記", "🙂", "e\u{301}"]
        for turn in 0..<400 {
            let position = random.below(plain.scalars.count + 1)
            let most = random.chance(20) ? plain.scalars.count - position : min(9, plain.scalars.count - position)
            let piece = alphabet[seed == 1 ? 0 : random.below(alphabet.count)]
            let inserted = String(repeating: piece, count: random.chance(20) ? random.below(6000) : random.below(4))
            let edit = TextEdit(position, random.below(most + 1), inserted)
            try buffer.apply(edit)
            try plain.apply(edit)
            #expect(buffer.count == plain.scalars.count)
            if turn % 10 == 0 { #expect(Array(buffer.text.unicodeScalars) == plain.scalars) }
        }
        #expect(Array(buffer.text.unicodeScalars) == plain.scalars)
        #expect(TextBuffer(plain.text) == buffer)
    }

    /// Chunk by chunk to nothing, in an order that leaves small pieces everywhere on the way.
    @Test func shrinksToNothing() throws {
        var buffer = TextBuffer(String(repeating: "0123456789", count: 20_000))
        var position = 0
        while buffer.count > 0 {
            let deleted = min(777, buffer.count)
            position = (position + 1500) % (buffer.count - deleted + 1)
            try buffer.apply(TextEdit(position, deleted, ""))
        }
        #expect(buffer.text == "")
        try buffer.apply(TextEdit(0, 0, "again"))
        #expect(buffer.text == "again")
    }
}
