public import Logging
internal import NIOCore
internal import NIOPosix
public import Recall
internal import RecallCore
internal import RecallCrypto

/// A connection that many sessions share: thousands of them cost their server one socket.
///
/// It connects when the first session is opened, follows them from server to server, and ends with the last. All
/// sessions of a connector have the same credentials.
///
/// ```swift
/// let connector = SessionConnector(to: .tcp("10.0.0.1", 7433), .tcp("10.0.0.2", 7433))
/// let account = try await connector.open(Bank.self, log: .sqlite("account.db"))
/// ```
public final class SessionConnector: Sendable {
    /// Threads of the clients' own, as many as NIO has by default: appends to logs would hold up whoever shared theirs.
    private static let loops = MultiThreadedEventLoopGroup(numberOfThreads: NIOSingletons.groupLoopCountSuggestion)

    private let endpoints: [Endpoint]
    private let configuration: ClientConfiguration
    private let logger: Logger
    private let eventLoop: any EventLoop
    private let link: NIOLoopBoundBox<ServerLink?>

    /// - Parameters:
    ///   - endpoints: any of them will do; they need nothing in common but the key ring.
    ///   - configuration: windows, waits and credentials.
    ///   - logger: told of connections, recalls and endings.
    public convenience init(
        to endpoints: Endpoint..., configuration: ClientConfiguration = .init(),
        logger: Logger = Logger(label: "recall.client")
    ) {
        self.init(to: endpoints, configuration: configuration, logger: logger)
    }

    /// As above, with a list made elsewhere.
    public init(
        to endpoints: [Endpoint], configuration: ClientConfiguration = .init(),
        logger: Logger = Logger(label: "recall.client")
    ) {
        (self.endpoints, self.configuration, self.logger) = (endpoints, configuration, logger)
        eventLoop = configuration.eventLoop ?? Self.loops.next()
        link = .makeEmptyBox(eventLoop: eventLoop)
    }

    /// Resumes the session that the log holds, or initiates one if the log is empty.
    ///
    /// Resuming needs no server; initiating waits for one. Throws as `SessionClient.open` does.
    public func open<S: Session>(_ kind: S.Type, log: some MessageLog) async throws -> SessionClient<S> {
        try await open(kind, log: log, mode: .either)
    }

    /// As `open`, but only for an empty log. Throws `logMismatch` if it holds a session.
    public func initiate<S: Session>(_ kind: S.Type, log: some MessageLog) async throws -> SessionClient<S> {
        try await open(kind, log: log, mode: .initiate)
    }

    /// As `open`, but only for a log that holds a session. Throws `logMismatch` if it is empty.
    public func resume<S: Session>(_ kind: S.Type, log: some MessageLog) async throws -> SessionClient<S> {
        try await open(kind, log: log, mode: .resume)
    }

    /// - Parameters:
    ///   - watch: what is told of the session, from the first attempt on.
    ///   - following: whether the answers to what the log holds unanswered are wanted.
    func open<S: Session>(
        _ kind: S.Type, log: any MessageLog, mode: OpeningMode, watch: NoticeStream = .init(), following: Bool = false
    ) async throws -> SessionClient<S> {
        try S.kind.validate()
        guard !endpoints.isEmpty else { throw RecallError(.misconfigured, "no endpoint is given") }
        let name = Array(S.kind.name.utf8)
        let (recovered, damage) = try await recover(log, mode, name, S.kind.version)
        let (driver, opened, followed) = try await start(
            name, S.kind.version, log: log, recovered, notices: watch.continuation, following: following
        ).get()
        let client = SessionClient<S>(
            eventLoop, driver, log, watch.notices, damage: damage, recovered: followed,
            executor: configuration.surroundings.executor)
        do {
            try await wait(for: opened).get()
            return client
        } catch {
            await client.close()
            throw error
        }
    }

    private func recover(
        _ log: any MessageLog, _ mode: OpeningMode, _ name: [UInt8], _ version: UInt32
    ) async throws -> (RecoveredLog?, damage: String?) {
        do {
            let (recovered, damage) = try await log.recover(kindName: name, kindVersion: version, .swiftCrypto)
            if let damage { logger.warning("the log is damaged", metadata: ["damage": "\(damage)"]) }
            guard mode == .either || (mode == .initiate) == (recovered == nil) else {
                throw RecallError(
                    .logMismatch, recovered == nil ? "the log is empty" : "the log holds a session already")
            }
            return (recovered, damage)
        } catch let error as RecallError where error.code == .logInUse {
            throw error  // another's: closing it would take it away
        } catch {
            await log.close()
            throw error
        }
    }

    private func start(
        _ name: [UInt8], _ version: UInt32, log: any MessageLog, _ recovered: RecoveredLog?,
        notices: AsyncStream<SessionNotice>.Continuation, following: Bool
    ) -> EventLoopFuture<(NIOLoopBound<SessionDriver>, EventLoopFuture<Void>, RecoveredUpdates?)> {
        eventLoop.submit { [self] in
            let driver = SessionDriver(
                serverLink, log: log, kindName: name, kindVersion: version, .swiftCrypto, notices: notices,
                logger: logger)
            let opened = driver.open(recovered, following: following)
            return (NIOLoopBound(driver, eventLoop: eventLoop), opened, driver.recovered)
        }
    }

    /// On the event loop.
    private var serverLink: ServerLink {
        if let link = link.value { return link }
        let new = ServerLink(to: endpoints, configuration, on: eventLoop, logger: logger)
        link.value = new
        return new
    }

    private func wait(for opened: EventLoopFuture<Void>) -> EventLoopFuture<Void> {
        guard let limit = configuration.openTimeout else { return opened }
        let promise = eventLoop.makePromise(of: Void.self)
        let timer = eventLoop.scheduleTask(in: .nanoseconds(limit.nanoseconds)) { [self] in
            let trouble = serverLink.trouble.map { "; the last attempt: \($0)" } ?? ""
            promise.fail(RecallError(.unreachable, "no server answered within \(limit)\(trouble)"))
        }
        opened.whenComplete { result in
            timer.cancel()
            promise.completeWith(result)
        }
        return promise.futureResult
    }
}

/// A session's notices, made before there is a client, for those who watch it being opened.
package struct NoticeStream: Sendable {
    package let notices: AsyncStream<SessionNotice>
    package let continuation: AsyncStream<SessionNotice>.Continuation

    package init() {
        (notices, continuation) = AsyncStream.makeStream(of: SessionNotice.self, bufferingPolicy: .bufferingNewest(256))
    }
}

/// Which logs will do.
package enum OpeningMode: Sendable { case either, initiate, resume }
