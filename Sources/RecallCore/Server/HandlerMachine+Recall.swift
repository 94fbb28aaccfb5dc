// Recall: admission, the history's arrival, and its replay chunk by chunk.

extension HandlerMachine {
    /// Drops an orphan and recalls everything. What the copy had confirmed stays as a tombstone until the recall ends.
    mutating func recallInFull(_ slot: SessionSlot, _ claim: AttachClaim, _ now: Instant, _ host: some SessionHost) {
        slot.drops += 1
        if mayDrop(slot, host) { beginRecall(slot, claim, isGap: false, now, host) }
    }

    /// False, and the client is sent away for now, if too many copies of its session were dropped.
    mutating func mayDrop(_ slot: SessionSlot, _ host: some SessionHost) -> Bool {
        guard slot.drops > limits.drops else { return true }
        slot.drops = 0  // the client's pause is the limit: it comes back, and is to be served then
        refuse(slot, .overloaded, "the session's copies were dropped too often", host)
        return false
    }

    /// Asks for a place among the recalls. A full recall drops what is here.
    mutating func beginRecall(
        _ slot: SessionSlot, _ claim: AttachClaim, isGap: Bool, _ now: Instant, _ host: some SessionHost
    ) {
        slot.recall = RecallProgress(claim, isGap: isGap, at: now)
        if !isGap { bury(slot, host) }
        slot.phase = .waiting
        if claim.receipt == nil, claim.checkpoint == nil, !isGap {
            startFresh(slot, host)
            return finishRecall(slot, now, host)
        }
        if claim.historyFollows, !isGap, admission.admitShort(slot.id) {
            startRecall(slot, unasked: true, host)
            return startAdmitted(host)  // as below
        }
        let bytes = Self.heldBytes(claim, chunks: Int(WireLimits.historyCredit) * WireLimits.receiptInterval)
        guard let connection = slot.route?.connection.id else { return }
        switch admission.request(slot.id, from: connection, bytes: bytes) {
        case .admitted: startRecall(slot, unasked: claim.historyFollows && !isGap, host)
        case .waiting: startAdmitted(host)  // it may have given up a smaller place for this
        case .overloaded:
            if isGap {  // the copy is good as far as it goes: dropping it would make more work
                slot.recall = nil
                slot.phase = .live
            }
            refuse(slot, .overloaded, "too many recalls wait", host)
        }
    }

    /// What a recall holds: the checkpoint sealed and open, and the chunks that are ahead.
    private static func heldBytes(_ claim: AttachClaim, chunks: Int) -> Int {
        2 * min(Int(clamping: claim.checkpoint?.byteCount ?? 0), 1 << 30) + chunks
    }

    /// Drops the copy and keeps its confirmed position, unless one that is not checked yet lies later.
    mutating func bury(_ slot: SessionSlot, _ host: some SessionHost) {
        if slot.hasInstance, slot.window.confirmed.number > (slot.tombstone?.number ?? .zero) {
            slot.tombstone = slot.window.confirmed
        }
        dropCopy(slot, host)
    }

    private mutating func startFresh(_ slot: SessionSlot, _ host: some SessionHost) {
        host.create(slot.id, slot.incarnation, session: slot.session, kind: slot.kind)
        slot.hasInstance = true
    }

    /// Starts those that have a place now.
    mutating func startAdmitted(_ host: some SessionHost) {
        while let id = admission.next() {
            guard let slot = working(id), slot.recall != nil else {
                admission.finish(id)
                continue
            }
            startRecall(slot, unasked: false, host)
        }
    }

    private mutating func startRecall(_ slot: SessionSlot, unasked: Bool, _ host: some SessionHost) {
        slot.phase = .recalling
        slot.recall?.lastProgress = host.instant()
        host.observe(slot.id, of: slot.session, .recallStarted)
        guard !unasked, let recall = slot.recall else { return }
        ask(slot, recall.isGap ? .after(slot.window.head) : .newest)
    }

