import Foundation
import Recall
@testable import RecallCommand
import RecallCore
import Testing

/// The bytes that the two kinds have on the wire, in logs and in checkpoints. They may never change: old logs hold
/// them.
@Suite struct KindTests {
    @Test func bothAreDeclaredSoundly() throws {
        try TextSession.kind.validate()
        try JSONSession.kind.validate()
        #expect(TextEdit.Rejection.self == TextRangeError.self)
        #expect(ReadJSON.Rejection.self == JSONPointerError.self)
    }

    @Test(
        arguments: [
            (TextEdit(0, 0, "a"), [0, 0, 0x61]), (TextEdit(100_000, 1, "é"), [0xa0, 0x8d, 0x06, 1, 0xc3, 0xa9]),
            (TextEdit(127, 128, ""), [127, 0x80, 1]),
            (TextEdit(-1, 0, ""), [255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0]),
        ] as [(TextEdit, [UInt8])])
    func anEditIsAFewBytes(_ edit: TextEdit, _ bytes: [UInt8]) throws {
        #expect(written(edit) == bytes)
        #expect(try read(TextEdit.self, bytes) == edit)
    }

    @Test(
        arguments: [
            [], [0], [0x80], [0, 0x80], [0x80, 0, 0], [0, 0, 0xc3], [0, 0, 0xff],
            [255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0], Array(repeating: 0x80, count: 40),
        ] as [[UInt8]])
    func refusesOtherBytes(_ bytes: [UInt8]) {
        #expect(throws: WireError.self) { try read(TextEdit.self, bytes) }
    }

    @Test(arguments: [0, 1, 127, 128, 300, 1 << 32, UInt64.max] as [UInt64])
    func varintsComeBack(_ value: UInt64) throws {
        var writer = ByteWriter()
        writer.varint(value)
        var reader = ByteReader(writer.bytes.span.bytes)
        #expect(try reader.varint() == value)
        #expect(reader.remaining == 0)
    }

    @Test func anEditAsJSON() throws {
        let edit = TextEdit(3, 1, "\"é")
        let text = String(decoding: try JSONEncoder().encode(edit), as: UTF8.self)
        #expect(text == #"[3,1,"\"é"]"#)
        #expect(try JSONDecoder().decode(TextEdit.self, from: Data(text.utf8)) == edit)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(TextEdit.self, from: Data("[1,2,\"\",4]".utf8)) }
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(TextEdit.self, from: Data("[1,2]".utf8)) }
    }

    @Test func aTextIsUpdatedAndRead() throws {
        var text = TextBuffer()
        #expect(TextEdit(0, 0, "hé🙂").update(&text) == TextLength(codePoints: 3))
        #expect(throws: TextRangeError(position: 2, deleted: 2, length: 3)) {
            try TextEdit(2, 2, "").validate(against: text)
        }
        #expect(ReadText().reply(from: text) == "hé🙂")
        #expect(ReadText(position: 1, count: 1).reply(from: text) == "é")
        #expect(ReadText(position: -5, count: .max).reply(from: text) == "hé🙂")
        #expect(ReadText(position: .max, count: .max).reply(from: text) == "")
        #expect(ReadText(position: 0, count: -1).reply(from: text) == "")
        #expect(CountText().reply(from: text).codePoints == 3)
        #expect(try read(TextBuffer.self, written(text)) == text)
        #expect(throws: WireError.self) { try read(TextBuffer.self, [0xff]) }
    }

    @Test func aLongTextIsReadPartByPart() {
        let text = TextBuffer(String(repeating: "0123456789é🙂", count: 5000))
        var whole = ""
        while case let part = ReadText(position: whole.unicodeScalars.count, count: 777).reply(from: text),
            !part.isEmpty
        {
            whole += part
        }
        #expect(whole == text.text)
    }

    @Test func aDocumentIsUpdatedAndRead() throws {
        var document = JSONDocument()
        #expect(try ReadJSON().reply(from: document).encodedText == "{}")
        MergePatch(["a": ["b": 1], "c": .null]).update(&document)
        #expect(try ReadJSON("/a/b").reply(from: document) == 1)
        #expect(throws: JSONPointerError(.noSuchMember, pointer: "/x", step: "x")) {
            try ReadJSON("/x").reply(from: document)
        }
        #expect(written(document) == Array(#"{"a":{"b":1}}"#.utf8))
        #expect(try read(JSONDocument.self, written(document)) == document)
        #expect(try read(MergePatch.self, Array(" [1] ".utf8)).patch == [1])
        #expect(throws: WireError.self) { try read(MergePatch.self, Array("[1".utf8)) }
    }

    /// A merge copies nothing that it does not change.
    @Test func mergingIsInPlace() throws {
        var document = JSONDocument()
        let many = (0..<50_000).map { (JSONText("k\($0)"), JSONValue.number(JSONNumber($0))) }
        document.value = .object(Dictionary(uniqueKeysWithValues: many))
        let time = ContinuousClock().measure {
            for index in 0..<2000 { MergePatch(["n": JSONValue(integerLiteral: index)]).update(&document) }
        }
        #expect(time < .seconds(2))  // 2,000 copies of it would take half a minute
    }

    private func written(_ value: some BinaryCodable) -> [UInt8] {
        var writer = ByteWriter()
        value.write(to: &writer)
        return writer.bytes
    }

    private func read<T: BinaryCodable>(_ type: T.Type, _ bytes: [UInt8]) throws -> T {
        try Coder<T>.binary.decode(bytes.span.bytes)
    }
}
