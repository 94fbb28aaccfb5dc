import Recall
import RecallCore
import RecallServer
import Synchronization

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A number: replies, no determinants.
struct Counter: Session {
    struct State: SessionState { var total = 0 }
    struct Add: UpdateMessage {
        var amount: Int
        func update(_ counter: inout State) -> Int {
            counter.total += amount
            return counter.total
        }
    }
    struct Total: RequestMessage { func reply(from counter: State) -> Int { counter.total } }
    static let kind = SessionKind<Counter>("counter", [1: Add.self, 2: Total.self])
}

/// What an effect of the journal does outside, and what was asked of it.
final class Outside: Sendable {
    struct Call: Sendable, Hashable {
        var text: String, key: String, state: [String]
    }
    private let name: String
    private let log = Mutex<[Call]>([])
    private let gate: @Sendable (Call) async throws -> Void

    init(_ name: String, gate: @escaping @Sendable (Call) async throws -> Void = { _ in }) {
        (self.name, self.gate) = (name, gate)
    }

    var calls: [Call] { log.withLock { $0 } }

    func perform(_ call: Call) async throws -> String {
        log.withLock { $0.append(call) }
        try await gate(call)
        return name
    }
}

/// Lines, with everything that an update may take from outside: each server gives its own clock and its own outcomes,
/// so that what a line shows tells which server made it.
struct Journal: Session {
    typealias State = JournalState
    let outside: Outside

    init(_ outside: Outside = Outside("-")) { self.outside = outside }

    static let kind = SessionKind<Journal>(
        "journal", [1: Stamp.self, 2: Note.self, 3: Pay.self, 4: Read.self, 5: Refuse.self, 6: Last.self])
}

struct JournalState: SessionState {
    var lines: [String] = []
}

extension Journal {
    /// Takes the clock, and replies with the line.
    struct Stamp: ContextualUpdateMessage {
        var text: String
        init(_ text: String) { self.text = text }
        func update(_ journal: inout JournalState, in context: inout UpdateContext) -> String {
            let line = "\(text)@\(Int(context.now.timeIntervalSince1970))"
            journal.lines.append(line)
            return line
        }
    }

    /// Takes nothing and replies nothing.
    struct Note: UpdateMessage {
        var text: String
        init(_ text: String) { self.text = text }
        func update(_ journal: inout JournalState) { journal.lines.append(text) }
    }

    struct Pay: EffectMessage {
        var text: String
        init(_ text: String) { self.text = text }
        func perform(on journal: JournalState, in context: EffectContext<Journal>) async throws -> String {
            try await context.host.outside.perform(
                .init(text: text, key: context.idempotencyKey, state: journal.lines))
        }
        func update(_ journal: inout JournalState, outcome: String) -> String {
            journal.lines.append("\(text)#\(outcome)")
            return "\(text)#\(outcome)"
        }
    }

    struct Read: RequestMessage { func reply(from journal: JournalState) -> [String] { journal.lines } }
    struct Last: RequestMessage { func reply(from journal: JournalState) -> String? { journal.lines.last } }

    struct Refused: Error, Codable, Equatable { var lines: Int }

    /// Refused while the number of lines is even.
    struct Refuse: UpdateMessage {
        func validate(against journal: JournalState) throws(Refused) {
            if journal.lines.count.isMultiple(of: 2) { throw Refused(lines: journal.lines.count) }
        }
        func update(_ journal: inout JournalState) { journal.lines.append("refusal") }
    }
}

/// The journal with a checkpoint every few messages, and a log that may adopt.
struct Diary: Session {
    typealias State = JournalState
    struct Write: ContextualUpdateMessage {
        var text: String
        init(_ text: String) { self.text = text }
        func update(_ diary: inout JournalState, in context: inout UpdateContext) -> String {
            let line = "\(text)@\(Int(context.now.timeIntervalSince1970))"
            diary.lines.append(line)
            return line
        }
    }
    struct Read: RequestMessage { func reply(from diary: JournalState) -> [String] { diary.lines } }
    static let kind = SessionKind<Diary>(
        "diary", limits: SessionLimits(checkpoints: CheckpointBounds(maximumMessages: 4)), whenBehind: .adopt,
        [1: Write.self, 2: Read.self])
}

/// Big messages and big replies.
struct Blob: Session {
    struct State: SessionState {
        var count = 0, bytes = 0
    }
    struct Put: UpdateMessage, BinaryCodable {
        var bytes: [UInt8]
        init(_ bytes: [UInt8]) { self.bytes = bytes }
        func update(_ blob: inout State) -> Int {
            blob.count += 1
            blob.bytes += bytes.count
            return blob.count
        }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
        init(reading reader: inout ByteReader) throws(WireError) {
            bytes = try reader.take(reader.remaining).array
        }
    }
    struct Get: RequestMessage {
        var count: Int
        func reply(from blob: State) -> Bytes { Bytes(bytes: [UInt8](repeating: 1, count: count)) }
    }
    struct Bytes: BinaryCodable, Sendable {
        var bytes: [UInt8]
        init(bytes: [UInt8]) { self.bytes = bytes }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
        init(reading reader: inout ByteReader) throws(WireError) { bytes = try reader.take(reader.remaining).array }
    }
    struct Count: RequestMessage { func reply(from blob: State) -> Int { blob.count } }
    static let kind = SessionKind<Blob>("blob", [1: Put.self, 2: Get.self, 3: Count.self])
}
