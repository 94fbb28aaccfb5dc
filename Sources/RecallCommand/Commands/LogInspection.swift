internal import Foundation
internal import Recall
internal import RecallCore
internal import RecallCrypto
internal import RecallSQLite

/// A log's file, read without disturbing whoever writes it.
struct LogInspection {
    let reader: SQLiteLogReader
    let contents: LogContents
    let header: LogHeader
    /// The last update that the log no longer holds by itself: a checkpoint stands for it and all before it.
    let base: Position

    init(_ path: String) throws {
        reader = try SQLiteLogReader(path: path)
        contents = try reader.contents()
        guard let header = contents.header else {
            if let damage = contents.damage { throw CommandError("\(path) is damaged: \(damage)") }
            throw CommandError("\(path) holds no session yet: nothing was sent before its client ended")
        }
        self.header = header
        base = try Self.base(reader, contents)
    }

    private static func base(_ reader: SQLiteLogReader, _ contents: LogContents) throws -> Position {
        do {
            _ = try reader.slice(after: .zero, maximumBytes: 1)
            return .start
        } catch let error as RecallError where error.code == .logFailed {
            // Messages before the older checkpoint were forgotten; without any checkpoint that cannot be.
            guard let oldest = contents.checkpoints.last else { throw error }
            return oldest.position
        }
    }

    /// Calls `body` with all messages after the base, slice by slice.
    ///
    /// - Parameter bytes: about how many of them come at once; 1 for each stretch that ends at a receipt by itself.
    func forEachSlice(bytes: Int = 4 << 20, _ body: (LogSlice) throws -> Void) throws {
        var front = base.number
        while front < contents.last {
            // What follows the newest receipt comes whole: a slice of it has no receipt to end at.
            let isTail = front >= contents.receipt?.position.number ?? .zero
            let slice = try reader.slice(after: front, maximumBytes: isTail ? .max / 2 : bytes)
            guard let last = slice.messages.last?.number, last > front else { return }
            try body(slice)
            front = last
        }
    }

    /// Recomputes the chain from the base on, and compares it with every receipt and checkpoint.
    func verify() throws -> (receipts: Int, unacknowledged: Int) {
        var verifier = LogVerifier(vector: header.vector, base: base, .swiftCrypto)
        var (receipts, unacknowledged) = (0, 0)
        // A slice is compared with the receipt that it ends at.
        try forEachSlice(bytes: 1) { slice in
            for checkpoint in contents.checkpoints where checkpoint.position.number > verifier.front.number {
                guard let position = verifier.position(at: checkpoint.position.number, in: slice) else { continue }
                guard position == checkpoint.position else {
                    throw CommandError("the checkpoint at \(position.number) is not of this history")
                }
            }
            _ = try verifier.verify(slice)
            if slice.receipt != nil { receipts += 1 } else { unacknowledged += slice.messages.count }
        }
        if let receipt = contents.receipt, verifier.front.number < receipt.position.number {
            throw CommandError("the updates after \(verifier.front.number) are missing")
        }
        return (receipts, unacknowledged)
    }
}

// MARK: - As JSON

extension LogInspection {
    /// Everything about the log but its content and its secrets.
    func summary() throws -> [(name: JSONText, value: JSONValue)] {
        let statistics = try reader.statistics()
        let acknowledged = contents.receipt?.position.number ?? .zero
        return [
            ("session", .string(JSONText(header.session.description))),
            ("kind", .string(JSONText(String(decoding: header.kindName, as: UTF8.self)))),
            ("kindVersion", .number(JSONNumber(header.kindVersion))),
            ("updates", .number(JSONNumber(contents.last.rawValue))),
            ("forgotten", .number(JSONNumber(base.number.rawValue))),
            ("acknowledged", .number(JSONNumber(acknowledged.rawValue))),
            ("acknowledgedAt", contents.receipt.map { Self.time($0.time) } ?? .null),
            ("checkpoints", .array(contents.checkpoints.map(Self.describe))),
            ("damage", contents.damage.map { .string(JSONText($0)) } ?? .null),
            ("fileBytes", .number(JSONNumber(statistics.fileBytes))),
            ("writeAheadLogBytes", .number(JSONNumber(statistics.writeAheadLogBytes))),
            ("writer", statistics.writer.map { .number(JSONNumber($0)) } ?? .null),
        ]
    }

    private static func describe(_ checkpoint: LogContents.CheckpointSummary) -> JSONValue {
        [
            "at": .number(JSONNumber(checkpoint.position.number.rawValue)),
            "bytes": .number(JSONNumber(checkpoint.byteCount)), "made": time(checkpoint.time),
        ]
    }

    private static func time(_ time: WallTime) -> JSONValue {
        let seconds = Double(time.nanoseconds) / 1e9
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        return .string(JSONText(Date(timeIntervalSince1970: seconds).formatted(style)))
    }

    /// One message: what it says if its kind is known here, else its bytes.
    func describe(_ message: LoggedMessage, acknowledged: Bool) -> JSONValue {
        var members: [JSONText: JSONValue] = [
            "number": .number(JSONNumber(message.number.rawValue)), "acknowledged": .bool(acknowledged),
        ]
        if let update = update(message) {
            members["update"] = update
        } else {
            members["content"] = .string(JSONText(Data(message.content).base64EncodedString()))
        }
        if !message.determinants.isEmpty {
            members["determinants"] = .string(JSONText(Data(message.determinants).base64EncodedString()))
        }
        return .object(members)
    }

    /// The update as a line of `recall send`; nil if the kind is not known here.
    func update(_ message: LoggedMessage) -> JSONValue? {
        KindName(rawValue: String(decoding: header.kindName, as: UTF8.self))?.type.describe(content: message.content)
    }
}