    private mutating func ask(_ slot: SessionSlot, _ origin: RecallRequest.Origin) {
        slot.lastRecall &+= 1
        let id = RecallID(slot.lastRecall)
        slot.recall?.id = id
        slot.recall?.stage = .asked
        slot.recall?.reader = nil
        slot.recall?.chunks.removeAll()
        account(slot)
        write(to: slot) {
            $0.frame(RecallRequest(stream: $1, recall: id, credit: WireLimits.historyCredit, origin: origin))
        }
    }

    /// Ends a recall that nobody waits for. The slot goes with it, unless a tombstone has to be remembered.
    mutating func abandonRecall(_ slot: SessionSlot, _ host: some SessionHost) {
        slot.recall = nil
        bury(slot, host)
        admission.finish(slot.id)
        slot.phase = .waiting
        if slot.tombstone == nil { remove(slot, host) }
    }

    // MARK: The history arrives

    mutating func historyStarted(
        _ slot: SessionSlot, _ frame: HistoryStart, _ now: Instant, _ host: some SessionHost
    ) {
        guard let recall = slot.recall, slot.phase == .recalling, recall.id == frame.recall else { return }
        slot.recall?.lastProgress = now
        guard case .asked = recall.stage else {
            return refuse(slot, .unexpectedFrame, "a history that had begun begins again", host)
        }
        switch frame.base {
        case .gap:
            guard recall.isGap else { return refuse(slot, .unexpectedFrame, "the whole history was asked for", host) }
            startReading(slot, after: slot.window.head)
        case .start:
            if recall.isGap { becomeFull(slot, host) }
            startFresh(slot, host)
            startReading(slot, after: .start)
        case .checkpoint(let header):
            if recall.isGap { becomeFull(slot, host) }
            guard header.kindVersion == version(of: slot), header.position.number <= recall.claim.acknowledged.number
            else {
                return checkpointFailed(slot, host)
            }
            slot.recall?.stage = .checkpoint(CheckpointAssembly(header: header))
        }
    }

    /// The gap did not fit: what is here is dropped.
    private mutating func becomeFull(_ slot: SessionSlot, _ host: some SessionHost) {
        bury(slot, host)
        slot.recall?.isGap = false
    }

    private func startReading(_ slot: SessionSlot, after base: Position) {
        slot.recall?.base = base.number
        slot.recall?.reader = HistoryReader(after: base, keys: slot.keys, kindVersion: version(of: slot), cryptography)
        slot.recall?.stage = .messages
    }

    mutating func segmentArrived(
        _ slot: SessionSlot, _ frame: HistorySegment, _ raw: RawSpan, _ now: Instant, _ host: some SessionHost
    ) {
        guard slot.phase == .recalling, slot.recall?.id == frame.recall else { return }
        slot.recall?.lastProgress = now
        let limit = Int(clamping: slot.recall?.claim.checkpoint?.byteCount ?? 0)
        // Twice: sealed and open.
        guard let recall = slot.recall, mayArrive(slot, recall, byteCount: 2 * raw.byteCount, now, host) else { return }
        guard case .checkpoint(var assembly)? = slot.recall?.stage, assembly.next == frame.index else {
            return refuse(slot, .unexpectedFrame, "a checkpoint's segment out of order", host)
        }
        slot.recall?.stage = .asked  // so that the plaintext is referenced once and grows in place
        assembly.sealedBytes += raw.byteCount
        guard assembly.sealedBytes <= limit else {
            return refuse(slot, .windowExceeded, "the checkpoint is larger than the attach said", host)
        }
        guard let plain = assembly.header.open(raw, segment: frame.index, slot.keys, cryptography) else {
            return checkpointFailed(slot, host)
        }
        assembly.state.append(contentsOf: plain)
        assembly.next += 1
        guard assembly.next == assembly.header.segmentCount else {
            slot.recall?.stage = .checkpoint(assembly)
            return account(slot)
        }
        if let tombstone = slot.tombstone, tombstone.number == assembly.header.position.number,
            tombstone != assembly.header.position
        {
            return historyFailed(slot, Self.forked(tombstone.number), host)
        }
        startFresh(slot, host)
        guard host.restore(slot.id, state: assembly.state) else {
            dropCopy(slot, host)
            return checkpointFailed(slot, host)
        }
        slot.outputs = assembly.header.outputs
        slot.window = CopyWindow(confirmed: assembly.header.position)
        slot.debt = ReplayDebt(checkpointBytes: assembly.sealedBytes)
        account(slot)
        startReading(slot, after: assembly.header.position)
    }

