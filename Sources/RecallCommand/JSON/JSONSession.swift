package import Recall
package import RecallCore

/// The kind `json`: one JSON document, changed by merge patches and read by pointers.
package struct JSONSession: Session {
    package typealias State = JSONDocument
    package init() {}

    package static let kind = SessionKind<JSONSession>("json", [1: MergePatch.self, 2: ReadJSON.self])
}

/// The document; an empty object at first.
package struct JSONDocument: SessionState, Hashable {
    package var value: JSONValue = .object([:])
    package init() {}
}

/// Changes the document as RFC 7396 says.
package struct MergePatch: UpdateMessage {
    package var patch: JSONValue
    package init(_ patch: JSONValue) { self.patch = patch }
    package func update(_ document: inout JSONDocument) { document.value.merge(patch) }
}

/// Reads the value that a JSON Pointer (RFC 6901) names; the empty one names the whole document.
package struct ReadJSON: RequestMessage {
    package var pointer: String
    package init(_ pointer: String = "") { self.pointer = pointer }

    package func reply(from document: JSONDocument) throws(JSONPointerError) -> JSONValue {
        try document.value.value(at: pointer)
    }
}

// On the wire and in checkpoints a document is its JSON, as `JSONValue.encoded` has it.

extension JSONValue: BinaryCodable {
    package func write(to writer: inout ByteWriter) { write(to: &writer.bytes) }

    package init(reading reader: inout ByteReader) throws(WireError) {
        let bytes = try reader.take(reader.remaining).array
        do throws(JSONError) { try self.init(parsing: bytes) } catch { throw .malformed }
    }
}

extension JSONDocument: BinaryCodable {
    package func write(to writer: inout ByteWriter) { value.write(to: &writer) }
    package init(reading reader: inout ByteReader) throws(WireError) { value = try JSONValue(reading: &reader) }
}

extension MergePatch: BinaryCodable {
    package func write(to writer: inout ByteWriter) { patch.write(to: &writer) }
    package init(reading reader: inout ByteReader) throws(WireError) { patch = try JSONValue(reading: &reader) }
}
