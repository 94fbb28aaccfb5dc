// Frames of a connection, one method each. What does not decode ends the connection; what a stream does not allow ends
// the stream; what comes for a stream that is no more is late and harmless.

extension HandlerMachine {
    /// One frame's body from a peer.
    ///
    /// - Parameter newSession: names the session if the frame initiates one; called at most once.
    package mutating func receive(
        _ id: ConnectionID, _ body: RawSpan, now: Instant, _ host: some SessionHost, newSession: () -> SessionID
    ) {
        guard let connection = connections[id], !connection.isClosing else { return }
        do throws(WireError) {
            var reader = ByteReader(body)
            try dispatch(connection, try reader.frameType(), &reader, now, host, newSession)
        } catch {
            refuse(connection, .malformedFrame, "a frame is \(error)")
        }
    }

    /// A frame that could not even be cut out of the stream.
    package mutating func receiveInvalid(_ id: ConnectionID, _ error: WireError) {
        guard let connection = connections[id], !connection.isClosing else { return }
        refuse(connection, .malformedFrame, "a frame's length is \(error)")
    }

    private mutating func dispatch(
        _ connection: Connection, _ type: FrameType, _ reader: inout ByteReader, _ now: Instant,
        _ host: some SessionHost, _ newSession: () -> SessionID
    ) throws(WireError) {
        switch type {
        case .update: try updatesArrived(connection, &reader, now, host)
        case .confirm:
            let frame = try Confirm(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) { confirmed(slot, frame.position, host) }
        case .request: try requestArrived(connection, &reader, now, host)
        case .initiate: initiate(connection, try Initiate(reading: &reader), session: newSession())
        case .attach: attach(connection, try Attach(reading: &reader), now: now, host)
        case .historyStart:
            let frame = try HistoryStart(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) { historyStarted(slot, frame, now, host) }
        case .historySegment:
            let frame = try HistorySegment(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) {
                segmentArrived(slot, frame, reader.rest, now, host)
            }
        case .historyChunk:
            let frame = try HistoryChunk(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) {
                chunkArrived(slot, frame, reader.rest, now, host)
            }
        case .kept:
            let frame = try Kept(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) { kept(slot, frame.position, host) }
        case .ping:
            let token = try Ping(reading: &reader).token
            pinged(connection, now, host)
            write(to: connection) { $0.frame(Pong(token: token)) }
        case .detach:
            let frame = try Detach(reading: &reader)
            if let slot = heard(connection, frame.stream, now, host) { leave(slot, host) }
        case .clientHello, .serverHello, .initiated, .attached, .acknowledgement, .reply, .recall, .credit, .offer,
            .offerSegment, .gone, .pong, .refusal, .drain:
            refuse(connection, .unexpectedFrame, "frame type \(type.rawValue) does not come from a client, or not here")
        }
    }

    /// A sign of life of all sessions on the connection. It costs each of them something, so not oftener than one that
    /// is meant as such comes.
    private func pinged(_ connection: Connection, _ now: Instant, _ host: some SessionHost) {
        guard host.observesHeard else { return }
        if let last = connection.lastPing, last.nanoseconds(to: now) < 10_000_000 { return }
        connection.lastPing = now
        for (_, slot) in connection.streams.sorted(by: { $0.key < $1.key }) { host.heard(slot) }
    }

    /// The session of a stream, marked as in use; nil if the stream has none any more.
    private mutating func heard(
        _ connection: Connection, _ stream: StreamID, _ now: Instant, _ host: some SessionHost
    ) -> SessionSlot? {
        guard let id = connection.streams[stream], let slot = awake(id) else { return nil }
        touch(slot, now)
        host.heard(id)
        return slot
    }

