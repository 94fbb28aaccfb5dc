internal import Foundation
internal import Recall
internal import RecallClient

extension Suite {
    /// A recording of somebody typing, sent edit by edit, then recalled: so many edits of it, and all.
    func measureTyping(_ path: String?) async throws {
        guard let path else { return say("typing: skipped; RECALL_RECORDINGS names no folder with the recording") }
        say("typing: \(URL(filePath: path).lastPathComponent)")
        let edits = try Typing.edits(in: path)
        for count in (pace.isQuick ? [] : pace.histories.filter { $0 < edits.count }) + [edits.count] {
            let (whole, kept) = (MemoryLog(), MemoryLog())
            let typed = try await type(edits.prefix(count), Typing.self, whole)
            _ = try await type(edits.prefix(count), KeptTyping.self, kept)
            var (without, with): ([Comeback], [Comeback]) = ([], [])
            for _ in 0..<pace.rounds {
                without.append(try await Comeback(Typing.self, whole) { _ = try await $0.send(Typing.Length()) })
                with.append(try await Comeback(KeptTyping.self, kept) { _ = try await $0.send(Typing.Length()) })
            }
            for (name, recalls) in [("text, without checkpoints", without), ("text, with checkpoints", with)] {
                take("typing", count, name, "s", recalls.map(\.whole), notes: ["typing it, s": typed])
                takeCost(of: recalls, count, name)
            }
        }
    }

    private func type<S: Session>(
        _ edits: ArraySlice<Typing.Edit>, _ kind: S.Type, _ log: MemoryLog
    ) async throws -> Double where S.State == Typing.State {
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let client = try await SessionClient<S>.open(
            at: .tcp("127.0.0.1", try await server.port()), log: log, logger: RecallLoad.logger)
        let started = ContinuousClock.now
        try await client.send(contentsOf: edits)
        let seconds = (ContinuousClock.now - started).seconds
        await client.close()
        return seconds
    }
}

/// A text that is edited by position.
struct Typing: Session {
    struct State: SessionState, BinaryCodable {
        var text = GapBuffer()

        init() {}
        func write(to writer: inout ByteWriter) { for scalar in text.scalars { writer.integer(scalar) } }
        init(reading reader: inout ByteReader) throws(WireError) {
            while reader.remaining > 0 { text.replace(text.count, 0, [try reader.integer()]) }
        }
        init(from decoder: any Decoder) throws { throw RecallError(.undecodable, "it has bytes of its own") }
        func encode(to encoder: any Encoder) throws { throw RecallError(.undecodable, "it has bytes of its own") }
    }

    /// Replies the text's new length.
    struct Edit: UpdateMessage, BinaryCodable {
        typealias State = Typing.State
        var position: UInt32
        var deleted: UInt32
        var inserted: String

        func update(_ state: inout State) -> Size {
            state.text.replace(Int(position), Int(deleted), inserted.unicodeScalars.lazy.map(\.value))
            return Size(count: UInt32(state.text.count))
        }

        init(_ position: Int, _ deleted: Int, _ inserted: String) {
            (self.position, self.deleted, self.inserted) = (UInt32(position), UInt32(deleted), inserted)
        }
        func write(to writer: inout ByteWriter) {
            writer.integer(position)
            writer.integer(deleted)
            writer.bytes.append(contentsOf: inserted.utf8)
        }
        init(reading reader: inout ByteReader) throws(WireError) {
            (position, deleted) = (try reader.integer(), try reader.integer())
            let bytes = try reader.take(reader.remaining)
            guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else { throw .malformed }
            inserted = text
        }
    }

    struct Length: RequestMessage {
        typealias State = Typing.State
        func reply(from state: State) -> Size { Size(count: UInt32(state.text.count)) }
    }

    struct Size: BinaryCodable {
        var count: UInt32
        init(count: UInt32) { self.count = count }
        func write(to writer: inout ByteWriter) { writer.integer(count) }
        init(reading reader: inout ByteReader) throws(WireError) { count = try reader.integer() }
    }

    static let kind = SessionKind<Typing>(
        "typing", limits: SessionLimits(checkpoints: EndlessTally.endless), [1: Edit.self, 2: Length.self])

    /// The patches of a recording, in order.
    static func edits(in path: String) throws -> [Edit] {
        let text = try Programs.run("/bin/zcat", ["-f", path])
        guard let trace = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
            let transactions = trace["txns"] as? [[String: Any]]
        else { throw BenchError("\(path) is no recording") }
        return try transactions.flatMap { transaction in
            try (transaction["patches"] as? [[Any]] ?? []).map { patch in
                guard patch.count == 3, let position = patch[0] as? Int, let deleted = patch[1] as? Int,
                    let inserted = patch[2] as? String
                else { throw BenchError("\(path) has a patch that is none") }
                return Edit(position, deleted, inserted)
            }
        }
    }
}

/// The same with checkpoints.
struct KeptTyping: Session {
    typealias State = Typing.State
    static let kind = SessionKind<KeptTyping>("kept-typing", [1: Typing.Edit.self, 2: Typing.Length.self])
}

/// A text as an array with a hole where the last edit was.
struct GapBuffer: Sendable {
    private var before: [UInt32] = []
    /// Backwards.
    private var after: [UInt32] = []

    var count: Int { before.count + after.count }
    var scalars: [UInt32] { before + after.reversed() }

    /// Replaces so many scalars at a position; what lies outside of the text is left out.
    mutating func replace(_ position: Int, _ deleted: Int, _ inserted: some Sequence<UInt32>) {
        let position = min(max(0, position), count)
        while before.count > position, let last = before.popLast() { after.append(last) }
        while before.count < position, let next = after.popLast() { before.append(next) }
        after.removeLast(min(max(0, deleted), after.count))
        before.append(contentsOf: inserted)
    }
}
