import RecallCore
import RecallTesting

/// Conversations that together have every type of frame. Each is as short as it can be, since it is played once for
/// every bit of its frames.
enum FlipScenario: String, CaseIterable, Sendable {
    /// A session begins.
    case begin
    /// A server that has never heard of the session asks for its history: a checkpoint, then chunks.
    case recall
    /// A short history goes along with the attach.
    case ride
    /// A server whose copy is behind asks for what it lacks.
    case gap
    /// A checkpoint is offered and kept, and then another one.
    case checkpoint
    /// A log that lost what it had confirmed adopts the server's state.
    case adoption
    /// The session is deleted while an update is under way.
    case deletion
    /// Nothing is heard for too long.
    case stall
    case heartbeat
    /// A server has no room; another one has.
    case refusal
    case drain

    /// The types of frames whose bits are flipped here. The others are flipped in another conversation.
    var types: [FrameType] {
        switch self {
        case .begin: [.serverHello, .initiate, .initiated, .attach, .attached, .update, .acknowledgement, .confirm]
        case .recall:
            [
                .clientHello, .attach, .recall, .historyStart, .historySegment, .historyChunk, .credit, .request,
                .reply,
            ]
        case .ride: [.historyStart, .historyChunk]
        case .gap: [.recall, .historyStart]
        case .checkpoint, .adoption: [.offer, .offerSegment, .kept]
        case .deletion: [.gone]
        case .stall: [.detach]
        case .heartbeat: [.ping, .pong]
        case .refusal: [.refusal]
        case .drain: [.drain]
        }
    }

    /// A frame comes more than once where its contents differ; else the last is flipped, for it has most before it.
    var isEveryOccurrenceFlipped: Bool { self != .checkpoint }

    /// So that an update carries the confirmation of the one before it.
    var window: Int { self == .begin ? 1 : 8 }

    var rideAlong: Int { self == .recall || self == .gap ? 0 : 16 << 10 }

    /// The log to begin with; every run has a copy of it.
    func makeLog() -> CoreLog {
        let often = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 1))
        let ring = KeyRing(secret: CoreNetwork.rootSecret)
        let network = CoreNetwork(servers: 0, cryptography: FlipRun.cryptography)
        let keeping = network.addServer(kinds: [often], ring: ring, identity: 3)
        let plain = network.addServer(kinds: [CoreNetwork.terms()], ring: ring, identity: 4)
        let client = network.client(limits: FlipRun.limits(rideAlong: 0))
        client.credentials = FlipRun.principal
        func send(_ texts: [String], to server: CoreServer) {
            if let connection = client.connection { network.cut(connection) }
            network.connect(client, to: server)
            for text in texts {
                client.send(text)
                network.settle()
            }
        }
        switch self {
        case .begin: break
        case .recall:
            send(["a@+", "b@+"], to: keeping)
            send(["c!+", "d-"], to: plain)
        case .gap: send(["a@+", "b@", "c@"], to: plain)
        case .adoption: send(["a@+", "b@"], to: plain)
        case .ride, .checkpoint, .deletion, .stall, .heartbeat, .refusal, .drain: send(["a@+"], to: plain)
        }
        return client.log
    }

    /// Server A serves; server B, if there is one, has no room for anybody.
    func makeNetwork() -> CoreNetwork {
        var policy = CoreNetwork.checkpoints(afterBytes: 1)
        policy.isEnabled = self == .checkpoint
        let terms = CoreNetwork.terms(adoptsBehind: self == .adoption, checkpoints: policy)
        let network = CoreNetwork(servers: 1, terms: terms, cryptography: FlipRun.cryptography)
        guard self == .refusal else { return network }
        var none = HandlerLimits()
        none.sessions = 0
        network.addServer(kinds: [terms], limits: none, ring: KeyRing(secret: CoreNetwork.rootSecret))
        return network
    }

    /// Leaves a copy on server A that is behind a log, or ahead of it.
    func prepare(_ network: CoreNetwork, _ log: CoreLog) {
        guard self == .gap || self == .adoption else { return }
        let other = log.copy()
        (self == .gap ? other : log).rewind(to: SequenceNumber(self == .gap ? 2 : 1))
        let client = network.client("earlier", log: other, limits: FlipRun.limits(rideAlong: 16 << 10))
        client.credentials = FlipRun.principal
        let connection = network.connect(client, to: network.servers[0])
        client.read()
        network.settle()
        network.cut(connection)
    }

    /// What is said in which order. Whatever stays unanswered is dealt with afterwards.
    func play(_ network: CoreNetwork, _ client: CoreClient) {
        let a = network.servers[0]
        network.connect(client, to: self == .refusal ? network.servers[1] : a)
        switch self {
        case .recall, .ride, .gap:
            client.send("e@+")
            client.read()
        case .adoption: client.send("x@")
        case .begin:
            client.send("e@+")
            client.send("f@")
        default: client.send("e@+")
        }
        network.settle()
        switch self {
        case .deletion:
            client.send("f@+")
            client.work()
            if let session = client.session { a.delete(session) }
        case .stall:
            client.send("f@+")
            client.work()
            client.stall()
        case .heartbeat: client.inject(Ping(token: 7))
        case .drain: a.drain()
        case .begin, .recall, .ride, .gap, .checkpoint, .adoption, .refusal: return
        }
        network.settle()
        if self == .drain { a.crash() }
        client.send("g@+")
    }
}