    private mutating func updatesArrived(
        _ connection: Connection, _ reader: inout ByteReader, _ now: Instant, _ host: some SessionHost
    ) throws(WireError) {
        let frame = try UpdateRun(reading: &reader)
        guard let slot = heard(connection, frame.stream, now, host) else { return }
        if let position = frame.confirmed { confirmed(slot, position, host) }
        guard slot.route != nil else { return }
        guard frame.first == slot.received.number.next else {
            return misfit(slot, host)
        }
        guard
            let run = try SealedRun(
                reader.rest, first: frame.first, after: slot.received.seal, expected: frame.seal,
                sealer(of: slot))
        else {
            let last = frame.first
            return refuse(
                slot, .brokenChain, first: frame.first, last: last,
                "the run at update \(frame.first) is not sealed by this session's chain",
                host)
        }
        guard slot.queue.updates + run.count <= limits.windowMessages,
            hasRoom(slot, for: run.byteCount)
        else {
            return refuse(slot, .windowExceeded, "more updates in flight than the window allows", host)
        }
        guard slot.phase != .live || !isOverdue(slot) else {
            return refuse(
                slot, .checkpointRequired,
                "the log has grown far beyond its bound and the client keeps no checkpoint", host)
        }
        slot.received = (run.first.advanced(by: run.count - 1), frame.seal)
        slot.queue.append(.run(run))
        account(slot, adding: run.byteCount)
        if slot.phase == .live { setReady(slot) }
    }

    /// A window of updates and as many bytes of requests, one of each being allowed whatever its size.
    private func hasRoom(_ slot: SessionSlot, for bytes: Int) -> Bool {
        slot.queue.bytes == 0 || slot.queue.bytes + bytes <= 2 * (limits.windowBytes + WireLimits.message)
    }

    private func isOverdue(_ slot: SessionSlot) -> Bool {
        slot.debt.isOverdue(
            kinds[slot.kind].checkpoints, windowBytes: limits.windowBytes, windowMessages: limits.windowMessages)
    }

    private mutating func requestArrived(
        _ connection: Connection, _ reader: inout ByteReader, _ now: Instant, _ host: some SessionHost
    ) throws(WireError) {
        let frame = try RequestLeaf(reading: &reader)
        let content = reader.rest
        guard content.byteCount > 0 else { throw .malformed }
        guard content.byteCount <= WireLimits.message else { throw .tooLong }
        guard let slot = heard(connection, frame.stream, now, host) else { return }
        guard frame.number == slot.received.number else { return misfit(slot, host) }
        let leaf = sealer(of: slot).seal(.request, content, number: frame.number, after: slot.received.seal)
        guard leaf == frame.leaf else {
            return refuse(
                slot, .brokenChain, first: frame.number, last: frame.number,
                "a request on update \(frame.number) is not sealed by this session's chain", host)
        }
        guard slot.queue.requests < WireLimits.windowRequests, hasRoom(slot, for: content.byteCount) else {
            return refuse(slot, .windowExceeded, "more requests in flight than the window allows", host)
        }
        slot.queue.append(.request(frame.request, number: frame.number, content: content.array))
        account(slot, adding: content.byteCount)
        if slot.phase == .live { setReady(slot) }
    }

    /// Something does not follow from what came before on the stream: the client attaches anew, and the agreement rule
    /// decides there.
    private mutating func misfit(_ slot: SessionSlot, _ host: some SessionHost) {
        write(to: slot) { $0.frame(Gone(stream: $1)) }
        leave(slot, host)
    }

    /// The slot's client is gone from it: a live copy stays, a recall has nobody to wait for it.
    private mutating func leave(_ slot: SessionSlot, _ host: some SessionHost) {
        unroute(slot)
        guard slot.phase != .live else { return }
        abandonRecall(slot, host)
        startAdmitted(host)
    }

    private mutating func confirmed(_ slot: SessionSlot, _ position: Position, _ host: some SessionHost) {
        guard slot.phase == .live else { return }
        // Only what was acknowledged on this stream can be confirmed on it.
        guard position.number <= slot.sent, slot.window.confirm(position) else { return misfit(slot, host) }
        slot.drops = 0
        account(slot)
        resumeEffect(slot, host)
        if !slot.queue.isEmpty { setReady(slot) }
    }

    private mutating func kept(_ slot: SessionSlot, _ position: Position, _ host: some SessionHost) {
        if case .adoption(position) = slot.awaiting {
            slot.awaiting = .nothing
            slot.queue.removeAll()  // what the client sent before it adopted, and has given up
            _ = slot.window.confirm(position)
            account(slot)
            slot.received = (position.number, position.seal)
            (slot.matched, slot.sent) = (position.number, position.number)
            return goOn(slot, slot.lastActive)
        }
        guard slot.debt.keep(position) else { return }
        host.observe(slot.id, of: slot.session, .checkpointKept(bytes: slot.debt.checkpointBytes))
        account(slot)
    }
}
