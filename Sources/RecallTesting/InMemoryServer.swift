public import Logging
internal import NIOCore
internal import NIOPosix
internal import Recall
public import RecallClient
public import RecallServer
internal import Synchronization

/// A server in this process, reached without a socket: the real handler and the real protocol, without a network.
///
/// It can be crashed and started again at will; its endpoint stays the same, and clients come back by themselves.
public final class InMemoryServer: Sendable {
    private let makeHandler: @Sendable () throws -> SessionHandler
    private let authenticate: Authentication?
    private let logger: Logger
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let state = Mutex<(handler: SessionHandler, run: HandlerRun)?>(nil)

    /// - Parameters:
    ///   - authenticate: nil lets everybody in as nobody.
    ///   - handler: makes the handler, anew at each start.
    ///   - logger: told what the server does.
    public init(
        authenticate: Authentication? = nil, logger: Logger = Logger(label: "recall.server"),
        _ handler: @escaping @Sendable () throws -> SessionHandler
    ) {
        (makeHandler, self.authenticate, self.logger) = (handler, authenticate, logger)
    }

    /// Where clients find it, whether it runs or not.
    public var endpoint: Endpoint { Endpoint(InMemoryConnector(server: self)) }

    /// The handler at work; nil while there is none.
    public var handler: SessionHandler? { state.withLock { $0?.handler } }

    /// Begins to serve, with a new handler. Throws what making the handler throws, and `misconfigured` if it runs
    /// already.
    public func start() async throws {
        guard state.withLock({ $0 == nil }) else { throw RecallError(.misconfigured, "the server runs already") }
        let handler = try makeHandler()
        let run = try await HandlerRun.start(handler, on: eventLoop, authenticate: authenticate, logger: logger)
        state.withLock { $0 = (handler, run) }
    }

    /// Ends it like a crash: without a word to anybody. Sessions are gone, and connections are closed.
    public func crash() async {
        let former = state.withLock { state in
            defer { state = nil }
            return state
        }
        await former?.run.stop()
    }

    /// Ends it like a deploy: clients are asked to go elsewhere, and what is being applied ends first.
    public func shutDown(within limit: Duration = .seconds(10)) async {
        await state.withLock { $0?.run }?.drain(within: limit)
        await crash()
    }

    fileprivate var run: HandlerRun? { state.withLock { $0?.run } }
}

private struct InMemoryConnector: Connector {
    let server: InMemoryServer
    var description: String { "in memory" }

    func connect(
        _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
        guard let run = server.run else {
            return eventLoop.makeFailedFuture(RecallError(.unreachable, "the server in memory does not run"))
        }
        let nearEnd = NIOLoopBound(MemoryPipe(on: eventLoop), eventLoop: eventLoop)
        let joined = run.eventLoop.submit {
            let far = MemoryPipe(on: run.eventLoop)
            far.join(nearEnd, on: eventLoop)
            let transport = MemoryTransport(far)
            transport.begin(run.accept(transport))
            return NIOLoopBound(far, eventLoop: run.eventLoop)
        }
        return joined.hop(to: eventLoop).map { far in
            nearEnd.value.join(far, on: run.eventLoop)
            return NIOLoopBound(MemoryConnection(nearEnd.value, receiver.value), eventLoop: eventLoop)
        }
    }
}
