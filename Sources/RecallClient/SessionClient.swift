public import Logging
internal import NIOCore
public import Recall
package import RecallCore
internal import RecallCrypto
internal import Synchronization

/// A session that survives the death of its server: its log is here, and whichever server answers rebuilds it from
/// there.
///
/// `send` returns the reply; that the server died in between shows as a pause. One client for each log; a client may be
/// used from many tasks at once, and their messages are then ordered as they arrive.
public final class SessionClient<S: Session>: Sendable {
    private let eventLoop: any EventLoop
    private let driver: NIOLoopBound<SessionDriver>
    private let log: any MessageLog
    private let isClosed = Atomic(false)
    private let executor: (any TaskExecutor)?

    /// What happens behind `send`: connections, recalls, checkpoints. For one watcher; unwatched notices are dropped
    /// beyond the newest 256.
    public let notices: AsyncStream<SessionNotice>

    /// What was found damaged in the log when it was opened, in one sentence; nil if nothing.
    public let damage: String?

    /// What the log held without an answer when it was opened; nil unless that was asked for.
    package let recovered: RecoveredUpdates?

    init(
        _ eventLoop: any EventLoop, _ driver: NIOLoopBound<SessionDriver>, _ log: any MessageLog,
        _ notices: AsyncStream<SessionNotice>, damage: String?, recovered: RecoveredUpdates?,
        executor: (any TaskExecutor)?
    ) {
        (self.eventLoop, self.driver, self.log, self.notices, self.damage) = (eventLoop, driver, log, notices, damage)
        (self.recovered, self.executor) = (recovered, executor)
    }

    /// A client that is dropped without `close` ends all the same, in its own time.
    deinit {
        guard !isClosed.load(ordering: .acquiring) else { return }
        let (eventLoop, driver, log) = (eventLoop, driver, log)
        Task(executorPreference: executor) {
            await Self.close(eventLoop, driver)
            await log.close()
        }
    }

    // MARK: Opening

    /// Resumes the session that the log holds, or initiates one if the log is empty, over a connection of its own. Many
    /// sessions share one with a ``SessionConnector``.
    ///
    /// Resuming needs no server: the client connects in the background. Initiating waits for one.
    ///
    /// - Parameters:
    ///   - endpoints: any of them will do; they need nothing in common but the key ring.
    ///   - log: where what is sent is kept. Its durability says which crashes of the client it survives.
    ///   - configuration: windows, waits and credentials.
    ///   - logger: told of connections, recalls and endings.
    /// - Throws: `logInUse`, `logDamaged`, `logMismatch` or `logFailed` for the log; `unreachable` if a new session
    ///   cannot be had in time; what a server refuses with.
    public static func open(
        at endpoints: Endpoint..., log: some MessageLog, configuration: ClientConfiguration = .init(),
        logger: Logger = Logger(label: "recall.client")
    ) async throws -> SessionClient {
        try await open(at: endpoints, log: log, mode: .either, configuration, logger)
    }

    /// As `open`, but only for an empty log. Throws `logMismatch` if it holds a session.
    public static func initiate(
        at endpoints: Endpoint..., log: some MessageLog, configuration: ClientConfiguration = .init(),
        logger: Logger = Logger(label: "recall.client")
    ) async throws -> SessionClient {
        try await open(at: endpoints, log: log, mode: .initiate, configuration, logger)
    }

    /// As `open`, but only for a log that holds a session. Throws `logMismatch` if it is empty.
    public static func resume(
        at endpoints: Endpoint..., log: some MessageLog, configuration: ClientConfiguration = .init(),
        logger: Logger = Logger(label: "recall.client")
    ) async throws -> SessionClient {
        try await open(at: endpoints, log: log, mode: .resume, configuration, logger)
    }

    package static func open(
        at endpoints: [Endpoint], log: any MessageLog, mode: OpeningMode, _ configuration: ClientConfiguration,
        _ logger: Logger, watch: NoticeStream = .init(), following: Bool = false
    ) async throws -> SessionClient {
        let connector = SessionConnector(to: endpoints, configuration: configuration, logger: logger)
        return try await connector.open(S.self, log: log, mode: mode, watch: watch, following: following)
    }

    // MARK: Sending

    /// Sends a message and returns its reply when that is safe: what it shows is in the log.
    ///
    /// Waits while the window is full or no server can be reached. An update is in the log, as durable as the log
    /// promises, before the wire sees it; it then takes effect exactly once, whatever becomes of servers and
    /// connections. If the task is cancelled the wait ends with `CancellationError`; an update that is in the log
    /// already is delivered all the same.
    ///
    /// - Throws: the message's own `Rejection`; `RecallError` for everything else, `outcomeUnknown` if the log had lost
    ///   what it had confirmed.
    @discardableResult
    public func send<M: Message<S.State>>(_ message: M) async throws -> M.Reply {
        var writer = ByteWriter()
        let route = try S.kind.encode(message, into: &writer)
        let result = try await call(writer.bytes, isRequest: route.isRequest)
        return try Self.reply(to: M.self, result)
    }

