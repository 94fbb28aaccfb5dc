/// Where some bytes stop being JSON, and why.
package struct JSONError: Error, Hashable, Sendable {
    package enum Problem: Hashable, Sendable {
        case endsEarly
        case unexpected(UInt8)
        case badNumber
        case badEscape
        case loneSurrogate
        case controlCharacter
        case badUTF8
        case tooDeep
        case duplicateName(String)
    }

    /// The byte, counted from 0.
    package var offset: Int
    package var problem: Problem
}

extension JSONError: CustomStringConvertible {
    package var description: String { "byte \(offset + 1): \(explanation)" }

    private var explanation: String {
        switch problem {
        case .endsEarly: "ends before the JSON does"
        case .unexpected(let byte) where (0x21...0x7e).contains(byte):
            "unexpected '\(Character(Unicode.Scalar(byte)))'"
        case .unexpected(let byte): "unexpected byte \(byte)"
        case .badNumber: "not a number of JSON"
        case .badEscape: "not an escape of JSON"
        case .loneSurrogate: "half of a surrogate pair, which is no character"
        case .controlCharacter: "a control character in a string must be written as an escape"
        case .badUTF8: "not UTF-8"
        case .tooDeep: "nested deeper than \(JSONValue.maximumDepth)"
        case .duplicateName(let name): "the name \"\(name)\" stands twice in one object"
        }
    }
}

/// Reads JSON token by token. Every read is checked; none traps.
package struct JSONScanner {
    package let bytes: [UInt8]
    /// The next byte.
    package private(set) var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package func problem(_ problem: JSONError.Problem) -> JSONError { JSONError(offset: offset, problem: problem) }

    /// What stands here instead of what was looked for.
    package var unexpected: JSONError { problem(offset < bytes.count ? .unexpected(bytes[offset]) : .endsEarly) }

    /// Passes over bytes that the caller has looked at.
    mutating func skip(_ count: Int) { offset += min(count, bytes.count - offset) }

    package mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x0a, 0x0d, 0x09: offset += 1
            default: return
            }
        }
    }

    /// The next byte that is not space, not yet passed.
    package mutating func peek() throws(JSONError) -> UInt8 {
        skipSpace()
        guard offset < bytes.count else { throw problem(.endsEarly) }
        return bytes[offset]
    }

    /// Passes over a byte, after space, if it is the next one.
    package mutating func take(_ byte: Unicode.Scalar) throws(JSONError) -> Bool {
        guard try peek() == UInt8(ascii: byte) else { return false }
        offset += 1
        return true
    }

    package mutating func expect(_ byte: Unicode.Scalar) throws(JSONError) {
        guard try take(byte) else { throw unexpected }
    }

    package mutating func expect(word: StaticString) throws(JSONError) {
        for index in 0..<word.utf8CodeUnitCount {
            guard offset < bytes.count, bytes[offset] == word.utf8Start[index] else { throw unexpected }
            offset += 1
        }
    }

    /// Insists that only space follows.
    package mutating func end() throws(JSONError) {
        skipSpace()
        guard offset == bytes.count else { throw unexpected }
    }

    /// Whether an array or object, whose opening byte has been passed, has another element; passes the comma or the
    /// end.
    package mutating func more(_ isFirst: inout Bool, until close: Unicode.Scalar) throws(JSONError) -> Bool {
        if try take(close) { return false }
        if !isFirst { try expect(",") }
        isFirst = false
        return true
    }

    /// An integer, after space.
    package mutating func integer() throws(JSONError) -> Int {
        skipSpace()
        let start = offset
        guard let value = try number().integer(Int.self) else { throw JSONError(offset: start, problem: .badNumber) }
        return value
    }

    /// A string, after space.
    package mutating func string() throws(JSONError) -> String {
        try expect("\"")
        let start = offset
        while offset < bytes.count, bytes[offset] != 0x22, bytes[offset] != 0x5c, bytes[offset] >= 0x20 { offset += 1 }
        guard offset < bytes.count, bytes[offset] == 0x22 else { return try escapedString(from: start) }
        offset += 1
        return try Self.text(bytes[start..<offset - 1], at: start)
    }

    private static func text(_ bytes: some Collection<UInt8>, at offset: Int) throws(JSONError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw JSONError(offset: offset, problem: .badUTF8)
        }
        return text
    }

    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var text = Array(bytes[start..<offset])
        while true {
            guard offset < bytes.count else { throw problem(.endsEarly) }
            let byte = bytes[offset]
            switch byte {
            case 0x22:
                offset += 1
                return try Self.text(text, at: start)
            case 0x5c: try escape(into: &text)
            case ..<0x20: throw problem(.controlCharacter)
            default:
                text.append(byte)
                offset += 1
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard offset + 1 < bytes.count else { throw problem(.endsEarly) }
        switch bytes[offset + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(bytes[offset + 1])
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            text.append(contentsOf: UTF8.encode(try escapedScalar()).map(Array.init) ?? [])
            return
        default: throw problem(.badEscape)
        }
        offset += 2
    }

    /// `\uXXXX`, or two of them that make one code point.
    private mutating func escapedScalar() throws(JSONError) -> Unicode.Scalar {
        let lone = problem(.loneSurrogate)
        let first = try escapedUnit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, offset + 1 < bytes.count, bytes[offset] == 0x5c, bytes[offset + 1] == UInt8(ascii: "u")
        else { throw lone }
        let second = try escapedUnit()
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw lone }
        return scalar
    }

    private mutating func escapedUnit() throws(JSONError) -> UInt32 {
        guard offset + 6 <= bytes.count else { throw problem(.endsEarly) }
        var unit: UInt32 = 0
        for byte in bytes[offset + 2..<offset + 6] {
            guard let digit = hexadecimalDigit(byte) else { throw problem(.badEscape) }
            unit = unit << 4 | UInt32(digit)
        }
        offset += 6
        return unit
    }
}

/// The value of an ASCII hexadecimal digit.
func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
