internal import Recall
internal import RecallCore

/// One rule's log, and made-up records to fill it with.
struct LogTrial: Sendable {
    /// What a rule found; the suite adds the rule's name.
    struct Failure: Error { var detail: String }

    let storage: LogConformance.Storage

    static let header = LogHeader(
        session: SessionID(high: 0x0001_0203_0405_0607, low: 9), vector: digest(77), kindName: Array("bank".utf8),
        kindVersion: 3)

    static func digest(_ value: UInt64) -> Digest {
        var writer: [UInt8] = []
        for index in 0..<32 {
            writer.append(UInt8(truncatingIfNeeded: value &* 0x9E37_79B9 >> (index % 8) &+ UInt64(index)))
        }
        return Digest(writer) ?? Digest()
    }

    static func content(_ number: UInt64, count: Int = 10) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number &* 31 &+ UInt64($0)) }
    }

    static func message(_ number: UInt64, count: Int = 10) -> LogEntry {
        .message(LoggedMessage(number: SequenceNumber(number), content: content(number, count: count)))
    }

    static func position(_ number: UInt64) -> Position {
        Position(number: SequenceNumber(number), seal: digest(number), inputs: digest(number + 1_000))
    }

    static func receipt(_ number: UInt64, time: Int64 = 5) -> Receipt {
        Receipt(
            position: position(number), outputs: digest(number + 2_000), time: WallTime(nanoseconds: time),
            mac: digest(number + 3_000))
    }

    static func acknowledgement(
        _ number: UInt64, _ determinants: [(number: SequenceNumber, bytes: [UInt8])] = [], supersedes: UInt64? = nil
    ) -> LogEntry {
        .acknowledgement(
            LoggedAcknowledgement(
                determinants: determinants, receipt: receipt(number), supersedes: supersedes.map { SequenceNumber($0) })
        )
    }

    static func checkpoint(_ number: UInt64, segments: Int = 2) -> Checkpoint {
        Checkpoint(
            kindVersion: 3, position: position(number), outputs: digest(number + 2_000),
            time: WallTime(nanoseconds: -7),
            segments: (0..<segments).map { content(number + UInt64($0), count: 100 + $0) })
    }

    /// A log that is open and holds the header.
    func begun() async throws -> any MessageLog {
        let log = storage()
        _ = try await log.open()
        try await log.begin(Self.header)
        return log
    }

    /// As `begun`, with messages of 10 bytes up to a number and receipts at the given ones.
    func filled(_ last: UInt64, receipts: [UInt64]) async throws -> any MessageLog {
        let log = try await begun()
        for number in 1...last {
            try await append([Self.message(number)], to: log)
            if receipts.contains(number) { try await append([Self.acknowledgement(number)], to: log) }
        }
        return log
    }

    /// As a client does: at once, if the log will.
    private func append(_ entries: [LogEntry], to log: any MessageLog) async throws {
        if let immediate = log as? any ImmediateMessageLog, try immediate.appendNow(entries) { return }
        try await log.append(entries)
    }

    private func slice(of log: any MessageLog, after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice
    {
        if let immediate = log as? any ImmediateMessageLog,
            let slice = try immediate.sliceNow(after: number, maximumBytes: maximumBytes)
        {
            return slice
        }
        return try await log.slice(after: number, maximumBytes: maximumBytes)
    }

    func keep(_ checkpoint: Checkpoint, truncating number: SequenceNumber, in log: any MessageLog) async throws {
        if let immediate = log as? any ImmediateMessageLog, try immediate.keepNow(checkpoint, truncating: number) {
            return
        }
        try await log.keep(checkpoint, truncating: number)
    }

    func reopened(_ log: any MessageLog) async throws -> (any MessageLog, LogContents) {
        await log.close()
        let log = storage()
        return (log, try await log.open())
    }

    func refused(_ code: RecallError.Code = .logFailed, _ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as RecallError {
            return try check(error.code, is: code, "the code when \(what)")
        }
        throw Failure(detail: "\(what) was not refused")
    }

    func numbers(_ slice: LogSlice) -> [UInt64] { slice.messages.map(\.number.rawValue) }

    /// Checks a slice's message numbers, contents and receipt.
    func expect(
        _ log: any MessageLog, after number: UInt64, bytes: Int, _ expected: ClosedRange<UInt64>?, receipt: UInt64?
    ) async throws {
        let slice = try await slice(of: log, after: SequenceNumber(number), maximumBytes: bytes)
        let what = "of slice(after: \(number), maximumBytes: \(bytes))"
        try check(numbers(slice), is: expected.map { Array($0) } ?? [], "the messages \(what)")
        try check(slice.receipt, is: receipt.map { Self.receipt($0) }, "the receipt \(what)")
        for message in slice.messages {
            try check(message.content, is: Self.content(message.number.rawValue), "message \(message.number)")
        }
    }

    func check(_ condition: Bool, _ detail: @autoclosure () -> String) throws {
        guard condition else { throw Failure(detail: detail()) }
    }

    func check<T: Equatable>(_ found: T, is expected: T, _ what: String) throws {
        // Long values are of no help in a message.
        guard found != expected else { return }
        let (found, expected) = ("\(found)".prefix(300), "\(expected)".prefix(300))
        throw Failure(detail: "\(what) is \(found), not \(expected)")
    }
}
