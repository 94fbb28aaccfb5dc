package import Logging
package import NIOCore
internal import Recall
package import RecallCore
internal import Synchronization

/// A handler at work on an event loop, wherever its connections come from; and the way to it from other threads.
package final class HandlerRun: Sendable {
    package let eventLoop: any EventLoop
    private let bound: NIOLoopBound<HandlerLoop>
    /// False once it has ended: then nothing may be put on the loop any more, which may end too.
    private let isRunning = Mutex(true)

    /// On the loop.
    private init(_ loop: HandlerLoop) {
        eventLoop = loop.eventLoop
        bound = NIOLoopBound(loop, eventLoop: loop.eventLoop)
    }

    /// Sets a handler to work. Throws `misconfigured` if it is at work already, or its poison file cannot be used.
    package static func start(
        _ handler: SessionHandler, on eventLoop: any EventLoop, authenticate: Authentication? = nil, logger: Logger
    ) async throws -> HandlerRun {
        try await eventLoop.submit {
            try handler.run.withLock { run in
                guard run == nil else { throw RecallError(.misconfigured, "the handler is served already") }
                let loop = try HandlerLoop(handler, on: eventLoop, authenticate: authenticate, logger: logger)
                let new = HandlerRun(loop)
                loop.reference = new
                run = new
                return new
            }
        }.get()
    }

    /// Takes a new connection, before its hello. On the loop.
    package func accept(_ transport: any PeerTransport) -> any HandlerPeer { bound.value.accept(transport) }

    /// Where a session stands here. On the loop.
    package func status(of session: SessionID) -> SessionStatus? { bound.value.status(of: session) }
    /// The encoded state of its copy here; nil if there is none. On the loop.
    package func state(of session: SessionID) -> [UInt8]? { bound.value.state(of: session) }

    /// Asks all clients to go elsewhere, takes no more sessions, and lets what is being applied end, within the limit.
    package func drain(within limit: Duration) async {
        execute { $0.drain() }
        let deadline = eventLoop.now + .nanoseconds(limit.nanoseconds)
        while await get({ $0.hasWork }) ?? false, eventLoop.now < deadline {
            try? await eventLoop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
        }
    }

    /// Ends it, with its connections and sessions. The clients' logs are all that is left.
    package func stop() async {
        // Whoever comes later finds the door shut; who came before has had his turn when `stop` returns.
        let last = isRunning.withLock { isRunning in
            defer { isRunning = false }
            return isRunning ? eventLoop.submit { [bound] in bound.value.stop() } : nil
        }
        try? await last?.get()
    }

    func execute(_ body: @escaping @Sendable (HandlerLoop) -> Void) {
        isRunning.withLock { isRunning in
            if isRunning { eventLoop.execute { [bound] in body(bound.value) } }
        }
    }

    /// Nil if it has ended.
    func get<R: Sendable>(_ body: @escaping @Sendable (HandlerLoop) -> R) async -> R? {
        let result = isRunning.withLock { isRunning in
            isRunning ? eventLoop.submit { [bound] in body(bound.value) } : nil
        }
        return try? await result?.get()
    }
}