    /// The newest checkpoint is unusable; the one before it, with the messages since, leads to the same state.
    private mutating func checkpointFailed(_ slot: SessionSlot, _ host: some SessionHost) {
        guard slot.recall?.triedOlder == false else {
            return refuse(slot, .badCheckpoint, "no checkpoint in the log verifies and decodes here", host)
        }
        slot.recall?.triedOlder = true
        ask(slot, .older)
    }

    mutating func chunkArrived(
        _ slot: SessionSlot, _ frame: HistoryChunk, _ raw: RawSpan, _ now: Instant, _ host: some SessionHost
    ) {
        guard let recall = slot.recall, slot.phase == .recalling, recall.id == frame.recall else { return }
        slot.recall?.lastProgress = now
        guard recall.chunks.count < Int(WireLimits.historyCredit), let reader = recall.reader else {
            return refuse(slot, .windowExceeded, "a history chunk without credit or before the history's start", host)
        }
        guard mayArrive(slot, recall, byteCount: raw.byteCount, now, host) else { return }
        lastVerification &+= 1
        let verification = ChunkVerification(
            slot.id, ticket: lastVerification, at: now, reader, frame, raw.array)
        recall.reader?.pass(frame)
        // Nothing else of the history is here, or will come: another thread would only have to be woken.
        let isAlone = frame.isLast && recall.chunks.isEmpty
        if !isAlone, host.verify(verification) {
            recall.chunks.append(.verifying(verification))
        } else {
            recall.chunks.append(ArrivedChunk(verification.run()))
        }
        hold(slot, recall)
    }

    /// Counts more of a history. False if it came along and is longer than that allows: it has to wait for a place, and
    /// is asked for then.
    private mutating func mayArrive(
        _ slot: SessionSlot, _ recall: RecallProgress, byteCount: Int, _ now: Instant, _ host: some SessionHost
    ) -> Bool {
        recall.arrivedBytes += byteCount
        let fits = admission.holdShort(slot.id, bytes: recall.arrivedBytes)
        if !fits {
            var claim = recall.claim
            claim.historyFollows = false
            beginRecall(slot, claim, isGap: false, now, host)
        }
        return fits
    }

    /// A chunk that the host verified elsewhere; late for a recall that is over.
    package mutating func chunkVerified(
        _ verification: ChunkVerification, _ result: Result<VerifiedChunk, HistoryFault>
    ) {
        guard let slot = working(verification.slot), let recall = slot.recall,
            recall.verified(verification.ticket, result)
        else { return }
        hold(slot, recall)
    }

    /// Verifies here what recalls have waited for since `time`: the threads that were to do it may all be taken up by
    /// code that blocks them.
    package mutating func verifyOverdue(since time: Instant) {
        for id in admission.runningSlots {
            guard let verification = working(id)?.recall?.chunks.first?.verification, verification.start < time else {
                continue
            }
            chunkVerified(verification, verification.run())
        }
    }

    /// Counts what a recall holds. A chunk of large messages is larger than was counted on: then fewer others are let
    /// in.
    private mutating func hold(_ slot: SessionSlot, _ recall: RecallProgress) {
        admission.hold(slot.id, bytes: Self.heldBytes(recall.claim, chunks: recall.heldBytes))
        account(slot)
        if recall.hasNext { setReady(slot) }
    }

