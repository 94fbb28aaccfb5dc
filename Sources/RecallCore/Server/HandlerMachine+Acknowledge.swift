// What goes out at the end of a batch: acknowledgements with one receipt each, the replies that wait for them, and
// checkpoints after them.

extension HandlerMachine {
    /// Writes what became due since the last flush. Call it when a batch of received frames was run.
    package mutating func flush(_ host: some SessionHost) {
        for id in dirtySlots {
            guard let slot = working(id), slot.isDirty else { continue }
            slot.isDirty = false
            guard slot.phase == .live, slot.route != nil else { continue }
            acknowledge(slot, host)
            writeReplies(slot)
            if canEncode(slot), slot.sent == slot.window.head.number, isRead(slot),
                slot.debt.isDue(kinds[slot.kind].checkpoints)
            {
                if !sendCheckpoint(slot, adopting: false, host) { slot.debt.postpone() }
            }
        }
        dirtySlots.removeAll(keepingCapacity: true)
    }

    /// While an effect is out the state is lent, but as it was at the head; a late application may be in its middle.
    private func canEncode(_ slot: SessionSlot) -> Bool {
        switch slot.awaiting {
        case .nothing, .confirmation, .outcome: true
        case .application, .adoption: false
        }
    }

    /// True if the slot's client takes what is written to it. Replies of this turn do not count: under a steady load of
    /// them no checkpoint would ever be offered.
    private func isRead(_ slot: SessionSlot) -> Bool {
        slot.route?.connection.isWritable == true
    }

    private mutating func acknowledge(_ slot: SessionSlot, _ host: some SessionHost) {
        while slot.sent < slot.matched {
            let first = slot.sent.next
            guard let (last, end) = receiptBoundary(slot, from: first) else {
                slot.sent = slot.matched  // confirmed meanwhile: the client has it
                return
            }
            let receipt = slot.keys.makeReceipt(
                end.position, outputs: end.outputs, kindVersion: version(of: slot), time: host.wallTime(), cryptography)
            write(to: slot) { writer, stream in
                writer.frame(Acknowledgement(stream: stream, first: first, receipt: receipt)) {
                    Self.writeItems(slot, first...last, to: &$0)
                }
            }
            slot.sent = last
        }
    }

    /// Up to where one acknowledgement reaches: the frame and the distance between receipts are bounded.
    private func receiptBoundary(
        _ slot: SessionSlot, from first: SequenceNumber
    ) -> (last: SequenceNumber, end: AppliedUpdate)? {
        guard var end = slot.window.entry(at: first) else { return nil }
        var last = first
        var logged = end.contentBytes + end.determinantBytes
        var carried = end.carriedBytes
        while last < slot.matched, let entry = slot.window.entry(at: last.next) {
            logged += entry.contentBytes + entry.determinantBytes
            carried += entry.carriedBytes + 12
            if logged > WireLimits.receiptInterval || carried > WireLimits.receiptInterval { break }
            (last, end) = (last.next, entry)
        }
        return (last, end)
    }

    private static func writeItems(
        _ slot: SessionSlot, _ range: ClosedRange<SequenceNumber>, to writer: inout ByteWriter
    ) {
        slot.window.forEachCarried(in: range) { item in
            writer.integer(UInt32(truncatingIfNeeded: item.number.distance(from: range.lowerBound)))
            writer.block(item.determinants.span.bytes)
            writer.block(item.reply.span.bytes)
        }
    }

    private mutating func writeReplies(_ slot: SessionSlot) {
        // A reply shows a state: it may go out only behind the acknowledgement of that state.
        let ready = slot.replies.prefix { $0.number <= slot.sent }
        for reply in ready {
            write(to: slot) { writer, stream in
                writer.frame(
                    Reply(stream: stream, request: reply.request, number: reply.number, status: reply.status)
                ) { $0.append(reply.bytes.span.bytes) }
            }
        }
        slot.replies.removeFirst(ready.count)
    }

    /// Offers the state at the head; false if it does not encode.
    mutating func sendCheckpoint(_ slot: SessionSlot, adopting: Bool, _ host: some SessionHost) -> Bool {
        guard slot.window.head.number > .zero, let state = host.encode(slot.id) else { return false }
        let count = CheckpointHeader.segmentCount(forBytes: state.count)
        guard count <= WireLimits.segments else { return false }
        let header = CheckpointHeader(
            kindVersion: version(of: slot), position: slot.window.head, outputs: slot.outputs, time: host.wallTime(),
            segmentCount: UInt32(count))
        let receipt =
            adopting
            ? slot.keys.makeReceipt(
                header.position, outputs: header.outputs, kindVersion: version(of: slot), time: header.time,
                cryptography
            )
            : nil
        write(to: slot) { $0.frame(Offer(stream: $1, header: header, adoption: receipt)) }
        var size = 0
        for segment in 0..<count {
            let start = segment * WireLimits.segment
            let plain = state.span.bytes.extracting(start..<min(start + WireLimits.segment, state.count))
            let nonce = host.randomBytes(12)
            let sealed = header.seal(plain, segment: UInt32(segment), nonce: nonce, slot.keys, cryptography)
            size += sealed.count
            self.count(slot, replyBytes: sealed.count)
            write(to: slot) { writer, stream in
                writer.frame(OfferSegment(stream: stream, index: UInt32(segment))) { $0.append(sealed.span.bytes) }
            }
        }
        if !adopting { slot.debt.offer(at: header.position, size: size) }
        return true
    }
}
