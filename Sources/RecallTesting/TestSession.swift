public import Recall
internal import RecallClient
public import RecallServer
internal import RecallCore
internal import Synchronization

/// One session on a server in this process which can be killed at will: the real client, handler and protocol, with a
/// log in memory that is all that survives.
///
/// ```swift
/// let account = TestSession(Bank(gateway: fake))
/// try await account.send(Bank.Deposit(amount: 100))
/// await account.crashServer()
/// #expect(try await account.send(Bank.Balance()) == 100)
/// #expect(await account.recalls == 1)
/// ```
///
/// Sends may overlap; they take effect in the order in which they arrive.
public final class TestSession<S: Session>: Sendable {
    /// Serves the session; for tests that need a second client, or statistics.
    public let server: InMemoryServer
    /// All that survives a crash.
    public let log: MemoryLog

    private let clock: ManualClock
    private let client: Task<SessionClient<S>, any Error>
    private let pastRecalls = Mutex(0)

    /// - Parameters:
    ///   - host: the kind's instance, with the gateways that its effects need.
    ///   - configuration: the handler's.
    public init(_ host: S, configuration: HandlerConfiguration = HandlerConfiguration()) {
        let (clock, log) = (ManualClock(), MemoryLog())
        var configuration = configuration
        configuration.clock = { clock.time }
        let secret = Digest((0..<32).map { _ in UInt8.random(in: .min ... .max) }) ?? Digest()
        let server = InMemoryServer { [configuration] in
            try SessionHandler(keys: KeyRing(secret: secret), hosting: host, configuration: configuration)
        }
        (self.clock, self.log, self.server) = (clock, log, server)
        client = Task {
            try await server.start()
            var client = ClientConfiguration()
            client.backoffFloor = .milliseconds(1)
            client.backoffCeiling = .milliseconds(20)
            return try await SessionClient<S>.open(at: server.endpoint, log: log, configuration: client)
        }
    }

    deinit {
        let (client, server) = (client, server)
        Task {
            await (try? client.value)?.close()
            await server.crash()
        }
    }

    /// Sends a message and returns its reply. Throws as `SessionClient.send` does.
    @discardableResult
    public func send<M: Message<S.State>>(_ message: M) async throws -> M.Reply {
        try await client.value.send(message)
    }

    /// Sends messages back to back; throws the first one's error when all have ended.
    @discardableResult
    public func send<M: Message<S.State>>(contentsOf messages: some Sequence<M>) async throws -> [M.Reply] {
        try await client.value.send(contentsOf: messages)
    }

    /// Kills the server and starts another with the same keys. The next message rebuilds the session from its log.
    public func crashServer() async {
        _ = try? await client.value
        let recalls = await server.handler?.statistics().recalls ?? 0
        pastRecalls.withLock { $0 += recalls }
        await server.crash()
        try? await server.start()
    }

    /// Deletes the session's copy, as a failure detector would.
    public func deleteCopy() async {
        guard let session = await (try? client.value)?.session else { return }
        server.handler?.deleteSession(session)
    }

    /// How often the session was rebuilt from its log.
    public var recalls: Int {
        get async { await (server.handler?.statistics().recalls ?? 0) + pastRecalls.withLock { $0 } }
    }

    /// What `context.now` gives, in nanoseconds since 1970; nil, as at first, for the wall clock.
    public var now: Int64? {
        get { clock.fixed.withLock { $0 } }
        set { clock.fixed.withLock { $0 = newValue } }
    }
}

private final class ManualClock: Sendable {
    let fixed = Mutex<Int64?>(nil)
    var time: WallTime { fixed.withLock { $0 }.map { WallTime(nanoseconds: $0) } ?? LoopClock.wallTime() }
}
