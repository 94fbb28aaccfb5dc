// What waits is dealt with in turns: one message of a session at a time, whatever its effects await.

extension HandlerMachine {
    /// Gives every session that has something to do one turn.
    package mutating func run(now: Instant, _ host: some SessionHost) {
        for _ in 0..<ready.count {
            guard let id = ready.popFirst() else { break }
            guard let slot = working(id), slot.isReady else { continue }
            slot.isReady = false
            let (start, hadTurn) = (host.instant(), mayWrite(slot))
            let more =
                switch slot.phase {
                case .live: deal(slot, now, host)
                case .recalling: replay(slot, now, host)
                case .waiting: false
                }
            slot.debt.add(nanoseconds: start.nanoseconds(to: host.instant()))
            if working(id) === slot { account(slot) }
            if more { setReady(slot) } else { holdUp(slot, hadTurn: hadTurn) }
        }
    }

    /// Deals with what a live session has queued; true if its turn ended before its queue did.
    private mutating func deal(_ slot: SessionSlot, _ now: Instant, _ host: some SessionHost) -> Bool {
        var left = limits.turn
        while canDeal(slot), left > 0 {
            guard let item = slot.queue.takeFirst() else { return false }
            switch item {
            case .request(let request, let number, let content):
                left -= 1
                guard number == slot.window.head.number else {
                    // The copy has updates that the client did not send: an orphan.
                    reattach(slot, now, host)
                    return false
                }
                answer(slot, request, content, host)
            case .run(var run):
                while run.done < run.count, left > 0, canDeal(slot) {
                    left -= 1
                    guard dealWithNext(&run, slot, host) else {
                        reattach(slot, now, host)
                        return false
                    }
                }
                // A copy that broke took its queue with it.
                if run.done < run.count, slot.route != nil { slot.queue.putBack(run) }
            }
        }
        return canDeal(slot) && !slot.queue.isEmpty
    }

    /// With too much unconfirmed a session goes on at the next confirmation; but what the copy has already is
    /// acknowledged again meanwhile, or that confirmation would never come.
    private func canDeal(_ slot: SessionSlot) -> Bool {
        slot.phase == .live && slot.awaiting == .nothing
            && (hasRoom(slot.window) || slot.matched < slot.window.head.number) && mayWrite(slot)
    }

    func hasRoom(_ window: CopyWindow) -> Bool {
        window.count < limits.unconfirmed && window.bytes < limits.unconfirmedBytes
    }

    func mayWrite(_ slot: SessionSlot) -> Bool {
        guard let connection = slot.route?.connection else { return true }
        return connection.isWritable && connection.replyBytes < limits.replyBytes
    }

    /// Remembers a session that only its connection keeps from going on. One that had no turn goes first next time, or
    /// a session with many large replies would leave no room for the others, ever.
    private func holdUp(_ slot: SessionSlot, hadTurn: Bool) {
        guard slot.phase == .live, !slot.queue.isEmpty, !slot.isHeldUp, !mayWrite(slot),
            let connection = slot.route?.connection
        else { return }
        slot.isHeldUp = true
        if hadTurn {
            connection.heldUpLater.append(slot.id)
        } else {
            connection.heldUp.append(slot.id)
        }
    }

    /// Counts bytes of a reply, or of a state that is offered, that go out or will.
    func count(_ slot: SessionSlot, replyBytes: Int) {
        if replyBytes > 0 { slot.route?.connection.replyBytes += replyBytes }
    }

    /// Applies the next update of a run, or finds it applied. False if the copy has another one at its number.
    private mutating func dealWithNext(
        _ run: inout SealedRun, _ slot: SessionSlot, _ host: some SessionHost
    ) -> Bool {
        let fits = run.withNext { number, seal, content in
            #if RECALL_PLANTED_BUGS
                let isRepeated = PlantedBug.isActive(.duplicateApplied) && number == slot.window.head.number
                let head = isRepeated ? .zero : slot.window.head.number
            #else
                let head = slot.window.head.number
            #endif
            if number <= head {
                #if RECALL_PLANTED_BUGS
                    let isKept = PlantedBug.isActive(.orphanKept)
                    guard isKept || slot.window.position(at: number)?.seal == seal else { return false }
                #else
                    guard slot.window.position(at: number)?.seal == seal else { return false }
                #endif
                if number > slot.matched, let entry = slot.window.entry(at: number) {
                    count(slot, replyBytes: entry.carriedBytes)
                }
                slot.matched = max(slot.matched, number)
                setDirty(slot)
            } else {
                apply(slot, .init(number: number, seal: seal, contentBytes: content.byteCount), content, host)
            }
            return true
        }
        run.done += 1
        return fits
    }

