public import Recall
package import RecallCore
internal import RecallCrypto
internal import Synchronization

/// How much a handler takes on. The defaults suit one process with a few gigabytes of memory.
public struct HandlerConfiguration: Sendable {
    /// Sessions held at once; beyond, the least recently used idle one makes room.
    public var maximumSessions = 1_000_000
    /// Estimated bytes of all sessions; beyond, idle ones make room.
    public var memoryBudget = 1 << 30
    /// Recalls under way at once, beside short ones: our clients send a history of at most 16 KiB along with their
    /// attach, and up to 4,096 of these, within a fourth of the memory for recalls, take no place.
    public var concurrentRecalls = 64
    /// Bytes that recalls under way may hold together.
    public var recallMemory = 512 << 20
    /// Recalls that may wait for a place; beyond, a client is refused with `overloaded` and comes back after a pause.
    public var waitingRecalls = 200_000
    /// A session that nobody used for so long is deleted; nil: never. Its client's next message rebuilds it.
    public var idleLimit: Duration? = .seconds(600)
    /// Silence of a client in the middle of its history after which its recall gives its place to another.
    public var recallPatience: Duration = .seconds(30)
    /// What deletes sessions beside idleness and want of memory.
    public var detection: FailureDetection = .standard
    /// A file that remembers, across deaths of the process, which update was being applied; nil: no quarantine. One for
    /// each process: two may not share it.
    public var poisonFile: String?
    /// Deaths after which the update that caused them is given up and recorded as refused.
    public var poisonDeaths = 3
    /// `update`, `validate`, `reply` or coding of a state that runs longer ends the process with SIGABRT: it holds the
    /// loop that all sessions share, so nothing less frees them. With a poison file the death of a message is laid to
    /// it. Nil: never. For a process that is started again when it dies; effects are bounded by `detection` instead.
    public var hangLimit: Duration?
    /// What `context.now` and receipts take the time from; nil: the wall clock.
    package var clock: (@Sendable () -> WallTime)?

    /// Throws `misconfigured` if the poison file cannot be used.
    package func checkPoisonFile() throws(RecallError) {
        if let poisonFile { _ = try PoisonMarks(path: poisonFile, deaths: poisonDeaths) }
    }
    package var surroundings = Surroundings()
    /// Bytes of a chunk of history from which on it is verified on another thread than the loop's: waking one takes
    /// tens of microseconds, and verifying so much a hundred.
    package var verificationBytes = 16 << 10
    /// After so much time without use a live session keeps little beside its state; what else it needs is derived when
    /// it is used again.
    package var restAfter: Duration = .seconds(1)
    /// Called on the handler's loop; may not call the handler.
    package var onMoment: (@Sendable (HandlerMoment) -> Void)?

    public init() {}
}

/// Hosts sessions: initiates them, routes messages to them, and rebuilds them from their clients' histories.
///
/// It keeps nothing but the key ring that it is given: sessions are a cache of what the clients' logs hold, and any
/// handler with the same ring serves every session. A handler runs on one event loop, that of the server it is given
/// to.
public final class SessionHandler: Sendable {
    let hosts: [any Session]
    let terms: [KindTerms]
    let configuration: HandlerConfiguration
    let cryptography = Cryptography.swiftCrypto
    private let issuer: UInt64
    private let naming: Mutex<Naming>
    /// Set while the handler is at work.
    let run = Mutex<HandlerRun?>(nil)

    private struct Naming {
        var ring: KeyRing
        /// How many sessions were named under each key; never forgotten, so that no name is given twice.
        var counts: [KeyID: UInt64] = [:]
    }

    /// - Parameters:
    ///   - keys: the roots of all sessions' keys. Losing them loses every session; leaking them lets others forge.
    ///   - hosts: one instance of each kind and version to host, with the gateways that their effects need.
    ///   - configuration: how much to take on.
    /// - Throws: `misconfigured` if a kind's declaration is unusable, or two kinds have one name and version.
    public convenience init(
        keys: KeyRing, hosting hosts: any Session..., configuration: HandlerConfiguration = .init()
    ) throws(RecallError) {
        try self.init(keys: keys, hostingAll: hosts, configuration: configuration)
    }

    /// As above, with a list made elsewhere.
    public init(
        keys: KeyRing, hostingAll hosts: [any Session], configuration: HandlerConfiguration = .init()
    ) throws(RecallError) {
        self.hosts = hosts
        self.configuration = configuration
        naming = Mutex(Naming(ring: keys))
        issuer = configuration.surroundings.random()
        var terms: [KindTerms] = []
        for host in hosts {
            let term = try KindTerms(host.hostedKind)
            guard !terms.contains(where: { $0.name == term.name && $0.version == term.version }) else {
                throw RecallError(
                    .misconfigured, "kind '\(host.hostedKind.name)' version \(term.version) is hosted twice")
            }
            terms.append(term)
        }
        guard keys.newest != nil else { throw RecallError(.misconfigured, "the key ring is empty") }
        self.terms = terms
    }