    /// What a chunk must be beside verified, before the first of it is applied. All chunks before it were.
    private func accept(_ chunk: inout VerifiedChunk, _ slot: SessionSlot) throws(HistoryFault) {
        guard !chunk.isAccepted, let recall = slot.recall else { return }
        chunk.isAccepted = true
        try checkTombstone(slot, chunk)
        if chunk.isLast, chunk.end != recall.claim.acknowledged {
            let last = chunk.end.number
            throw HistoryFault(
                .brokenChain, chunk.first, last,
                "the history ends elsewhere than the attach said")
        }
        if recall.isGap { _ = slot.window.confirm(slot.window.head) }
    }

    private func checkTombstone(_ slot: SessionSlot, _ chunk: VerifiedChunk) throws(HistoryFault) {
        guard let tombstone = slot.tombstone, tombstone.number >= chunk.first, tombstone.number <= chunk.end.number,
            let position = chunk.position(at: tombstone.number, cryptography)
        else { return }
        guard position == tombstone else { throw Self.forked(tombstone.number) }
    }

    private static func forked(_ number: SequenceNumber) -> HistoryFault {
        HistoryFault(.forked, number, number, forkedText(number))
    }

    static func forkedText(_ number: SequenceNumber) -> String {
        "update \(number) was confirmed with another content or outcome: two writers used one log"
    }

    /// Only a full recall is final: a gap that does not extend the copy drops it and recalls everything.
    mutating func historyFailed(_ slot: SessionSlot, _ fault: HistoryFault, _ host: some SessionHost) {
        guard slot.recall?.isGap == true else {
            return refuse(slot, fault.code, first: fault.first, last: fault.last, fault.text, host)
        }
        becomeFull(slot, host)
        ask(slot, .newest)
    }

    // MARK: Replay

    /// Replays what was verified, a turn's messages of one chunk at most; true if there is more to do now.
    mutating func replay(_ slot: SessionSlot, _ now: Instant, _ host: some SessionHost) -> Bool {
        guard slot.awaiting == .nothing, let recall = slot.recall, recall.hasNext else { return false }
        switch recall.chunks.popFirst() {
        case .verified(let chunk): return replay(slot, chunk, now, host)
        case .failed(let fault): historyFailed(slot, fault, host)
        case .verifying, nil: break
        }
        return false
    }

    private mutating func replay(
        _ slot: SessionSlot, _ verified: VerifiedChunk, _ now: Instant, _ host: some SessionHost
    ) -> Bool {
        var chunk = verified
        #if RECALL_PLANTED_BUGS
            let isShort = PlantedBug.isActive(.gapOffByOne) && slot.recall?.isGap == true && slot.recall?.replayed == 0
            if isShort, chunk.done == 0 { _ = chunk.next() }
        #endif
        var left = limits.turn
        let hasSuspects = host.hasSuspects
        do throws(HistoryFault) {
            try accept(&chunk, slot)
            while chunk.done < chunk.count {
                guard left > 0 else {
                    slot.recall?.chunks.putBack(.verified(chunk))
                    return true
                }
                left -= 1
                let number = chunk.first.advanced(by: chunk.done)
                guard let message = chunk.next() else {
                    throw HistoryFault(.malformedFrame, number, number, "a verified chunk does not read")
                }
                guard try replay(slot, message, chunk.bytes.span.bytes, hasSuspects, host) else {
                    slot.recall?.chunks.putBack(.verified(chunk))
                    return false
                }
            }
            try finish(chunk, slot)
        } catch {
            historyFailed(slot, error, host)
            return false
        }
        if chunk.isLast {
            finishRecall(slot, now, host)
            return slot.isReady
        }
        slot.recall?.lastProgress = now
        account(slot)
        if let id = slot.recall?.id { write(to: slot) { $0.frame(Credit(stream: $1, recall: id, chunks: 1)) } }
        return slot.recall?.hasNext == true
    }

