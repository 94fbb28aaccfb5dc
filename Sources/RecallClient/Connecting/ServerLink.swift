internal import Logging
internal import NIOCore
internal import Recall
internal import RecallCore

/// What a link tells the sessions that use it. Called on the link's loop.
protocol LinkUser: AnyObject {
    /// True while the user waits for the end of a batch. The link's own.
    var isInBatch: Bool { get set }
    /// An attempt to connect failed; the next follows after a pause.
    func unreached(_ endpoint: Endpoint, reason: String)
    /// A connection stands: attach, if there is a reason to.
    func connected()
    /// A frame's body for one of the user's streams.
    func receive(_ type: FrameType, _ body: RawSpan) throws(WireError)
    /// Everything that one read brought was handed over.
    func batchEnded()
    func disconnected(reason: String)
    /// The server is going away: stay quiet until the next connection.
    func drained()
    /// No server can be reached that would have this client: wrong protocol version or credentials.
    func linkFailed(_ code: FaultCode, _ text: String)
    /// Asked once a second, from when the user wanted to be watched until it says that it waits for nothing.
    func checkPatience(at now: NIODeadline) -> Patience
    /// It had none left: attach anew.
    func stalled()
    /// The moment that it asked for has come.
    func confirm()
}

/// How a user of a link stands with what it waits for.
enum Patience {
    /// It waits for nothing.
    case content
    case waiting
    /// Nothing was heard for too long of what is unanswered.
    case exhausted
}

/// One connection at a time to one of several servers, kept up as long as somebody uses it; confined to its event loop.
///
/// Tries the endpoints in turn, with jittered exponential backoff. Asks a silent server for a sign of life, and gives
/// it up after too long a silence.
final class ServerLink {
    private enum State {
        case idle
        case connecting
        case handshaking(LinkConnection, Scheduled<Void>)
        case open(LinkConnection, nonce: Digest)
        case waiting(Scheduled<Void>)
    }

    let eventLoop: any EventLoop
    /// Runs tasks on the loop.
    let executor: LoopExecutor
    let configuration: ClientConfiguration
    private let endpoints: [Endpoint]
    private let logger: Logger
    private var state = State.idle
    private var users: [ObjectIdentifier: (order: UInt64, user: any LinkUser)] = [:]
    private var lastUser: UInt64 = 0
    private var streams: [StreamID: any LinkUser] = [:]
    private var lastStream: UInt32 = 0
    private var backoff: Backoff
    private var attempts = 0
    private var lastHeard: NIODeadline
    private var heartbeat: RepeatedTask?
    /// Users that wait for an answer, in the order in which they began to. Looked after once a second, all at once: a
    /// timer for each of many thousands kept their loop busy with timers, and so did a look at those that wait for
    /// nothing.
    private var watched: [any LinkUser] = []
    private var watch: RepeatedTask?
    private var confirming: [any LinkUser] = []
    private static let confirmationDelay = TimeAmount.milliseconds(50)
    private var isInBatch = false
    /// So much is worth a write of its own: the server works on it while the other sessions of a batch have their turn.
    private static let gatheringBytes = 4 << 10
    /// Who got a frame in the present batch.
    private var batch: [any LinkUser] = []
    /// Why there is no connection, for people; nil before the first failure.
    private(set) var trouble: String?
    /// Since when no server has been in order; nil while one is.
    private var troubleBegan: NIODeadline?
    private var isTroubleLogged = false
    /// A restart is over by then, as a rule.
    private static let loggedTrouble = TimeAmount.seconds(3)
    private(set) var window = (messages: WireLimits.windowMessages, bytes: WireLimits.windowBytes)

    init(to endpoints: [Endpoint], _ configuration: ClientConfiguration, on eventLoop: any EventLoop, logger: Logger) {
        (self.endpoints, self.configuration, self.eventLoop, self.logger) = (
            endpoints, configuration, eventLoop, logger
        )
        executor = LoopExecutor(eventLoop)
        backoff = Backoff(
            floor: configuration.backoffFloor.nanoseconds, ceiling: configuration.backoffCeiling.nanoseconds)
        lastHeard = eventLoop.now
        var generator = configuration.surroundings.generator
        attempts = Int.random(in: 0..<max(1, endpoints.count), using: &generator)
    }

    var isOpen: Bool { if case .open = state { true } else { false } }
    var nonce: Digest? { if case .open(_, let nonce) = state { nonce } else { nil } }
    private(set) var endpoint: Endpoint?
    /// What is said of a peer whose first bytes are no hello.
    static let stranger = "what answers there is no server of Recall, or one with TLS where none was asked for"
    /// True if the link serves one session alone, which may then leave a server without asking others.
    var isPrivate: Bool { users.count <= 1 }

    /// In order, so that the same events give the same run wherever the users lie in memory.
    private var usersInOrder: [any LinkUser] { users.values.sorted { $0.order < $1.order }.map(\.user) }

    // MARK: Users

