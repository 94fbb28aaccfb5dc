/// A JSON document, or a part of one.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(JSONText)
    case array([JSONValue])
    case object([JSONText: JSONValue])

    /// Arrays and objects that may enclose a value. Every walk over a document is as deep as the document: this bounds
    /// them.
    package static let maximumDepth = 128
}

// MARK: - Reading

extension JSONValue {
    /// Reads one document and insists that only space follows.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        self = try scanner.value()
        try scanner.end()
    }

    package init(parsing text: String) throws(JSONError) { try self.init(parsing: Array(text.utf8)) }
}

extension JSONScanner {
    /// The value that comes next, after space.
    package mutating func value(depth: Int = 0) throws(JSONError) -> JSONValue {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try members(depth: depth + 1))
        case UInt8(ascii: "["): return .array(try elements(depth: depth + 1))
        case UInt8(ascii: "\""): return .string(JSONText(try string()))
        case UInt8(ascii: "t"):
            try expect(word: "true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect(word: "false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect(word: "null")
            return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw unexpected
        }
    }

    private mutating func elements(depth: Int) throws(JSONError) -> [JSONValue] {
        guard depth <= JSONValue.maximumDepth else { throw problem(.tooDeep) }
        try expect("[")
        var (all, isFirst): ([JSONValue], Bool) = ([], true)
        while try more(&isFirst, until: "]") { all.append(try value(depth: depth)) }
        return all
    }

    private mutating func members(depth: Int) throws(JSONError) -> [JSONText: JSONValue] {
        guard depth <= JSONValue.maximumDepth else { throw problem(.tooDeep) }
        try expect("{")
        var (all, isFirst): ([JSONText: JSONValue], Bool) = ([:], true)
        while try more(&isFirst, until: "}") {
            let start = offset
            let name = JSONText(try string())
            try expect(":")
            guard all.updateValue(try value(depth: depth), forKey: name) == nil else {
                throw JSONError(offset: start, problem: .duplicateName(name.string))
            }
        }
        return all
    }
}

// MARK: - Writing

extension JSONValue {
    /// The document as UTF-8 without space: members by name in the order of their code points, numbers as they came.
    /// The same document is the same bytes everywhere.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    package var encodedText: String { String(decoding: encoded, as: UTF8.self) }

    package func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .number(let number): bytes += number.literal.utf8
        case .string(let text): text.write(to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                member.key.write(to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONText {
    fileprivate func write(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 0x0a: bytes += "\\n".utf8
            case 0x0d: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case ..<0x20: bytes += "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

// MARK: - Conformances

/// Within another encoding, a document is a string that holds its JSON: no encoder in between can then touch its
/// numbers.
extension JSONValue: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            try self.init(parsing: try container.decode(String.self))
        } catch let error as JSONError {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(encodedText)
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(JSONText(value)) }
    package init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (JSONText, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}
