/// A string of a JSON document. Equal and ordered by its code points, as RFC 8259 section 8.3 has it: Swift's own
/// strings count "é" and "e\u{301}" as equal, so that one of two members would silently replace the other.
package struct JSONText: Sendable {
    package var string: String
    package init(_ string: String) { self.string = string }
}

extension JSONText: Hashable, Comparable {
    package static func == (a: Self, b: Self) -> Bool { a.string.utf8.elementsEqual(b.string.utf8) }
    package static func < (a: Self, b: Self) -> Bool { a.string.utf8.lexicographicallyPrecedes(b.string.utf8) }

    package func hash(into hasher: inout Hasher) {
        var copy = string
        // Sound: hashed within the closure.
        copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xff as UInt8)  // ends the string: this byte is in no UTF-8
    }
}

extension JSONText: ExpressibleByStringLiteral, CustomStringConvertible {
    package init(stringLiteral value: String) { self.init(value) }
    package var description: String { string }
}