    /// The copy is an orphan, which shows only now: the client attaches anew, and its claim drops the copy.
    private mutating func reattach(_ slot: SessionSlot, _ now: Instant, _ host: some SessionHost) {
        // Its unconfirmed part contradicts the log. Without it the copy would be current, but an applied update cannot
        // be taken back, so all of it goes; what it had confirmed is remembered.
        let confirmed = slot.window.confirmed
        write(to: slot) { $0.frame(Gone(stream: $1)) }
        unroute(slot)
        dropCopy(slot, host)
        slot.phase = .waiting
        slot.drops += 1
        if confirmed.number > .zero { slot.tombstone = confirmed } else { remove(slot, host) }
    }

    private mutating func answer(
        _ slot: SessionSlot, _ request: RequestID, _ content: [UInt8], _ host: some SessionHost
    ) {
        var reply = ByteWriter()
        let status: UInt16
        switch host.request(slot.id, of: slot.session, content: content.span.bytes, reply: &reply) {
        case .replied: status = 0
        case .refused: status = Reply.refusedByMessage
        case .failed(let code, let text):
            status = code.rawValue
            reply.bytes = text
        }
        if reply.bytes.count > WireLimits.reply {
            slot.replies.append(
                .init(
                    request: request, number: slot.window.head.number, status: FaultCode.messageTooLarge.rawValue,
                    bytes: Array("the reply has \(reply.bytes.count) bytes".utf8)))
        } else {
            slot.replies.append(
                .init(request: request, number: slot.window.head.number, status: status, bytes: reply.bytes))
            count(slot, replyBytes: reply.bytes.count)
        }
        setDirty(slot)
    }

    // MARK: New updates

    private mutating func apply(
        _ slot: SessionSlot, _ current: SessionSlot.CurrentUpdate, _ content: RawSpan, _ host: some SessionHost
    ) {
        slot.ownsCurrent = true
        guard !host.isPoisoned(slot.session, current.number, current.seal, isReplay: false) else {
            return settle(
                slot, current, .failed(.poisonedMessage, Array("the message killed the server several times".utf8)), [],
                host)
        }
        let call = UpdateCall(
            slot: slot.id, incarnation: slot.incarnation, session: slot.session, number: current.number,
            seal: current.seal, keys: slot.keys, recorded: nil)
        var reply = ByteWriter()
        let verdict = host.apply(call, content: content, reply: &reply)
        settle(slot, current, verdict, reply.bytes, host)
    }

    /// An update ended in the user's code: record what it took from outside, and what came out.
    mutating func settle(
        _ slot: SessionSlot, _ current: SessionSlot.CurrentUpdate, _ verdict: UpdateVerdict, _ reply: [UInt8],
        outcome: [UInt8]? = nil, _ host: some SessionHost
    ) {
        switch verdict {
        case .applied(let clock):
            let ending: Determinants.Ending = if let outcome { .outcome(outcome) } else { .applied }
            #if RECALL_PLANTED_BUGS
                let clock = PlantedBug.isActive(.clockNotRecorded) ? nil : clock
            #endif
            record(slot, current, Determinants(clock: clock, ending: ending), reply, host)
        case .refused: record(slot, current, Self.refusal(reply), [], host)
        case .failed(let code, let text):
            record(slot, current, Determinants(ending: .failed(code: code.rawValue, text: text)), [], host)
        case .effect:
            slot.awaiting = .confirmation(current)
            resumeEffect(slot, host)
        case .broken: broke(slot, current, host)
        case .pending: slot.awaiting = .application(current)
        }
    }

    /// A rejection is recorded; one longer than determinants may be is given up for a failure that says so. The state
    /// is as before either way.
    private static func refusal(_ rejection: [UInt8]) -> Determinants {
        let refusal = Determinants(ending: .refused(rejection))
        guard refusal.encoded.count > WireLimits.determinants else { return refusal }
        let text = Array("the rejection has \(rejection.count) bytes".utf8)
        return Determinants(ending: .failed(code: FaultCode.messageTooLarge.rawValue, text: text))
    }

