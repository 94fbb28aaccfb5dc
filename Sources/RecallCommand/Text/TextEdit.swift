/// One change of a text: at `position`, `deleted` code points go and `inserted` comes.
package struct TextEdit: Hashable, Sendable {
    /// Code points before the change.
    package var position: Int
    /// Code points that go.
    package var deleted: Int
    package var inserted: String

    package init(_ position: Int, _ deleted: Int, _ inserted: String) {
        self.position = position
        self.deleted = deleted
        self.inserted = inserted
    }
}

/// As JSON: `[position, deleted, "inserted"]`, the form that editing traces are published in.
extension TextEdit: Codable {
    package init(from decoder: any Decoder) throws {
        var fields = try decoder.unkeyedContainer()
        self.init(try fields.decode(Int.self), try fields.decode(Int.self), try fields.decode(String.self))
        guard fields.isAtEnd else {
            throw DecodingError.dataCorruptedError(in: fields, debugDescription: "an edit has three fields")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.unkeyedContainer()
        try fields.encode(position)
        try fields.encode(deleted)
        try fields.encode(inserted)
    }
}

/// An edit reaches past the end of the text, or has a negative number.
package struct TextRangeError: Error, Hashable, Codable, Sendable {
    package var position: Int
    package var deleted: Int
    /// The text's length in code points.
    package var length: Int
}

extension TextRangeError: CustomStringConvertible {
    package var description: String {
        "an edit at \(position) that deletes \(deleted) does not fit a text of \(length) code points"
    }
}