    /// Names a new session under the key that issues. Nothing is stored for it but that there is one more.
    public func nextKey() -> SessionID { name(under: keys.newest) }

    func name(under key: KeyID?) -> SessionID {
        let key = key ?? KeyID(0)
        let number = naming.withLock { naming in
            defer { naming.counts[key, default: 0] &+= 1 }
            return naming.counts[key, default: 0]
        }
        return SessionID(key: key, issuer: issuer, counter: number)
    }

    /// All names that this handler gave under the key that issues now, recomputed and not stored.
    public var previousKeys: some Sequence<SessionID> & Sendable {
        let (key, count) = naming.withLock { naming in
            let key = naming.ring.newest ?? KeyID(0)
            return (key, naming.counts[key, default: 0])
        }
        let issuer = issuer
        return (0..<count).lazy.map { SessionID(key: key, issuer: issuer, counter: $0) }
    }

    /// A new session's name and initialization vector, as a client gets them over the wire.
    ///
    /// - Parameters:
    ///   - kind: a kind that is hosted here.
    ///   - principal: the authenticated user, if any; the session can be recalled only for the same one.
    /// - Throws: `unknownKind` if the kind is not hosted here, `unknownKey` if the ring is empty.
    public func initiateSession<S: Session>(
        _ kind: S.Type, principal: [UInt8]? = nil
    ) throws(RecallError) -> (session: SessionID, vector: Digest) {
        let session = nextKey()
        return (session, try vector(of: session, kind, principal: principal))
    }

    /// A session's initialization vector, recomputed.
    func vector<S: Session>(of session: SessionID, _ kind: S.Type, principal: [UInt8]?) throws(RecallError) -> Digest {
        let name = Array(S.kind.name.utf8)
        guard terms.contains(where: { $0.name == name && $0.version == S.kind.version }) else {
            throw RecallError(.unknownKind, "kind '\(S.kind.name)' version \(S.kind.version) is not hosted here")
        }
        let root = try root(of: session)
        let identity = SessionIdentity(session: session, kindName: name, principal: principal, cryptography)
        return SessionKeys.vector(
            vectorKey: SessionKeys.vectorKey(root: root, cryptography), identity: identity, cryptography)
    }

    /// The key that issued the session.
    func root(of session: SessionID) throws(RecallError) -> Digest {
        guard let root = keys.secret(session.keyID) else {
            throw RecallError(.unknownKey, "key \(session.keyID.rawValue), which issued the session, is not held")
        }
        return root
    }

    /// The key ring. Setting it issues from its newest key and deletes the sessions of keys that are gone from it;
    /// their clients are refused with `unknownKey` from then on. See `KeyRing` for how several servers change keys.
    public var keys: KeyRing {
        get { naming.withLock { $0.ring } }
        set {
            naming.withLock { $0.ring = newValue }
            // It takes the ring that is set when its turn comes: of two that are set at once the same one stays.
            run.withLock { $0 }?.execute { $0.useKeys() }
        }
    }

    /// Deletes a session's copy here, as a failure detector would, soon after this returns. Its client's next message
    /// rebuilds it.
    public func deleteSession(_ session: SessionID) {
        run.withLock { $0 }?.execute { $0.delete(session) }
    }

    /// What is going on. All zero while the handler is not running.
    public func statistics() async -> HandlerStatistics {
        await run.withLock { $0 }?.get { $0.statistics } ?? HandlerStatistics()
    }
}

/// Counts of a handler, since it began to run unless said otherwise.
public struct HandlerStatistics: Sendable, Hashable {
    /// Sessions here now.
    public var sessions = 0
    /// Connections that were let in and are here now.
    public var connections = 0
    /// Connections now that have not said hello yet, or whose authentication is not through.
    public var strangers = 0
    /// Recalls under way now; short ones, which take no place, are among them.
    public var recallsRunning = 0
    /// Recalls waiting for a place now.
    public var recallsWaiting = 0
    /// Recalls that ended well.
    public var recalls = 0
    /// Messages replayed in them.
    public var messagesReplayed = 0
    /// Updates applied, replays not counted.
    public var updates = 0
    /// Streams refused, for any reason.
    public var refusals = 0
    /// Checkpoints that clients kept.
    public var checkpoints = 0
    /// Sessions deleted by failure detectors.
    public var detected = 0
    /// Estimated bytes of all sessions now.
    public var memory = 0

    public init() {}
}

extension KindTerms {
    init(_ kind: Recall.HostedKind) throws(RecallError) {
        if let fault = kind.fault { throw fault }
        self.init(name: Array(kind.name.utf8), version: kind.version)
        let bounds = kind.limits.checkpoints
        checkpoints.minimumBytes = bounds.minimumBytes
        checkpoints.growth = bounds.growthFactor
        checkpoints.messages = bounds.maximumMessages
        checkpoints.nanoseconds = bounds.maximumReplayTime.nanoseconds
        checkpoints.patience = bounds.refusalFactor
        adoptsBehind = kind.whenBehind == .adopt
        maximumIdleAge = kind.limits.maximumIdleAge?.nanoseconds
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
