internal import Recall
internal import RecallCore

/// What a log holds, as an onlooker knows it from what it was told to write: read by `docs/protocol.md`, without the
/// code that logs are read with. It remembers what the log may forget.
struct LogView {
    struct Message {
        var content: [UInt8]
        var determinants: [UInt8]
    }

    private(set) var header: LogHeader?
    /// All messages since the log began, or since it adopted a state.
    private(set) var messages: [Message] = []
    /// The number before the first of them: 0 unless a state was adopted.
    private(set) var base: UInt64 = 0
    /// The newest receipt's position.
    private(set) var receipt: Position?
    /// The newest two checkpoints.
    private(set) var kept: [Checkpoint] = []
    private(set) var forgotten: UInt64 = 0
    /// Every position that a receipt gave.
    private(set) var receipts: [UInt64: Position] = [:]
    /// Acknowledged updates that took effect; nil if that cannot be told.
    private(set) var applied: Int? = 0

    /// Their numbers.
    var checkpoints: [UInt64] { kept.map(\.position.number.rawValue) }
    var acknowledged: UInt64 { receipt?.number.rawValue ?? base }
    var last: UInt64 { base + UInt64(messages.count) }
    /// For people.
    var place: String { "\(acknowledged)/\(last)" }
    var isWhole: Bool { base == 0 }

    /// True if a log that says this of itself holds what this view holds.
    func matches(_ contents: LogContents) -> Bool {
        header == contents.header && last == contents.last.rawValue && receipt == contents.receipt?.position
            && checkpoints == contents.checkpoints.map(\.position.number.rawValue)
    }

    func message(_ number: UInt64) -> Message? {
        guard number > base, number <= last else { return nil }
        return messages[Int(number - base - 1)]
    }

    /// Reads all that a log has: what of it is not what this view holds, in words.
    func difference(from log: any MessageLog) async throws -> String? {
        for (generation, checkpoint) in kept.enumerated()
        where try await log.checkpoint(generation: generation) != checkpoint {
            return "checkpoint \(generation) is not the one that was kept at \(checkpoint.position.number)"
        }
        var number = max(base, forgotten)
        while number < last {
            let slice = try await log.slice(after: SequenceNumber(number), maximumBytes: 1 << 20)
            guard !slice.messages.isEmpty else { return "nothing can be read after \(number)" }
            for message in slice.messages {
                number += 1
                guard message.number.rawValue == number, let written = self.message(number),
                    message.content == written.content, message.determinants == written.determinants
                else { return "update \(number) is not what was written" }
            }
            if let receipt = slice.receipt, receipt.position != receipts[number] {
                return "the receipt at \(number) is not what was written"
            }
        }
        return nil
    }

    mutating func apply(_ step: LogStep) {
        switch step {
        case .begin(let header): self.header = header
        case .append(let entries): for entry in entries { append(entry) }
        case .keep(let checkpoint, let truncated):
            let number = checkpoint.position.number
            kept = Array(([checkpoint] + kept.filter { $0.position.number != number }).prefix(2))
            forgotten = max(forgotten, truncated.rawValue)
        case .adopt(let checkpoint, _):
            let position = checkpoint.position
            (messages, base, receipt) = ([], position.number.rawValue, position)
            kept = [checkpoint]
            forgotten = base
            (receipts[base], applied) = (position, nil)
        case .setAside(let number, _): cut(after: number.rawValue)
        }
    }

    private mutating func append(_ entry: LogEntry) {
        switch entry {
        case .message(let message):
            messages.append(Message(content: message.content, determinants: []))
        case .acknowledgement(let acknowledgement):
            for (number, bytes) in acknowledgement.determinants
            where number.rawValue > base && number.rawValue <= last {
                messages[Int(number.rawValue - base - 1)].determinants = bytes
            }
            let position = acknowledgement.receipt.position
            for number in (acknowledged + 1)..<max(acknowledged + 1, min(position.number.rawValue, last) + 1) {
                switch RecordedEnding(messages[Int(number - base - 1)].determinants) {
                case .applied, .outcome: applied? += 1
                case .refused, .failed, .unreadable: break
                }
            }
            receipt = position
            receipts[position.number.rawValue] = position
        }
    }

    private mutating func cut(after number: UInt64) {
        guard number >= base else { return }
        if number < last { messages.removeLast(Int(last - number)) }
        // Which receipt is the newest then is the log's to say; only what is acknowledged for certain counts here.
        if let receipt, receipt.number.rawValue > number { self.receipt = nil }
    }
}

/// Something that a log was told to do, and did.
enum LogStep {
    case begin(LogHeader)
    case append([LogEntry])
    case keep(Checkpoint, truncating: SequenceNumber)
    case adopt(Checkpoint, Receipt)
    case setAside(after: SequenceNumber, reason: String)
}

/// How an update ended, by its determinants.
enum RecordedEnding: Equatable {
    case applied
    case outcome([UInt8])
    case refused
    case failed(UInt16)
    case unreadable

    /// The clock that an update read; nil if it read none.
    static func clock(_ determinants: [UInt8]) -> Int64? {
        guard determinants.count >= 9, determinants[0] == 1 else { return nil }
        return Int64(bitPattern: determinants[1..<9].reduce(0) { $0 << 8 | UInt64($1) })
    }

    init(_ determinants: [UInt8]) {
        var rest = determinants[...]
        if rest.first == 1 { rest = rest.dropFirst(9) }
        switch rest.first {
        case nil: self = .applied
        case 2: self = .outcome(Array(rest.dropFirst(5)))
        case 3: self = .refused
        case 4 where rest.count >= 3:
            let bytes = Array(rest.dropFirst().prefix(2))
            self = .failed(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
        default: self = .unreadable
        }
    }
}
