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

    /// Runs tasks where the client itself runs, on its event loop. A task that prefers it sends without a change of
    /// thread, which is most of what one message after the other takes; what it does between must not block.
    ///
    /// ```swift
    /// try await withTaskExecutorPreference(counter.loopExecutor) {
    ///     for amount in amounts { try await counter.send(Counter.Add(amount: amount)) }
    /// }
    /// ```
    public let loopExecutor: any TaskExecutor

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
        loopExecutor = LoopExecutor(eventLoop)
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
        let coding = try S.kind.coding(of: M.self)
        return try coding.reply(in: try await call(try coding.content(of: message), isRequest: coding.isRequest))
    }

    /// Sends messages back to back, without waiting for one before the next, and returns their replies in order.
    ///
    /// All are sent, whatever becomes of the others; the first one's error is thrown when all have ended.
    /// `results(of:)` tells them apart.
    @discardableResult
    @inlinable
    public func send<M: Message<S.State>>(contentsOf messages: some Sequence<M>) async throws -> [M.Reply] {
        try await results(of: messages).map { try $0.get() }
    }

    /// Sends messages back to back, without waiting for one before the next, and returns what became of each, in order:
    /// its reply, or what `send` would have thrown.
    ///
    /// Cancelling the task cancels the waiting, not the messages: one that is in the log may be applied all the same.
    /// - Throws: what keeps a message from being encoded; then none was sent.
    @inlinable
    public func results<M: Message<S.State>>(
        of messages: some Sequence<M>
    ) async throws -> [Result<M.Reply, any Error>] {
        let coding = try S.kind.coding(of: M.self)
        var contents: [[UInt8]] = []
        contents.reserveCapacity(messages.underestimatedCount)
        for message in messages { contents.append(try coding.content(of: message, like: contents.last)) }
        return await results(of: contents, isRequest: coding.isRequest).map { coding.result(of: $0) }
    }

    /// Sends a request: the same as `send`, for those who like to see that nothing is changed.
    public func request<M: RequestMessage<S.State>>(_ message: M) async throws -> M.Reply { try await send(message) }

    /// A message's content, its number and payload, for those who have bytes already.
    package func call(_ content: [UInt8], isRequest: Bool) async throws -> CallResult {
        let cell = CallCell()
        let (eventLoop, driver) = (eventLoop, driver)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                eventLoop.perform {
                    let calls = driver.value.submit([content], isRequest: isRequest, SingleWaiter(continuation))
                    if cell.begin(calls) { driver.value.cancel(calls) }
                }
            }
        } onCancel: {
            eventLoop.execute { if let calls = cell.cancel() { driver.value.cancel(calls) } }
        }
    }

    /// As above, for many.
    @usableFromInline
    package func results(of contents: [[UInt8]], isRequest: Bool) async -> [Result<CallResult, any Error>] {
        guard !contents.isEmpty else { return [] }
        let cell = CallCell()
        let (eventLoop, driver) = (eventLoop, driver)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                eventLoop.perform {
                    let waiter = BatchWaiter(count: contents.count, continuation)
                    let calls = driver.value.submit(contents, isRequest: isRequest, waiter)
                    if cell.begin(calls) { driver.value.cancel(calls) }
                }
            }
        } onCancel: {
            eventLoop.execute { if let calls = cell.cancel() { driver.value.cancel(calls) } }
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

    /// The last update that the log holds, acknowledged or not.
    package var persisted: SequenceNumber { get async { await on { $0.persisted } } }
    /// Why the session has ended for this client; nil while it has not.
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

extension EventLoop {
    /// At once on the loop, and as soon as may be elsewhere.
    fileprivate func perform(_ body: @escaping @Sendable () -> Void) {
        if inEventLoop { body() } else { execute(body) }
    }
}