    /// Replays one message; false if the host answers later.
    private mutating func replay(
        _ slot: SessionSlot, _ message: VerifiedMessage, _ bytes: RawSpan, _ hasSuspects: Bool,
        _ host: some SessionHost
    ) throws(HistoryFault) -> Bool {
        let number = message.number
        let recorded: Determinants
        do throws(WireError) { recorded = try Determinants(bytes.extracting(message.determinants)) } catch {
            throw HistoryFault(.diverged, number, number, "the determinants of update \(number) are \(error)")
        }
        slot.debt.add(bytes: message.content.count + message.determinants.count)
        slot.recall?.replayed += 1
        switch recorded.ending {
        case .refused, .failed:
            #if RECALL_PLANTED_BUGS
                if PlantedBug.isActive(.refusalReplayed), case .refused = recorded.ending { break }
            #endif
            return true  // never asked again
        case .applied, .outcome: break
        }
        guard !hasSuspects || !host.isPoisoned(slot.session, number, message.seal, isReplay: true) else {
            throw HistoryFault(
                .poisoned, number, number, "update \(number) was accepted before, but this server's code dies of it")
        }
        let call = UpdateCall(
            slot: slot.id, incarnation: slot.incarnation, session: slot.session, number: number,
            seal: message.seal, keys: slot.keys, recorded: recorded)
        var reply = ByteWriter()
        let verdict = host.apply(call, content: bytes.extracting(message.content), reply: &reply)
        if case .pending = verdict {
            slot.awaiting = .application(.init(number: number, seal: message.seal, contentBytes: 0))
            return false
        }
        try replayed(slot, number, recorded, verdict, reply.bytes)
        return true
    }

    /// Judges a replayed update: it must have ended as it did the first time.
    func replayed(
        _ slot: SessionSlot, _ number: SequenceNumber, _ recorded: Determinants?, _ verdict: UpdateVerdict,
        _ reply: [UInt8]
    ) throws(HistoryFault) {
        switch verdict {
        case .applied(let clock):
            if let recorded, clock != recorded.clock {
                throw HistoryFault(
                    .diverged, number, number, "update \(number) reads the clock otherwise than the first time")
            }
            slot.outputs = cryptography.outputs(reply.span.bytes, number: number, after: slot.outputs)
        case .broken(let text):
            throw HistoryFault(
                .inconsistent, number, number,
                "update \(number) breaks the state: \(String(decoding: text, as: UTF8.self))")
        case .refused, .failed, .effect, .pending:
            throw HistoryFault(.diverged, number, number, "update \(number) was applied the first time and is not now")
        }
    }

    /// The replies of a whole chunk must be those of its receipt.
    private func finish(_ chunk: VerifiedChunk, _ slot: SessionSlot) throws(HistoryFault) {
        guard let receipt = chunk.receipt else { return }
        guard receipt.outputs == slot.outputs else {
            let last = receipt.position.number
            let first = chunk.count > 0 ? chunk.first : last
            throw HistoryFault(
                .diverged, first, last, "replaying updates \(first)-\(last) gives other replies than the first time")
        }
        slot.window = CopyWindow(confirmed: receipt.position)
    }

    /// The copy is what the log says: from here on the client sees it.
    private mutating func finishRecall(_ slot: SessionSlot, _ now: Instant, _ host: some SessionHost) {
        guard let recall = slot.recall else { return }
        slot.recall = nil
        slot.tombstone = nil
        slot.phase = .live
        touch(slot, now)
        admission.finish(slot.id)
        account(slot)
        let nanoseconds = recall.startedAt.nanoseconds(to: now)
        if recall.claim.receipt != nil {
            host.observe(slot.id, of: slot.session, .recalled(messages: recall.replayed, nanoseconds: nanoseconds))
        }
        goOn(slot, now, replayed: recall.replayed, nanoseconds: nanoseconds)
        startAdmitted(host)
    }
}
