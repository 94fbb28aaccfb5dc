/// An update that a copy applied and whose acknowledgement is not known to be in the client's log yet.
package struct AppliedUpdate: Sendable {
    package var position: Position
    /// The digest of all replies up to here.
    package var outputs: Digest
    package var determinants: [UInt8]
    package var reply: [UInt8]
    /// Bytes of its content.
    package var contentBytes: Int
}

/// The positions of a session's copy from `confirmed` to its head, with what is needed to acknowledge them again.
///
/// What lies at or before `confirmed` never changes on this server; what lies after may turn out to be an orphan.
package struct CopyWindow: Sendable {
    /// The last position that the client is known to have logged.
    package private(set) var confirmed: Position
    private var entries = Fifo<AppliedUpdate>()

    package init(confirmed: Position) { self.confirmed = confirmed }

    package var head: Position { entries.last?.position ?? confirmed }
    /// True if the client has logged all that was applied.
    package var isConfirmed: Bool { entries.isEmpty }
    /// Applied and not confirmed.
    package var count: Int { entries.count }
    /// Bytes of their determinants and replies.
    package private(set) var bytes = 0

    /// Nil outside of (confirmed, head].
    package func entry(at number: SequenceNumber) -> AppliedUpdate? {
        guard number > confirmed.number else { return nil }
        return entries.item(at: number.distance(from: confirmed.number) - 1)
    }

    /// Nil outside of [confirmed, head].
    package func position(at number: SequenceNumber) -> Position? {
        number == confirmed.number ? confirmed : entry(at: number)?.position
    }

    package mutating func append(_ update: AppliedUpdate) {
        entries.append(update)
        bytes += update.determinants.count + update.reply.count
    }

    /// Raises `confirmed` to a position that agrees; false, and nothing happens, if this copy has none such.
    ///
    /// A position before `confirmed` is a late message and harmless: true.
    package mutating func confirm(_ position: Position) -> Bool {
        guard position.number >= confirmed.number else { return true }
        #if RECALL_PLANTED_BUGS
            let fits = self.position(at: position.number) == position || PlantedBug.isActive(.confirmByNumber)
            guard fits, self.position(at: position.number) != nil else { return false }
        #else
            guard self.position(at: position.number) == position else { return false }
        #endif
        for _ in 0..<position.number.distance(from: confirmed.number) {
            guard let update = entries.popFirst() else { break }
            bytes -= update.determinants.count + update.reply.count
        }
        entries.trim()
        confirmed = position
        return true
    }
}