    private mutating func record(
        _ slot: SessionSlot, _ current: SessionSlot.CurrentUpdate, _ determinants: Determinants, _ reply: [UInt8],
        _ host: some SessionHost
    ) {
        let encoded = determinants.isEmpty ? [] : determinants.encoded
        guard reply.count <= WireLimits.reply, encoded.count <= WireLimits.determinants else {
            return broke(slot, current, host)
        }
        memoryInUse += slot.perUpdate.record(current, determinants: encoded, reply: reply, cryptography)
        if slot.ownsCurrent { count(slot, replyBytes: encoded.count + reply.count) }
        setDirty(slot)
    }

    /// The state changed and is of no use. The copy goes; after a few such deaths the update is given up.
    private mutating func broke(
        _ slot: SessionSlot, _ current: SessionSlot.CurrentUpdate, _ host: some SessionHost
    ) {
        host.suspect(slot.session, current.number, current.seal)
        delete(slot, host)
    }

    // MARK: Effects

    /// Starts the effect that waits, if the acknowledgement of every update before it is in the client's log. Without
    /// determinants too: until then it may still come to be given up as poisoned, elsewhere.
    mutating func resumeEffect(_ slot: SessionSlot, _ host: some SessionHost) {
        guard case .confirmation(let current) = slot.awaiting else { return }
        #if RECALL_PLANTED_BUGS
            let waits = !PlantedBug.isActive(.effectBeforeConfirmation)
            guard !waits || slot.window.isConfirmed else { return }
        #else
            guard slot.window.isConfirmed else { return }
        #endif
        slot.awaiting = .outcome(current)
        let key = slot.keys.idempotencyKey(
            at: current.number, seal: current.seal, inputsBefore: slot.window.head.inputs, cryptography)
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.effectUnderNewKey), let other = Digest(host.randomBytes(32)) {
                return host.perform(slot.id, slot.incarnation, idempotencyKey: other)
            }
        #endif
        host.perform(slot.id, slot.incarnation, idempotencyKey: key)
    }

    /// An effect's async half ended. One of a copy that is no more is late: the recall runs it again, under the same
    /// key.
    package mutating func effectEnded(
        _ id: SlotID, _ incarnation: Incarnation, _ result: EffectResult, _ host: some SessionHost
    ) {
        #if RECALL_PLANTED_BUGS
            let incarnation = PlantedBug.isActive(.lateEffectApplied) ? working(id)?.incarnation : incarnation
        #endif
        guard let slot = working(id), slot.incarnation == incarnation, case .outcome(let current) = slot.awaiting else {
            return
        }
        slot.awaiting = .nothing
        switch result {
        case .outcome(let bytes):
            guard bytes.count <= WireLimits.determinants - 64 else {
                host.abandon(id)
                let text = Array("the effect's outcome has \(bytes.count) bytes".utf8)
                settle(slot, current, .failed(.effectFailed, text), [], host)
                break
            }
            var reply = ByteWriter()
            let verdict = host.finish(id, outcome: bytes.span.bytes, reply: &reply)
            settle(slot, current, verdict, reply.bytes, outcome: bytes, host)
        case .refused(let bytes):
            host.abandon(id)
            settle(slot, current, .refused, bytes, host)
        case .failed(let code, let text):
            host.abandon(id)
            settle(slot, current, .failed(code, text), [], host)
        }
        if working(id) === slot { setReady(slot) }
    }

    /// The host finished an application that it had announced as pending.
    package mutating func applicationEnded(
        _ id: SlotID, _ incarnation: Incarnation, _ verdict: UpdateVerdict, reply: [UInt8], _ host: some SessionHost
    ) {
        guard let slot = working(id), slot.incarnation == incarnation, case .application(let current) = slot.awaiting
        else {
            return
        }
        slot.awaiting = .nothing
        if slot.phase == .live {
            settle(slot, current, verdict, reply, host)
        } else {
            do throws(HistoryFault) { try replayed(slot, current.number, nil, verdict, reply) } catch {
                return historyFailed(slot, error, host)
            }
        }
        if working(id) === slot { setReady(slot) }
    }
}
