internal import Logging
internal import NIOCore
internal import Recall
internal import RecallCore
internal import Synchronization

/// A handler at work: the machine, the sessions it hosts and the connections, confined to one event loop.
final class HandlerLoop {
    private var machine: HandlerMachine
    private let host: LoopHost
    private let handler: SessionHandler
    let eventLoop: any EventLoop
    /// Nil lets everybody in as nobody.
    let authenticate: Authentication?
    private let logger: Logger
    /// The way here from other threads; nil once this has ended.
    var reference: HandlerRun?
    /// Connections after their hello.
    private var peers: [ConnectionID: PeerConnection] = [:]
    /// All connections.
    private var accepted: [ObjectIdentifier: (order: UInt64, peer: PeerConnection)] = [:]
    private var lastAccepted: UInt64 = 0
    private var lastConnection: UInt64 = 0
    private var isPumpScheduled = false
    private var timer: RepeatedTask?

    init(
        _ handler: SessionHandler, on eventLoop: any EventLoop, authenticate: Authentication?, logger: Logger
    ) throws(RecallError) {
        var limits = HandlerLimits()
        let configuration = handler.configuration
        limits.sessions = max(1, configuration.maximumSessions)
        limits.memory = max(0, configuration.memoryBudget)
        limits.recalls.concurrent = max(1, configuration.concurrentRecalls)
        limits.recalls.bytes = max(0, configuration.recallMemory)
        limits.recalls.waiting = max(0, configuration.waitingRecalls)
        machine = HandlerMachine(kinds: handler.terms, ring: handler.keys, limits: limits, handler.cryptography)
        host = try LoopHost(handler, on: eventLoop, logger: logger)
        (self.handler, self.eventLoop, self.logger) = (handler, eventLoop, logger)
        self.authenticate = authenticate
        let executor = configuration.surroundings.executor
        host.launch = { [unowned self] hosted, key, slot, incarnation in
            let reference = reference
            hosted.launchEffect(key: key, executor: executor) { result in
                reference?.execute { $0.effectEnded(slot, incarnation, EffectResult(result)) }
            }
        }
        host.launchVerification = { [unowned self] verification in
            let reference = reference
            Task(executorPreference: executor) {
                let result = verification.run()
                reference?.execute { $0.verified(verification, result) }
            }
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(250), delay: .milliseconds(250)) { _ in
            bound.value.tick()
        }
    }

    /// Ends everything. What effects bring after this is not heard: their recall elsewhere runs them again.
    func stop() {
        timer?.cancel()
        timer = nil
        // In order, so that the same events give the same run whatever the process's hash seed.
        for (_, peer) in accepted.values.sorted(by: { $0.order < $1.order }) { peer.close() }
        host.stop()
        handler.run.withLock { $0 = nil }
        reference = nil
    }

    var statistics: HandlerStatistics {
        var statistics = host.statistics
        statistics.sessions = machine.sessionCount
        statistics.connections = peers.count
        statistics.strangers = accepted.count - peers.count
        statistics.recallsRunning = machine.recallCount
        statistics.recallsWaiting = machine.waitingRecallCount
        statistics.memory = machine.memoryInUse
        return statistics
    }

    /// Where a session stands here; nil if it has no place.
    func status(of session: SessionID) -> SessionStatus? { machine.status(of: session) }

    /// The encoded state of its copy here; nil if there is none.
    func state(of session: SessionID) -> [UInt8]? {
        machine.status(of: session).flatMap { $0.hasCopy ? host.peek($0.slot) : nil }
    }

    /// True while something is in the middle of being applied.
    var hasWork: Bool { machine.hasWork }

    /// Where tasks run; nil: on the concurrency pool.
    var executor: (any TaskExecutor)? { handler.configuration.surroundings.executor }

    // MARK: Connections

    func accept(_ transport: any PeerTransport) -> any HandlerPeer {
        let peer = PeerConnection(self, transport, helloWithin: .seconds(10), logger: logger)
        lastAccepted += 1
        accepted[ObjectIdentifier(peer)] = (lastAccepted, peer)
        return peer
    }

