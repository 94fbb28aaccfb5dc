/// A number of a JSON document, kept as it was written: exact whatever its size, and the same on every platform, since
/// it never becomes floating point and is never formatted. So 1, 1.0 and 1e0 are three different numbers here.
package struct JSONNumber: Hashable, Sendable {
    /// What RFC 8259 section 6 allows, in ASCII.
    package let literal: String

    package init(_ value: some BinaryInteger) { literal = String(value) }

    /// Nil if the text is not a number of JSON's grammar.
    package init?(_ literal: String) {
        let length = Self.length(in: Array(literal.utf8), at: 0)
        guard length > 0, length == literal.utf8.count else { return nil }
        self.literal = literal
    }

    fileprivate init(checked literal: String) { self.literal = literal }

    /// The value, if it was written as an integer and is in range.
    package func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? { T(literal) }

    /// Bytes of the number that begins at an index; 0 if none does.
    fileprivate static func length(in bytes: [UInt8], at start: Int) -> Int {
        var end = start
        func digits() -> Bool {
            let first = end
            while end < bytes.count, bytes[end] &- 0x30 < 10 { end += 1 }
            return end > first
        }
        func take(_ accepted: UInt8...) -> Bool {
            guard end < bytes.count, accepted.contains(bytes[end]) else { return false }
            end += 1
            return true
        }
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) {
            guard digits() else { return 0 }
        }
        if take(UInt8(ascii: ".")) {
            guard digits() else { return 0 }
        }
        if take(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = take(UInt8(ascii: "+"), UInt8(ascii: "-"))
            guard digits() else { return 0 }
        }
        return end - start
    }
}

extension JSONScanner {
    /// The number that begins here.
    package mutating func number() throws(JSONError) -> JSONNumber {
        let length = JSONNumber.length(in: bytes, at: offset)
        guard length > 0 else { throw problem(.badNumber) }
        let literal = String(decoding: bytes[offset..<offset + length], as: UTF8.self)
        skip(length)
        return JSONNumber(checked: literal)
    }
}
