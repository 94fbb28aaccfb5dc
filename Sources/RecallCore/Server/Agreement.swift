/// What follows from comparing a client's log with a server's copy of its session.
///
/// The agreement rule: find the last position at which both agree (number, seal and inputs equal). A copy's part beyond
/// `confirmed` was never confirmed by anybody, so there the client's log wins; its part up to `confirmed` is in the log
/// of whoever confirmed it, so a log that contradicts it was written by two.
package enum Agreement: Sendable, Equatable, CaseIterable {
    /// They agree up to the log's last acknowledgement, and nothing in the copy contradicts the log: go on. What the
    /// copy has beyond is compared with the unacknowledged messages as these arrive.
    case current
    /// The log has acknowledgements beyond the copy's head: recall the gap from exactly there.
    case behind
    /// The copy's end was never confirmed and is not in the log: drop the copy and recall in full.
    case orphan
    /// A confirmed position is contradicted.
    case forked
    /// The log's acknowledgements end before what it once confirmed: offer the live state, or refuse.
    case clientBehind
}

extension CopyWindow {
    /// Judges an attaching client's claim against this copy.
    ///
    /// - Parameters:
    ///   - acknowledged: the log's last position with an acknowledgement, proven by its receipt.
    ///   - last: the number of the log's last message, acknowledged or not.
    ///   - lastSeal: that message's seal.
    package func agreement(acknowledged: Position, last: SequenceNumber, lastSeal: Digest) -> Agreement {
        if acknowledged.number < confirmed.number { return .clientBehind }
        if acknowledged.number > head.number { return .behind }
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.orphanKept) { return .current }
        #endif
        guard position(at: acknowledged.number) == acknowledged else {
            return acknowledged.number == confirmed.number ? .forked : .orphan
        }
        if last < head.number { return .orphan }
        if last == head.number, lastSeal != head.seal { return .orphan }
        return .current
    }
}
