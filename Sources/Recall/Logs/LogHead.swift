package import RecallCore

/// The end of a log, and the rules by which entries extend it: what any log checks before it writes, so that no log
/// ever holds a gap, a receipt for messages it lacks, or determinants that change after they were covered.
package struct LogHead: Hashable, Sendable {
    /// Messages numbered up to here are forgotten.
    package var base: SequenceNumber
    /// As `LogContents.last`.
    package var last: SequenceNumber
    /// The newest receipt's number.
    package var receipt: SequenceNumber?

    package init(base: SequenceNumber = .zero, last: SequenceNumber = .zero, receipt: SequenceNumber? = nil) {
        self.base = base
        self.last = last
        self.receipt = receipt
    }

    /// Moves over the entries, or says why they do not fit.
    package mutating func admit(_ entries: borrowing [LogEntry]) throws(RecallError) {
        for index in entries.indices {
            switch entries[index] {
            case .message(let message):
                guard message.number > last, message.number == last.next else {
                    throw RecallError(.logFailed, "message \(message.number) does not follow the log's last, \(last)")
                }
                last = message.number
            case .acknowledgement(let acknowledgement): try admit(acknowledgement)
            }
        }
    }

    private mutating func admit(_ acknowledgement: LoggedAcknowledgement) throws(RecallError) {
        let number = acknowledgement.receipt.position.number
        guard number <= last else {
            throw RecallError(.logFailed, "the receipt at \(number) is past the log's last message, \(last)")
        }
        guard number >= receipt ?? base else {
            throw RecallError(.logFailed, "the receipt at \(number) is older than the one at \(receipt ?? base)")
        }
        var covered = receipt ?? base
        for determinants in acknowledgement.determinants {
            guard determinants.number > covered, determinants.number <= number else {
                throw RecallError(
                    .logFailed,
                    "determinants of \(determinants.number) are not between \(covered) and the receipt at \(number)")
            }
            covered = determinants.number
        }
        receipt = number
    }

    /// Insists that a checkpoint lies within the log and that nothing after it is to be forgotten.
    package func check(_ checkpoint: Position, truncating: SequenceNumber) throws(RecallError) {
        guard checkpoint.number >= base, checkpoint.number <= last else {
            throw RecallError(
                .logFailed,
                "the checkpoint at \(checkpoint.number) is outside the log, which reaches from \(base) to \(last)")
        }
        guard truncating <= checkpoint.number else {
            throw RecallError(
                .logFailed,
                "truncating up to \(truncating) would lose messages that the checkpoint at \(checkpoint.number) lacks")
        }
    }

    /// Insists that the receipt to adopt stands at the checkpoint.
    package static func check(adopting checkpoint: Position, receipt: Position) throws(RecallError) {
        guard checkpoint == receipt else {
            throw RecallError(
                .logFailed,
                "the receipt at \(receipt.number) does not stand at the checkpoint to adopt, \(checkpoint.number)")
        }
    }

    /// Insists that the messages after a number are still there.
    package func check(sliceAfter number: SequenceNumber) throws(RecallError) {
        guard number >= base else {
            throw RecallError(.logFailed, "the messages after \(number) were forgotten up to \(base)")
        }
    }
}

/// How far a slice reaches; the rules of `MessageLog.slice` in one place for all logs.
package struct SliceExtent {
    private let maximumBytes: Int
    private let reachesReceipt: Bool
    private var byteCount = 0
    private var seen = 0
    private var upToReceipt = 0

    /// `reachesReceipt` tells whether any receipt follows the slice's start.
    package init(maximumBytes: Int, reachesReceipt: Bool) {
        self.maximumBytes = maximumBytes
        self.reachesReceipt = reachesReceipt
    }

    /// Takes the next message, of so many bytes with its determinants. False once the slice is complete.
    package mutating func add(_ bytes: Int, hasReceipt: Bool) -> Bool {
        let (sum, overflow) = byteCount.addingReportingOverflow(bytes)
        byteCount = overflow ? .max : sum
        if byteCount > maximumBytes && (reachesReceipt ? upToReceipt : seen) > 0 { return false }
        seen += 1
        if hasReceipt { upToReceipt = seen }
        return true
    }

    /// True once the slice holds the messages up to a receipt.
    package var isAtReceipt: Bool { upToReceipt > 0 && upToReceipt == seen }
    /// How many of the messages that were taken are in the slice: all up to the last receipt.
    package var count: Int { reachesReceipt ? upToReceipt : seen }
}

/// Gathers a slice message by message.
package struct SliceBuilder {
    private var extent: SliceExtent
    private var messages: [LoggedMessage] = []
    private var receipt: Receipt?

    /// As `SliceExtent`.
    package init(maximumBytes: Int, reachesReceipt: Bool) {
        extent = SliceExtent(maximumBytes: maximumBytes, reachesReceipt: reachesReceipt)
    }

    /// Takes the next message, and the receipt at it if there is one. False once the slice is complete.
    package mutating func add(_ message: LoggedMessage, receipt: Receipt?) -> Bool {
        guard extent.add(message.byteCount, hasReceipt: receipt != nil) else { return false }
        messages.append(message)
        if let receipt { self.receipt = receipt }
        return true
    }

    /// True once the slice holds the messages up to a receipt.
    package var isAtReceipt: Bool { extent.isAtReceipt }

    package consuming func finish() -> LogSlice {
        messages.removeLast(messages.count - extent.count)
        return LogSlice(messages: messages, receipt: receipt)
    }
}

extension LoggedMessage {
    /// Bytes of its content and its determinants; saturates.
    package var byteCount: Int {
        let (sum, overflow) = content.count.addingReportingOverflow(determinants.count)
        return overflow ? .max : sum
    }
}
