/// A JSON Pointer (RFC 6901): names one value within a document.
package struct JSONPointer: Hashable, Sendable {
    /// The steps from the document's root, unescaped.
    package let steps: [JSONText]

    /// Reads the string form: empty, or each step after a `/`, with `~1` for `/` and `~0` for `~`.
    package init(_ text: String) throws(JSONPointerError) {
        guard !text.isEmpty else {
            steps = []
            return
        }
        guard text.utf8.first == UInt8(ascii: "/") else {
            throw JSONPointerError(.malformed, pointer: text, step: text)
        }
        var all: [JSONText] = []
        for step in text.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let plain = Self.unescape(step) else {
                throw JSONPointerError(.malformed, pointer: text, step: String(decoding: step, as: UTF8.self))
            }
            all.append(JSONText(plain))
        }
        steps = all
    }

    /// Reads the form for the fragment of a URI: a `#`, then the string form, with percent escapes.
    package init(fragment: String) throws(JSONPointerError) {
        let bytes = Array(fragment.utf8)
        let malformed = JSONPointerError(.malformed, pointer: fragment, step: fragment)
        guard bytes.first == UInt8(ascii: "#") else { throw malformed }
        var (plain, index): ([UInt8], Int) = ([], 1)
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count, let high = hexadecimalDigit(bytes[index + 1]),
                    let low = hexadecimalDigit(bytes[index + 2])
                else { throw malformed }
                plain.append(high << 4 | low)
                index += 3
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        guard let text = String(validating: plain, as: UTF8.self) else { throw malformed }
        try self.init(text)
    }

    private static func unescape(_ step: Substring.UTF8View) -> String? {
        var (plain, isEscape): ([UInt8], Bool) = ([], false)
        for byte in step {
            switch (isEscape, byte) {
            case (true, UInt8(ascii: "0")): plain.append(UInt8(ascii: "~"))
            case (true, UInt8(ascii: "1")): plain.append(UInt8(ascii: "/"))
            case (true, _): return nil
            case (false, UInt8(ascii: "~")):
                isEscape = true
                continue
            case (false, _): plain.append(byte)
            }
            isEscape = false
        }
        return isEscape ? nil : String(decoding: plain, as: UTF8.self)
    }
}

/// A pointer that names nothing.
package struct JSONPointerError: Error, Hashable, Codable, Sendable {
    package enum Reason: String, Codable, Sendable {
        /// Not of a pointer's grammar.
        case malformed
        /// The object has no such member.
        case noSuchMember
        /// Not an index, or one past the array's end.
        case noSuchElement
        /// Neither an object nor an array, so nothing is below it.
        case notAContainer
    }
    package var reason: Reason
    package var pointer: String
    /// The step that leads nowhere.
    package var step: String

    init(_ reason: Reason, pointer: String, step: String) {
        self.reason = reason
        self.pointer = pointer
        self.step = step
    }
}

extension JSONPointerError: CustomStringConvertible {
    package var description: String {
        switch reason {
        case .malformed:
            "\"\(pointer)\" is not a JSON Pointer: it is empty or begins with '/', and '~' only comes as '~0' or '~1'"
        case .noSuchMember: "no such pointer \"\(pointer)\": there is no member \"\(step)\""
        case .noSuchElement: "no such pointer \"\(pointer)\": \"\(step)\" is no element of the array"
        case .notAContainer: "no such pointer \"\(pointer)\": what should hold \"\(step)\" is neither object nor array"
        }
    }
}

extension JSONValue {
    /// The value that a pointer in its string form names.
    package func value(at pointer: String) throws(JSONPointerError) -> JSONValue {
        try value(at: try JSONPointer(pointer), named: pointer)
    }

    /// The value that a pointer names; `name` is the form of it that errors show.
    package func value(at pointer: JSONPointer, named name: String) throws(JSONPointerError) -> JSONValue {
        var value = self
        for step in pointer.steps {
            switch value {
            case .object(let members):
                guard let member = members[step] else {
                    throw JSONPointerError(.noSuchMember, pointer: name, step: step.string)
                }
                value = member
            case .array(let elements):
                guard let index = Self.index(step), index < elements.count else {
                    throw JSONPointerError(.noSuchElement, pointer: name, step: step.string)
                }
                value = elements[index]
            default: throw JSONPointerError(.notAContainer, pointer: name, step: step.string)
            }
        }
        return value
    }

    /// Section 4: digits without leading zeros. `-`, the element after the last, never exists.
    private static func index(_ step: JSONText) -> Int? {
        let digits = Array(step.string.utf8)
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard digits.count == 1 || digits[0] != 0x30 else { return nil }
        return Int(step.string)
    }
}
