/// An update that a copy applied and whose acknowledgement is not known to be in the client's log yet: where it led,
/// and how many bytes there are to it. These lie apart, so that it is copied without counting references.
package struct AppliedUpdate: Sendable, BitwiseCopyable {
    package var position: Position
    /// The digest of all replies up to here.
    package var outputs: Digest
    package var contentBytes: Int
    package var determinantBytes: Int
    package var replyBytes: Int

    /// What it takes besides its content to acknowledge it.
    var carriedBytes: Int { determinantBytes + replyBytes }
}

/// The positions of a session's copy from `confirmed` to its head, with what is needed to acknowledge them again.
///
/// What lies at or before `confirmed` never changes on this server; what lies after may turn out to be an orphan.
package struct CopyWindow: Sendable {
    /// What an update took from outside and replied; most have neither.
    package struct Carried: Sendable {
        package var number: SequenceNumber
        package var determinants: [UInt8]
        package var reply: [UInt8]
    }

    /// The last position that the client is known to have logged.
    package private(set) var confirmed: Position
    package private(set) var head: Position
    private var entries = Fifo<AppliedUpdate>()
    private var carried = Fifo<Carried>()

    package init(confirmed: Position) { (self.confirmed, head) = (confirmed, confirmed) }

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

    /// What the updates of a range carry, ascending, as far as they carry anything.
    package func forEachCarried(in range: ClosedRange<SequenceNumber>, _ body: (Carried) -> Void) {
        var (low, high) = (0, carried.count)
        while low < high {
            let middle = (low + high) / 2
            if let item = carried.item(at: middle), item.number < range.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        while let item = carried.item(at: low), item.number <= range.upperBound {
            body(item)
            low += 1
        }
    }

    package mutating func append(
        _ position: Position, outputs: Digest, contentBytes: Int, determinants: [UInt8], reply: [UInt8]
    ) {
        head = position
        let update = AppliedUpdate(
            position: position, outputs: outputs, contentBytes: contentBytes, determinantBytes: determinants.count,
            replyBytes: reply.count)
        entries.append(update)
        guard update.carriedBytes > 0 else { return }
        carried.append(Carried(number: position.number, determinants: determinants, reply: reply))
        bytes += update.carriedBytes
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
            bytes -= update.carriedBytes
        }
        while let item = carried.popFirst() {
            guard item.number <= position.number else {
                carried.putBack(item)
                break
            }
        }
        entries.trim()
        carried.trim()
        confirmed = position
        return true
    }
}
