// The stream: attaching, sending what is persisted, and what the server sends.

extension ClientMachine {
    /// Attaches on a new stream of a connection. Updates in the log follow at once.
    package mutating func attach(_ stream: StreamID, nonce: Digest) {
        guard wantsAttach else { return }
        phase = .attaching(stream)
        #if RECALL_PLANTED_BUGS
            let former = sent
        #endif
        (sent, sentBytes) = (front.number, 0)
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.tailNotResent) { sent = max(sent, former) }
        #endif
        confirmationDue = false
        (history, offer) = (nil, nil)
        withdrawRequests()
        let last = persisted
        let lastSeal =
            last == front.number ? front.seal : tail.item(at: last.distance(from: front.number) - 1)?.seal ?? front.seal
        let byteCount = max(newestCheckpoint?.byteCount ?? 0, olderCheckpoint?.byteCount ?? 0)
        let follows = logged != nil && historyBytes + (newestCheckpoint?.byteCount ?? 0) <= limits.rideAlong
        let claim = AttachClaim(
            session: header.session, kindVersion: header.kindVersion, kindName: header.kindName, receipt: logged,
            last: last, lastSeal: lastSeal,
            checkpoint: newestCheckpoint.map { ($0.number, UInt64(byteCount)) }, historyFollows: follows)
        output.frame(Attach(stream: stream, leaf: claim.sealed(nonce: nonce, by: sealer), claim: claim))
        if follows { beginHistory(stream, .unasked, .newest, credit: WireLimits.historyCredit) }
        send()
    }

    /// The connection is gone.
    package mutating func disconnected() {
        endStream()
    }

    /// Nothing was heard of what was sent for too long: attach anew, on the same connection or another.
    package mutating func stalled() {
        guard let stream = phase.stream else { return }
        endStream()
        output.frame(Detach(stream: stream))
    }

    mutating func endStream() {
        guard phase.stream != nil else { return }
        phase = .detached
        (history, offer) = (nil, nil)
        withdrawRequests()
        output = ByteWriter()
    }

    /// What the server says does not fit: the next attach decides what holds.
    private mutating func misfit() {
        if let stream = phase.stream {
            endStream()
            output.frame(Detach(stream: stream))
        }
        countFruitless("the server's answers do not follow from this log")
    }

    private mutating func countFruitless(_ text: String) {
        fruitless += 1
        if fruitless > limits.fruitlessAttaches {
            fruitless = 0
            events.append(.refusedForNow(.serverFault, text))
        }
    }

    /// Sends what is in the log and not sent: updates, then requests on the newest of them, then a confirmation that
    /// found no update to ride on.
    mutating func send() {
        guard let stream = phase.stream else { return }
        while sent < persisted, sendRun(stream) {}
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.confirmBeforeLogging), case .live = phase, front.number > acknowledged {
                output.frame(Confirm(stream: stream, position: front))
            }
        #endif
        // While updates are unanswered, an effect among them may be waiting for it.
        if !limits.defersConfirmations || !tail.isEmpty { confirm() }
        while unsentRequests > 0, sendRequest(stream) {}
    }

    /// Sends the next request; false if it has to wait for updates before it or for room.
    private mutating func sendRequest(_ stream: StreamID) -> Bool {
        let index = requests.count - unsentRequests
        let content = requests[index].content
        guard requests[index].after <= sent else { return false }
        guard requestBytes == 0 || requestBytes + content.count <= limits.windowBytes else { return false }
        lastRequest &+= 1
        let id = RequestID(lastRequest)
        requests[index].id = id
        unsentRequests -= 1
        requestBytes += content.count
        let leaf = sealer.seal(.request, content.span.bytes, number: sent, after: seal(at: sent))
        output.frame(RequestLeaf(stream: stream, request: id, number: sent, leaf: leaf)) {
            $0.append(content.span.bytes)
        }
        return true
    }

    /// The stream that requests were under way on is no more: those that somebody waits for are to be sent again.
    mutating func withdrawRequests() {
        requests.removeAll { $0.call == nil }
        for index in requests.indices { requests[index].id = nil }
        (unsentRequests, requestBytes) = (requests.count, 0)
    }

    /// Sends as much as fits a frame and the window; false if nothing does. A log may hold more than a window that
    /// another server announces.
    private mutating func sendRun(_ stream: StreamID) -> Bool {
        let first = sent.next
        var last = sent
        var bytes = 0
        while last < persisted, last.distance(from: front.number) < limits.windowMessages,
            let pending = tail.item(at: last.distance(from: front.number))
        {
            if last.distance(from: first) + 1 >= WireLimits.windowMessages { break }
            let size = pending.content.count
            if sentBytes > 0, sentBytes + size > limits.windowBytes { break }
            if bytes > 0, bytes + pending.content.count > WireLimits.receiptInterval { break }
            bytes += pending.content.count + 4
            sentBytes += size
            last = last.next
        }
        guard last >= first else { return false }
        var confirmed: Position?
        if confirmationDue, case .live = phase, let logged {
            confirmed = logged.position
            confirmationDue = false
        }
        let run = UpdateRun(stream: stream, confirmed: confirmed, first: first, seal: seal(at: last))
        let offsets = first.distance(from: front.number) - 1..<last.distance(from: front.number)
        output.frame(run) { writer in
            for offset in offsets {
                if let pending = tail.item(at: offset) { writer.block(pending.content.span.bytes) }
            }
        }
        sent = last
        return true
    }

    /// The seal at a number from `front` to `head`.
    private func seal(at number: SequenceNumber) -> Digest {
        number == front.number ? front.seal : tail.item(at: number.distance(from: front.number) - 1)?.seal ?? headSeal
    }

    // MARK: From the server: nothing here traps

    /// A frame's body for this session's stream. What is for an older stream is late and harmless.
    package mutating func receive(_ type: FrameType, _ reader: inout ByteReader) throws(WireError) {
        switch type {
        case .acknowledgement:
            let frame = try Acknowledgement(reading: &reader)
            #if RECALL_PLANTED_BUGS
                if PlantedBug.isActive(.staleAckAccepted) { return try acknowledged(frame, &reader) }
            #endif
            if frame.stream == phase.stream { try acknowledged(frame, &reader) }
        case .reply:
            let frame = try Reply(reading: &reader)
            if frame.stream == phase.stream { replied(frame, reader.rest) }
        case .attached:
            let frame = try Attached(reading: &reader)
            if frame.stream == phase.stream { attached(frame) }
        case .recall:
            let frame = try RecallRequest(reading: &reader)
            if frame.stream == phase.stream { recallAsked(frame) }
        case .credit:
            let frame = try Credit(reading: &reader)
            if frame.stream == phase.stream { history?.add(credit: frame.chunks, to: frame.recall) }
        case .offer:
            let frame = try Offer(reading: &reader)
            if frame.stream == phase.stream { offered(frame) }
        case .offerSegment:
            let frame = try OfferSegment(reading: &reader)
            if frame.stream == phase.stream { segmentOffered(frame, reader.rest) }
        case .gone:
            let frame = try Gone(reading: &reader)
            if frame.stream == phase.stream {
                endStream()
                #if RECALL_PLANTED_BUGS
                    if PlantedBug.isActive(.windowLostWhenGone) { while tail.popFirst() != nil {} }
                #endif
                countFruitless("the session is deleted again and again")
            }
        case .refusal:
            let frame = try Refusal(reading: &reader)
            if frame.stream == phase.stream { refused(frame) }
        default: throw .malformed
        }
    }

    private mutating func attached(_ frame: Attached) {
        guard case .attaching(let stream) = phase else { return }
        phase = .live(stream)
        history = nil
        events.append(.attached(replayed: frame.replayed, microseconds: frame.microseconds))
        send()
    }

    private mutating func refused(_ frame: Refusal) {
        let text = String(decoding: frame.text, as: UTF8.self)
        endStream()
        if frame.code == .superseded, supersessions < limits.supersessions {
            // It may have been a late attach of this client's own, from a connection that is dead.
            supersessions += 1
        } else if frame.code.isRetryable {
            events.append(.refusedForNow(frame.code, text))
        } else {
            fail(frame.code, text)
        }
    }

    /// Accepts only what extends this log: the determinants must lead to the digest that the receipt covers.
    private mutating func acknowledged(_ frame: Acknowledgement, _ reader: inout ByteReader) throws(WireError) {
        // Of an earlier stream: the log has it. Or of what the log just gives up for the state that it takes over.
        guard frame.number > front.number, !isAdopting else { return }
        guard frame.first <= front.number.next, frame.number <= sent else { return misfit() }
        var inputs = front.inputs
        var items: [(number: SequenceNumber, determinants: [UInt8], reply: [UInt8])] = []
        var last = SequenceNumber.zero
        while reader.remaining > 0 {
            let number = frame.first.advanced(by: Int(clamping: try reader.integer(UInt32.self)))
            let determinants = try reader.block(limit: WireLimits.determinants)
            let reply = try reader.block(limit: WireLimits.reply)
            guard number > last, number <= frame.number else { throw .malformed }
            last = number
            guard number > front.number else { continue }
            inputs = cryptography.inputs(determinants, number: number, after: inputs)
            items.append((number, determinants.array, reply.array))
        }
        #if RECALL_PLANTED_BUGS
            guard inputs == frame.inputs || PlantedBug.isActive(.determinantsNotCompared) else { return misfit() }
        #else
            guard inputs == frame.inputs else { return misfit() }
        #endif
        try accept(frame, items)
    }

    private mutating func accept(
        _ frame: Acknowledgement, _ items: [(number: SequenceNumber, determinants: [UInt8], reply: [UInt8])]
    ) throws(WireError) {
        var results: [CallResult] = []
        for item in items { results.append(try Self.result(item.determinants, item.reply)) }
        var next = 0
        var logBytes = 0
        var position = front
        // Those without a reply whose calls follow each other.
        var silent: Range<CallID>?
        while position.number < frame.number, let pending = tail.popFirst() {
            position = Position(number: position.number.next, seal: pending.seal, inputs: frame.inputs)
            tailBytes -= pending.content.count
            sentBytes -= pending.content.count
            logBytes += pending.content.count
            var result: CallResult?
            if next < items.count, items[next].number == position.number {
                logBytes += items[next].determinants.count
                result = results[next]
                next += 1
            }
            #if RECALL_PLANTED_BUGS
                if PlantedBug.isActive(.answerBeforeLogging) { deliver(pending.call, result ?? .reply([])) }
            #endif
            guard let call = pending.call else { continue }
            if result == nil, let calls = silent, calls.upperBound == call {
                silent = calls.lowerBound..<call.advanced(by: 1)
            } else {
                answerRun(&silent, at: frame.number)
                if let result { answer(call, at: frame.number, result) } else { silent = call..<call.advanced(by: 1) }
            }
        }
        answerRun(&silent, at: frame.number)
        let receipt = Receipt(position: position, outputs: frame.outputs, time: frame.time, mac: frame.mac)
        let determinants = items.filter { !$0.determinants.isEmpty }.map { (number: $0.number, bytes: $0.determinants) }
        staged.append(
            .acknowledgement(
                LoggedAcknowledgement(
                    determinants: determinants, receipt: receipt, supersedes: supersede(by: logBytes))))
        front = position
        historyBytes += logBytes
        (fruitless, supersessions) = (0, 0)
    }

    /// To be shown when the log holds the acknowledgement.
    mutating func answer(_ call: CallID, at number: SequenceNumber, _ result: CallResult) {
        answers.append(Answer(calls: call..<call.advanced(by: 1), number: number, result: result))
    }

    private mutating func answerRun(_ silent: inout Range<CallID>?, at number: SequenceNumber) {
        if let calls = silent.take() { answers.append(Answer(calls: calls, number: number, result: .reply([]))) }
    }

    /// The receipt before the new one may go, if one stays at least every `receiptInterval` without it. The one at the
    /// newest checkpoint stays: should all later ones be damaged, nothing else proves what it stands on. The next one
    /// stays too: it does so once the checkpoint is the older of two, and truncation has taken the other.
    private mutating func supersede(by bytes: Int) -> SequenceNumber? {
        guard !isAtCheckpoint(front.number) else {
            bytesSinceAnchor = 0
            return nil
        }
        defer { bytesSinceAnchor += bytes }
        guard bytesSinceAnchor > 0 else { return nil }
        if bytesSinceAnchor + bytes <= limits.receiptInterval { return front.number }
        bytesSinceAnchor = 0
        return nil
    }

    private static func result(_ determinants: [UInt8], _ reply: [UInt8]) throws(WireError) -> CallResult {
        switch try Determinants(determinants.span.bytes).ending {
        case .applied, .outcome: .reply(reply)
        case .refused(let bytes): .rejected(bytes)
        case .failed(let code, let text):
            .failed(FaultCode(rawValue: code), String(decoding: text, as: UTF8.self))
        }
    }

    private mutating func replied(_ frame: Reply, _ raw: RawSpan) {
        guard let index = requests.firstIndex(where: { $0.id == frame.request }) else { return }
        // The server sends a reply behind the acknowledgement of what it saw; one that comes before shows a state that
        // this log may never hold.
        guard frame.number <= front.number else { return misfit() }
        let result: CallResult =
            switch frame.status {
            case 0: .reply(raw.array)
            case Reply.refusedByMessage: .rejected(raw.array)
            default: .failed(FaultCode(rawValue: frame.status), String(decoding: raw.array, as: UTF8.self))
            }
        let request = requests.remove(at: index)
        requestBytes -= request.content.count
        fruitless = 0
        guard let call = request.call else { return }
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.readBeforeLogging) { return deliver(call, result) }
        #endif
        if frame.number <= acknowledged, answers.isEmpty {
            deliver(call, result)
        } else {
            answer(call, at: frame.number, result)
        }
    }
}