    /// A connection is over.
    func left(_ peer: PeerConnection) { accepted[ObjectIdentifier(peer)] = nil }

    /// A connection said its hello and was let in.
    func open(_ peer: PeerConnection, principal: [UInt8]?) -> ConnectionID {
        lastConnection += 1
        let id = ConnectionID(lastConnection)
        peers[id] = peer
        let nonce = Digest(host.randomBytes(32)) ?? Digest()
        machine.open(id, principal: principal, nonce: nonce)
        schedulePump()
        return id
    }

    /// One frame's body. Call `pump` when the batch it came in is through.
    func receive(_ id: ConnectionID, _ body: RawSpan) {
        let handler = handler
        // The handler's own ring may be newer by a moment, and then its newest key is not held here yet.
        let key = machine.issuingKey
        machine.receive(id, body, now: host.instant(), host) { handler.name(under: key) }
    }

    /// More bytes of a frame of history that is not whole yet.
    func partArrived(_ id: ConnectionID, byteCount: Int) {
        machine.partArrived(id, byteCount: byteCount, now: host.instant())
    }

    func receiveInvalid(_ id: ConnectionID, _ error: WireError) {
        machine.receiveInvalid(id, error)
    }

    /// The peer takes what is written to it, or does not for now.
    func setWritable(_ id: ConnectionID, _ isWritable: Bool) {
        machine.setWritable(id, isWritable)
        if machine.hasReady { schedulePump() }
    }

    func closed(_ id: ConnectionID) {
        guard peers.removeValue(forKey: id) != nil else { return }
        machine.closed(id, host)
        schedulePump()
    }

    // MARK: From outside the loop

    func useKeys() {
        machine.use(handler.keys, host)
        schedulePump()
    }

    func delete(_ session: SessionID) {
        machine.delete(session, host)
        schedulePump()
    }

    func drain() {
        machine.drain()
        schedulePump()
    }

    // MARK: Work

    /// Applies what waits, then writes what became due: once for everything that one read brought.
    func pump() {
        machine.run(now: host.instant(), host)
        for (slot, incarnation) in host.takeFailed() {
            if let session = machine.session(at: slot, incarnation) { host.detected(session, slot) }
            machine.delete(slot, incarnation, host)
        }
        handler.configuration.onMoment?(.willFlush)
        machine.flush(host)
        for id in machine.takeDirtyConnections() {
            let (bytes, isClosing) = machine.takeOutput(id)
            guard let peer = peers[id] else { continue }
            if !bytes.isEmpty { peer.write(bytes) }
            if isClosing { peer.close() }
        }
        if machine.hasReady { schedulePump() }
    }

    private func schedulePump() {
        guard !isPumpScheduled, reference != nil else { return }
        isPumpScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute {
            bound.value.isPumpScheduled = false
            bound.value.pump()
        }
    }

    private func effectEnded(_ slot: SlotID, _ incarnation: Incarnation, _ result: EffectResult) {
        host.effectReturned(slot, incarnation)
        machine.effectEnded(slot, incarnation, result, host)
        host.effectSettled(slot, incarnation)
        schedulePump()
    }

    private func verified(_ verification: ChunkVerification, _ result: Result<VerifiedChunk, HistoryFault>) {
        host.verificationEnded(verification)
        machine.chunkVerified(verification, result)
        schedulePump()
    }

    private func tick() {
        let now = host.instant()
        host.check(at: now)
        if let limit = handler.configuration.idleLimit {
            _ = machine.evictIdle(since: Instant(nanoseconds: now.nanoseconds &- limit.nanoseconds), host)
        }
        let patience = handler.configuration.recallPatience
        machine.evictStarved(since: Instant(nanoseconds: now.nanoseconds &- patience.nanoseconds), host)
        machine.evictBeyondMemory(host)
        machine.restIdle(since: now.advanced(byNanoseconds: -handler.configuration.restAfter.nanoseconds))
        machine.verifyOverdue(since: now.advanced(byNanoseconds: -200_000_000))
        pump()
    }
}