    func add(_ user: any LinkUser) {
        lastUser += 1
        users[ObjectIdentifier(user)] = (lastUser, user)
        switch state {
        case .idle: connect()
        case .open: user.connected()
        default: break
        }
    }

    /// The user closes its streams itself.
    func remove(_ user: any LinkUser) {
        guard users.removeValue(forKey: ObjectIdentifier(user)) != nil else { return }
        guard users.isEmpty else { return }
        watched = []
        endWatch()
        close()
    }

    /// Looks after a user until it waits for nothing. Once for each time that it waits.
    func watch(_ user: any LinkUser) {
        watched.append(user)
        guard watch == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        watch = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.lookAfterUsers()
        }
    }

    private func lookAfterUsers() {
        let now = eventLoop.now
        var stalled: [any LinkUser] = []
        watched.removeAll { user in
            let patience = user.checkPatience(at: now)
            if patience == .exhausted { stalled.append(user) }
            return patience == .content
        }
        if watched.isEmpty { endWatch() }
        for user in stalled { user.stalled() }
    }

    private func endWatch() {
        watch?.cancel()
        watch = nil
    }

    /// Has the user confirm in a moment, together with others that ask for it.
    func confirmSoon(_ user: any LinkUser) {
        confirming.append(user)
        guard confirming.count == 1 else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.confirmationDelay) { bound.value.confirmAll() }
    }

    private func confirmAll() {
        let users = confirming
        confirming = []
        isInBatch = true
        for user in users { user.confirm() }
        isInBatch = false
        if case .open(let connection, _) = state { connection.flush() }
    }

    /// A stream of the present connection.
    func openStream(_ user: any LinkUser) -> StreamID {
        lastStream &+= 1
        let stream = StreamID(lastStream)
        streams[stream] = user
        return stream
    }

    func closeStream(_ stream: StreamID) {
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.staleAckAccepted) { return }
        #endif
        streams[stream] = nil
    }

    /// - Parameter now: not to be gathered with what else the present batch brings.
    func write(_ bytes: [UInt8], now: Bool = false) {
        guard case .open(let connection, _) = state, !bytes.isEmpty else { return }
        connection.write(bytes)
        if now || !isInBatch || connection.gatheredBytes >= Self.gatheringBytes { connection.flush() }
    }

    // MARK: Connecting

    private func connect() {
        guard !endpoints.isEmpty else { return }
        state = .connecting
        let endpoint = endpoints[attempts % endpoints.count]
        attempts += 1
        self.endpoint = endpoint
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let limit = TimeAmount.nanoseconds(configuration.connectTimeout.nanoseconds)
        LinkConnection.connect(to: endpoint, self, within: limit, on: eventLoop)
            .whenComplete { result in bound.value.connected(result) }
    }

    private func connected(_ result: Result<NIOLoopBound<LinkConnection>, any Error>) {
        guard case .connecting = state, !users.isEmpty else {
            if case .connecting = state { state = .idle }
            if case .success(let connection) = result { connection.value.close() }
            return
        }
        switch result {
        case .failure(let error): unreached("\(error)")
        case .success(let connection) where connection.value.ending != nil:
            unreached("\(connection.value.ending ?? "")")
        case .success(let connection):
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            let limit = eventLoop.scheduleTask(in: .nanoseconds(configuration.connectTimeout.nanoseconds)) {
                bound.value.lost(connection.value, "the server does not answer the hello")
            }
            state = .handshaking(connection.value, limit)
            var writer = ByteWriter()
            writer.frame(ClientHello(authentication: configuration.credentials))
            connection.value.write(writer.bytes)
            connection.value.flush()
        }
    }

    private func unreached(_ reason: String) {
        guard let endpoint else { return }
        pause("cannot connect to \(endpoint): \(reason)")
        for user in usersInOrder { user.unreached(endpoint, reason: reason) }
    }

    private func opened(_ connection: LinkConnection, _ hello: ServerHello) {
        state = .open(connection, nonce: hello.nonce)
        window = (
            min(configuration.windowMessages, Int(hello.windowMessages)),
            min(configuration.windowBytes, Int(hello.windowBytes))
        )
        lastStream = 0
        lastHeard = eventLoop.now
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let period = TimeAmount.nanoseconds(max(1_000_000, configuration.heartbeat.nanoseconds))
        heartbeat = eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.beat() }
        for user in usersInOrder { user.connected() }
    }

    /// The session layer found the server in order: the next pause is a short one again.
    func succeeded() {
        backoff.reset()
        if isTroubleLogged { logger.info("a server answers again") }
        (troubleBegan, isTroubleLogged) = (nil, false)
    }

    private func beat() {
        guard case .open(let connection, _) = state else { return }
        let silence = eventLoop.now - lastHeard
        if silence.nanoseconds > configuration.silenceLimit.nanoseconds {
            return lost(connection, "the server was silent for \(silence.nanoseconds / 1_000_000) ms")
        }
        var writer = ByteWriter()
        writer.frame(Ping(token: eventLoop.now.uptimeNanoseconds))
        connection.write(writer.bytes)
        connection.flush()
    }

    /// A connection ended, whoever ended it.
    func lost(_ connection: LinkConnection, _ reason: String) {
        switch state {
        case .handshaking(connection, let limit): limit.cancel()
        case .open(connection, _): break
        default: return
        }
        connection.close()
        heartbeat?.cancel()
        heartbeat = nil
        streams = [:]
        // The rest of its batch does not come.
        (isInBatch, batch) = (false, [])
        let users = usersInOrder
        for user in users { user.isInBatch = false }
        pause(reason)
        for user in users { user.disconnected(reason: reason) }
    }

    private func pause(_ reason: String) {
        trouble = reason
        guard !users.isEmpty else { return state = .idle }
        let delay = backoff.next(random: configuration.surroundings.random())
        logger.debug("not connected", metadata: ["reason": "\(reason)", "pauseMilliseconds": "\(delay / 1_000_000)"])
        logTrouble(reason)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        state = .waiting(eventLoop.scheduleTask(in: .nanoseconds(delay)) { bound.value.connect() })
    }

    /// Once, if it lasts: whoever waits would otherwise not know what for.
    private func logTrouble(_ reason: String) {
        let began = troubleBegan ?? eventLoop.now
        troubleBegan = began
        guard !isTroubleLogged, eventLoop.now - began >= Self.loggedTrouble else { return }
        isTroubleLogged = true
        logger.warning("no server answers; trying on", metadata: ["reason": "\(reason)"])
    }

    /// Goes elsewhere after a pause: the server refuses for now or is going away.
    func leave(_ reason: String) {
        guard case .open(let connection, _) = state else { return }
        lost(connection, reason)
    }

    private func close() {
        switch state {
        case .handshaking(let connection, let limit):
            limit.cancel()
            connection.close()
        case .open(let connection, _):
            connection.flush()
            connection.close()
        case .waiting(let pause): pause.cancel()
        case .idle: break
        case .connecting: return  // its end finds that nobody is left
        }
        heartbeat?.cancel()
        heartbeat = nil
        (streams, isInBatch, batch) = ([:], false, [])
        state = .idle
    }

    // MARK: Frames

    /// One frame's body from the server.
    func receive(_ connection: LinkConnection, _ body: RawSpan) {
        lastHeard = eventLoop.now
        do throws(WireError) {
            var reader = ByteReader(body)
            let type = try reader.frameType()
            switch state {
            case .handshaking(connection, let limit): try handshake(connection, limit, type, &reader)
            case .open(connection, _): try dispatch(connection, type, &reader, body)
            default: break
            }
        } catch {
            lost(connection, isOpen ? "the server sent a frame that is \(error)" : Self.stranger)
        }
    }

    private func handshake(
        _ connection: LinkConnection, _ limit: Scheduled<Void>, _ type: FrameType, _ reader: inout ByteReader
    ) throws(WireError) {
        switch type {
        case .serverHello:
            let hello = try ServerHello(reading: &reader)
            limit.cancel()
            guard hello.version == protocolVersion else {
                return lost(connection, "the server speaks version \(hello.version) of the protocol")
            }
            opened(connection, hello)
        case .refusal: refused(connection, try Refusal(reading: &reader))
        default: throw .malformed
        }
    }

    private func dispatch(
        _ connection: LinkConnection, _ type: FrameType, _ reader: inout ByteReader, _ body: RawSpan
    ) throws(WireError) {
        switch type {
        case .pong: _ = try Pong(reading: &reader)
        case .drain:
            for user in usersInOrder { user.drained() }
        case .clientHello, .initiate, .attach, .update, .confirm, .request, .historyStart, .historySegment,
            .historyChunk, .kept, .ping, .detach, .serverHello:
            throw .malformed
        default:
            // Every other frame begins with its stream; a refusal's may be the connection.
            let stream = try reader.stream()
            if stream == .connection, type == .refusal {
                var whole = ByteReader(body)
                _ = try whole.frameType()
                return refused(connection, try Refusal(reading: &whole))
            }
            guard let user = streams[stream] else { return }  // of a stream that is no more
            if !user.isInBatch {
                user.isInBatch = true
                batch.append(user)
            }
            try user.receive(type, body.extracting(droppingFirst: 1))
        }
    }

    private func refused(_ connection: LinkConnection, _ refusal: Refusal) {
        let text = String(decoding: refusal.text, as: UTF8.self)
        let isFinal = refusal.code == .unauthenticated || refusal.code == .protocolVersion
        lost(connection, "\(refusal.code): \(text)")
        guard isFinal else { return }
        for user in usersInOrder { user.linkFailed(refusal.code, text) }
    }

    func batchBegan() { isInBatch = true }

    func batchEnded(_ connection: LinkConnection) {
        isInBatch = false
        guard case .open(connection, _) = state else { return }
        isInBatch = true
        let users = batch
        batch = []
        for user in users {
            user.isInBatch = false
            user.batchEnded()
        }
        isInBatch = false
        connection.flush()
    }
}

extension Duration {
    /// Whole nanoseconds; saturates.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
