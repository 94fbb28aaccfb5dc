package import RecallCore

/// One server of the harness: a real handler machine and a scripted host.
package final class CoreServer {
    package let name: Character
    package let identity: Int
    package private(set) var host: CoreHost
    private var machine: HandlerMachine
    private let kinds: [KindTerms]
    private let limits: HandlerLimits
    private let cryptography: Cryptography
    package private(set) var ring: KeyRing
    private var connections: [ConnectionID: CoreConnection] = [:]
    private var issued: UInt64 = 0
    private var opened: UInt64 = 0
    /// Counts crashes.
    package private(set) var life = 0
    /// True while a turn ended before its queue did.
    package private(set) var hasMore = false
    /// True: sessions rest as soon as they may.
    package var restsAtOnce = false
    /// Called when a host is made, at first and after a crash.
    package var onHost: (CoreServer) -> Void = { _ in }

    package init(
        _ name: Character, identity: Int, kinds: [KindTerms], ring: KeyRing, limits: HandlerLimits = .init(),
        _ cryptography: Cryptography
    ) {
        (self.name, self.identity, self.kinds, self.ring, self.limits) = (name, identity, kinds, ring, limits)
        self.cryptography = cryptography
        host = CoreHost(identity: identity)
        machine = HandlerMachine(kinds: kinds, ring: ring, limits: limits, cryptography)
    }

    package var now: Int64 {
        get { host.now }
        set { host.now = newValue }
    }
    private var instant: Instant { Instant(nanoseconds: host.now) }

    package var sessionCount: Int { machine.sessionCount }
    package var recallCount: Int { machine.recallCount }
    package var waitingRecallCount: Int { machine.waitingRecallCount }
    /// Recalls that this life of the server began.
    package var recallsStarted: Int { host.events.count { if case .recallStarted = $0 { true } else { false } } }
    package var memoryInUse: Int { machine.memoryInUse }
    package var recountedMemory: Int { machine.recountedMemory }
    package var restingCount: Int { machine.restingCount }
    package var hasWork: Bool { machine.hasWork }
    package func status(of session: SessionID) -> SessionStatus? { machine.status(of: session) }

    /// The state of the session's copy, if there is one.
    package func state(of session: SessionID) -> CoreState? { status(of: session).flatMap { host.state($0.slot) } }

    // MARK: Connections

    /// One frame's body. The first must be a hello.
    package func receive(_ connection: CoreConnection, _ body: [UInt8]) {
        guard connection.serverIsOpen else { return }
        guard connections[connection.id] == nil else {
            return machine.receive(connection.id, body.span.bytes, now: instant, host) { nextKey() }
        }
        var reader = ByteReader(body.span.bytes)
        guard (try? reader.frameType()) == .clientHello, let hello = try? ClientHello(reading: &reader) else {
            connection.serverIsOpen = false
            return
        }
        connections[connection.id] = connection
        opened += 1
        let nonce = cryptography.sha256(Array("\(name)\(opened)".utf8).span.bytes, [UInt8]().span.bytes)
        let principal = hello.authentication.isEmpty ? nil : hello.authentication
        machine.open(connection.id, principal: principal, nonce: nonce)
    }

    private func nextKey() -> SessionID {
        issued += 1
        return SessionID(key: ring.newest ?? KeyID(0), issuer: UInt64(identity), counter: issued)
    }

    package func closed(_ connection: CoreConnection) {
        connection.serverIsOpen = false
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        machine.closed(connection.id, host)
    }

    // MARK: Work

    /// One batch: everybody's turn, then what became due goes out. True if anything went out or is left to do.
    @discardableResult
    package func pump() -> Bool {
        machine.run(now: instant, host)
        machine.flush(host)
        var didWrite = false
        for id in machine.takeDirtyConnections() {
            let (bytes, isClosing) = machine.takeOutput(id)
            guard let connection = connections[id] else { continue }
            didWrite = didWrite || !bytes.isEmpty
            connection.toClient.append(contentsOf: Self.frames(bytes))
            if isClosing { closed(connection) }
        }
        hasMore = machine.hasReady
        if restsAtOnce { rest() }
        return didWrite || hasMore
    }

    static func frames(_ bytes: [UInt8]) -> [[UInt8]] {
        var splitter = FrameSplitter()
        splitter.feed(bytes.span.bytes)
        var frames: [[UInt8]] = []
        let take: (RawSpan) throws(WireError) -> Void = { frames.append($0.array) }
        while (try? splitter.next(take, invalid: { $0 })) == true {}
        precondition(splitter.pending == 0, "output that is no whole frame")
        return frames
    }

    /// Ends an effect with an outcome that is drawn now, or as told.
    package func endEffect(_ index: Int = 0, _ result: EffectResult? = nil) {
        guard let effect = host.takeEffect(index) else { return }
        let outcome = result ?? .outcome(Array("\(host.draw())".utf8))
        machine.effectEnded(effect.slot, effect.incarnation, outcome, host)
    }

    /// Ends the oldest application that the host does in its own time, with another verdict if told; false if there is
    /// none.
    @discardableResult
    package func endApplication(_ other: UpdateVerdict? = nil) -> Bool {
        guard let (slot, incarnation, verdict, reply) = host.takePending() else { return false }
        machine.applicationEnded(slot, incarnation, other ?? verdict, reply: reply, host)
        return true
    }

    /// Ends the newest verification of a chunk of history that the host does in its own time; false if there is none.
    @discardableResult
    package func endVerification() -> Bool {
        guard let verification = host.takeVerification() else { return false }
        machine.chunkVerified(verification, verification.run())
        return true
    }

    // MARK: Faults

    /// The process dies and starts anew: nothing is left but what it draws from.
    package func crash() {
        life += 1
        for connection in connections.values { connection.serverIsOpen = false }
        connections = [:]
        let (now, verifiesLater) = (host.now, host.verifiesLater)
        host = CoreHost(identity: identity, draws: host.drawCount)
        (host.now, host.verifiesLater) = (now, verifiesLater)
        machine = HandlerMachine(kinds: kinds, ring: ring, limits: limits, cryptography)
        hasMore = false
        onHost(self)
    }

    /// A failure detector gives the session up.
    package func delete(_ session: SessionID) { machine.delete(session, host) }

    package func evictIdle(since time: Int64) {
        while machine.evictIdle(since: Instant(nanoseconds: time), host) {}
    }

    /// Lets all sessions rest that may.
    package func rest() { machine.restIdle(since: instant.advanced(byNanoseconds: 1)) }

    /// Recalls whose client has sent nothing of its history since then give their places to those that wait.
    package func evictStarved(since time: Int64) { machine.evictStarved(since: Instant(nanoseconds: time), host) }

    /// Chunks that came before then are verified here and now.
    package func verifyOverdue(since time: Int64) { machine.verifyOverdue(since: Instant(nanoseconds: time)) }

    package func evictBeyondMemory() { machine.evictBeyondMemory(host) }

    package func drain() { machine.drain() }

    /// The connection takes what is written to it, or does not for now.
    package func setWritable(_ connection: CoreConnection, _ isWritable: Bool) {
        connection.isWritable = isWritable
        machine.setWritable(connection.id, isWritable)
    }

    package func partArrived(_ connection: CoreConnection, byteCount: Int) {
        machine.partArrived(connection.id, byteCount: byteCount, now: instant)
    }

    package func use(_ ring: KeyRing) {
        self.ring = ring
        machine.use(ring, host)
    }

    /// Bytes that are no frame.
    package func receiveInvalid(_ connection: CoreConnection, _ error: WireError) {
        machine.receiveInvalid(connection.id, error)
    }
}

/// A connection between a client and a server: frames in order each way, and each side finds out for itself that it is
/// over.
package final class CoreConnection {
    package let id: ConnectionID
    package unowned let client: CoreClient
    package unowned let server: CoreServer
    /// Frames' bodies under way.
    package var toServer: [[UInt8]] = []
    package var toClient: [[UInt8]] = []
    package var clientIsOpen = true
    package var serverIsOpen = true
    /// False while the server was told that the client does not read.
    package fileprivate(set) var isWritable = true
    /// Nothing is delivered in that direction by itself.
    package var holdsToServer = false
    package var holdsToClient = false

    init(_ id: ConnectionID, _ client: CoreClient, _ server: CoreServer) {
        (self.id, self.client, self.server) = (id, client, server)
    }

    /// True once nothing can happen on it any more.
    package var isOver: Bool { !clientIsOpen && !serverIsOpen }
}