    /// Sends messages back to back, without waiting for one before the next, and returns their replies in order.
    ///
    /// All are sent, whatever becomes of the others; the first one's error is thrown when all have ended.
    /// `results(of:)` tells them apart.
    @discardableResult
    public func send<M: Message<S.State>>(contentsOf messages: some Sequence<M>) async throws -> [M.Reply] {
        try await results(of: messages).map { try $0.get() }
    }

    /// Sends messages back to back, without waiting for one before the next, and returns what became of each, in order:
    /// its reply, or what `send` would have thrown.
    ///
    /// Cancelling the task cancels the waiting, not the messages: one that is in the log may be applied all the same.
    /// - Throws: what keeps a message from being encoded; then none was sent.
    public func results<M: Message<S.State>>(
        of messages: some Sequence<M>
    ) async throws -> [Result<M.Reply, any Error>] {
        var contents: [([UInt8], isRequest: Bool)] = []
        for message in messages {
            var writer = ByteWriter()
            let route = try S.kind.encode(message, into: &writer)
            contents.append((writer.bytes, route.isRequest))
        }
        guard !contents.isEmpty else { return [] }
        let (batch, cell) = (contents, CallCell())
        let (eventLoop, driver) = (eventLoop, driver)
        let results = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let collector = SendBatch(count: batch.count, continuation)
                let waiters = batch.indices.map { Waiter.many(collector, $0) }
                eventLoop.execute {
                    let calls = driver.value.submit(batch, waiters)
                    if cell.begin(calls) { for call in calls { driver.value.cancel(call) } }
                }
            }
        } onCancel: {
            eventLoop.execute { for call in cell.cancel() { driver.value.cancel(call) } }
        }
        return results.map { result in Result { try Self.reply(to: M.self, try result.get()) } }
    }

    /// Sends a request: the same as `send`, for those who like to see that nothing is changed.
    public func request<M: RequestMessage<S.State>>(_ message: M) async throws -> M.Reply { try await send(message) }

    /// A message's content, its number and payload, for those who have bytes already.
    package func call(_ content: [UInt8], isRequest: Bool) async throws -> CallResult {
        let cell = CallCell()
        let (eventLoop, driver) = (eventLoop, driver)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                eventLoop.execute {
                    let calls = driver.value.submit([(content, isRequest)], [.one(continuation)])
                    if cell.begin(calls) { driver.value.cancel(calls[0]) }
                }
            }
        } onCancel: {
            eventLoop.execute { for call in cell.cancel() { driver.value.cancel(call) } }
        }
    }

    private static func reply<M: Message<S.State>>(to type: M.Type, _ result: CallResult) throws -> M.Reply {
        switch result {
        case .reply(let bytes): return try S.kind.reply(to: type, from: bytes.span.bytes)
        case .rejected(let bytes): throw try S.kind.rejection(of: type, from: bytes.span.bytes)
        case .failed(let code, let text): throw RecallError(code, text)
        }
    }

    // MARK: The log

    /// The last update in the log.
    public var head: SequenceNumber { get async { await on { $0.head } } }

    /// The last update whose acknowledgement is in the log.
    public var acknowledged: SequenceNumber { get async { await on { $0.acknowledged } } }

    /// The last update in the log under its seal; from it the sequence before can be walked back, to the beginning or
    /// to the older kept checkpoint, or to a state that the log adopted. Nil in a log without messages. For inspection:
    /// do not call it while `send` is under way.
    public func lastMessage() async throws -> SealedMessage? {
        guard let place = await on({ $0.place }) else { return nil }
        let sealed = SealedLog(
            log: log, header: place.header, checkpoints: place.checkpoints, reachesStart: place.reachesStart,
            cryptography: .swiftCrypto)
        return try await sealed.message(place.head)
    }

    /// Why the session has ended for this client; nil while it has not.
    /// The last update that the log holds, acknowledged or not.
    package var persisted: SequenceNumber { get async { await on { $0.persisted } } }
    package var failure: RecallError? { get async { await on { $0.failure } } }

    /// The session's name. Nil only after `close` on a client that never had one.
    public var session: SessionID? { get async { await on { $0.session } } }

    /// Ends the client and lets the log go. Those who wait in `send` get `closed`; what is in the log and not
    /// acknowledged is sent by the next client that opens it.
    public func close() async {
        let isFirst = !isClosed.exchange(true, ordering: .acquiringAndReleasing)
        await Self.close(eventLoop, driver)
        // Once only: by now the log may be another client's.
        if isFirst { await log.close() }
    }

    /// Where it stands, for people who look for a fault. On its loop.
    package var situation: String { driver.value.situation }

    private static func close(_ eventLoop: any EventLoop, _ driver: NIOLoopBound<SessionDriver>) async {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { driver.value.close(promise) }
        try? await promise.futureResult.get()
    }

    private func on<R: Sendable>(_ body: @escaping @Sendable (SessionDriver) -> R) async -> R {
        let (eventLoop, driver) = (eventLoop, driver)
        return await withCheckedContinuation { continuation in
            eventLoop.execute { continuation.resume(returning: body(driver.value)) }
        }
    }
}
