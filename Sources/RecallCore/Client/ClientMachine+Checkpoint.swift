// Checkpoints: kept only at a position that the log holds, durable before anything is truncated; and adoption.

/// A checkpoint as its segments arrive.
struct OfferAssembly: Sendable {
    var header: CheckpointHeader
    var adoption: Receipt?
    var segments: [[UInt8]] = []
}

extension ClientMachine {
    mutating func offered(_ frame: Offer) {
        // What the log is giving up is no checkpoint, and it takes one state over at a time.
        guard !isAdopting else { return }
        offer = nil
        if frame.adoption == nil {
            // The offer follows the acknowledgement of its position on the stream, so it must be where this log now is.
            #if RECALL_PLANTED_BUGS
                let fits = frame.header.position == front || PlantedBug.isActive(.keepForeignCheckpoint)
            #else
                let fits = frame.header.position == front
            #endif
            guard fits, frame.header.kindVersion == header.kindVersion else { return }
            if let newest = newestCheckpoint, newest.number >= front.number { return repeatKept(newest) }
            // The receipt here stays with the checkpoint: should all that follows be damaged one day, it is what the
            // session attaches with.
            bytesSinceAnchor = 0
        } else {
            guard case .attaching = phase, frame.header.position.number > front.number else { return }
        }
        offer = OfferAssembly(header: frame.header, adoption: frame.adoption)
    }

    /// What is offered was kept before, and the server did not hear of it. Keeping it twice would make both generations
    /// one, and truncate what the older needs.
    private mutating func repeatKept(_ checkpoint: LogCheckpoint) {
        if case .live(let stream) = phase { output.frame(Kept(stream: stream, position: checkpoint.position)) }
    }

    mutating func segmentOffered(_ frame: OfferSegment, _ raw: RawSpan) {
        guard offer?.segments.count == Int(clamping: frame.index) else { return offer = nil }
        offer?.segments.append(raw.array)
        guard let complete = offer, complete.segments.count == Int(complete.header.segmentCount) else { return }
        offer = nil
        // Whoever offers a state needs no history, and the log may forget what one would read.
        history = nil
        let checkpoint = complete.header.checkpoint(complete.segments)
        if let receipt = complete.adoption { return adopt(checkpoint, receipt) }
        // The acknowledgements that it stands on go into the log before it.
        stageAppend()
        keeping = checkpoint.position.number
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.truncateTooFar) {
                return operations.append(.keep(checkpoint, truncating: checkpoint.position.number))
            }
        #endif
        operations.append(.keep(checkpoint, truncating: newestCheckpoint?.number ?? .zero))
    }

    /// True if the newest checkpoint stands there, or one that is on its way.
    func isAtCheckpoint(_ number: SequenceNumber) -> Bool {
        number == newestCheckpoint?.number || number == keeping || number == offer?.header.position.number
    }

    mutating func kept(_ checkpoint: Checkpoint) {
        keeping = nil
        olderCheckpoint = newestCheckpoint
        let position = checkpoint.position
        newestCheckpoint = LogCheckpoint(number: position.number, position: position, byteCount: checkpoint.byteCount)
        historyBytes = 0  // at least; what came since is small beside the checkpoint
        events.append(.checkpointKept(at: position.number, byteCount: checkpoint.byteCount))
        if case .live(let stream) = phase { output.frame(Kept(stream: stream, position: position)) }
    }

    /// The log has lost what it had confirmed. Whether its unacknowledged messages are in the state that it adopts is
    /// not known, so none of them is sent again. Nobody is told before the log has adopted: until then a crash leaves
    /// them in it, to be sent.
    private mutating func adopt(_ checkpoint: Checkpoint, _ receipt: Receipt) {
        isAdopting = true
        staged.removeAll { if case .message = $0 { true } else { false } }
        stageAppend()
        while let pending = tail.popFirst() {
            guard let call = pending.call else { continue }
            let text = "the log had lost what it had confirmed; the server's state was adopted"
            answer(call, at: receipt.position.number, .failed(.outcomeUnknown, text))
        }
        tailBytes = 0
        operations.append(.adopt(checkpoint, receipt: receipt))
    }

    mutating func adopted(_ checkpoint: Checkpoint, _ receipt: Receipt) {
        isAdopting = false
        logged = receipt
        front = receipt.position
        reset(to: front)
        let position = checkpoint.position
        newestCheckpoint = LogCheckpoint(number: position.number, position: position, byteCount: checkpoint.byteCount)
        (olderCheckpoint, reachesStart) = (nil, false)
        (historyBytes, bytesSinceAnchor) = (0, 0)
        deliverAnswers()
        withdrawRequests()
        for index in requests.indices { requests[index].after = position.number }
        events.append(.adopted(at: position.number))
        if let stream = phase.stream { output.frame(Kept(stream: stream, position: position)) }
    }
}
