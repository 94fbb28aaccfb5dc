internal import ArgumentParser
internal import Recall
internal import RecallCore

/// A kind that the tool hosts and speaks: its updates and replies have a form in JSON.
protocol ToolKind: Session {
    associatedtype Change: UpdateMessage where Change.State == State

    init()
    /// The number of `Change` in the kind's list.
    static var changeNumber: UInt8 { get }
    /// Reads an update from a line of input; throws with what such a line should be.
    static func change(from line: JSONValue) throws(CommandError) -> Change
    /// The inverse of `change(from:)`.
    static func describe(_ change: Change) -> JSONValue
    static func describe(_ reply: Change.Reply) -> JSONValue
}

extension TextSession: ToolKind {
    static var changeNumber: UInt8 { 1 }

    static func change(from line: JSONValue) throws(CommandError) -> TextEdit {
        guard case .array(let fields) = line, fields.count == 3, case .number(let position) = fields[0],
            case .number(let deleted) = fields[1], case .string(let inserted) = fields[2],
            let position = position.integer(Int.self), let deleted = deleted.integer(Int.self)
        else { throw CommandError("an update of a text is [position, deleted, \"inserted\"]") }
        return TextEdit(position, deleted, inserted.string)
    }

    static func describe(_ edit: TextEdit) -> JSONValue {
        [
            .number(JSONNumber(edit.position)), .number(JSONNumber(edit.deleted)),
            .string(JSONText(edit.inserted)),
        ]
    }

    static func describe(_ reply: TextLength) -> JSONValue { .number(JSONNumber(reply.codePoints)) }
}

extension JSONSession: ToolKind {
    static var changeNumber: UInt8 { 1 }
    static func change(from line: JSONValue) -> MergePatch { MergePatch(line) }
    static func describe(_ change: MergePatch) -> JSONValue { change.patch }
    static func describe(_ reply: Void) -> JSONValue { .null }
}

/// The kinds by their names.
enum KindName: String, CaseIterable, Sendable, ExpressibleByArgument {
    case text
    case json

    /// The kind that a log names.
    init(ofLog header: LogHeader, at path: String) throws(CommandError) {
        let name = String(decoding: header.kindName, as: UTF8.self)
        guard let kind = Self(rawValue: name) else {
            let known = Self.allCases.map(\.rawValue).joined(separator: " and ")
            throw CommandError("\(path) holds a session of kind \"\(name)\"; this tool speaks \(known)")
        }
        self = kind
    }

    var type: any ToolKind.Type {
        switch self {
        case .text: TextSession.self
        case .json: JSONSession.self
        }
    }
}

extension ToolKind {
    /// What a logged message says, if it is an update of this kind.
    static func describe(content: [UInt8]) -> JSONValue? {
        guard content.first == changeNumber else { return nil }
        let bytes = Array(content.dropFirst())
        let change = try? Change._message(kind.codec).decode(bytes.span.bytes)
        return change.map { describe($0) }
    }
}
