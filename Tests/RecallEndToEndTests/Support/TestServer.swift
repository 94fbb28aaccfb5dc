import Logging
import NIOSSL
import Recall
import RecallClient
import RecallCore
import RecallServer
import Synchronization

let testSecret = Digest([UInt8](repeating: 7, count: 32)) ?? Digest()

extension Logger {
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

/// A real server on a loopback port, which can be stopped and started again on the same port.
final class TestServer: Sendable {
    private struct State {
        var port = 0
        var handler: SessionHandler?
        var server: SessionServer?
        var running: Task<Void, any Error>?
    }
    private let state = Mutex(State())
    private let hosts: [any Session]
    private let configuration: HandlerConfiguration
    private let tls: TLSConfiguration?
    private let authenticate: Authentication?

    /// - Parameter clock: seconds since 1970 that the server's clock shows, for ever.
    init(
        _ hosts: any Session..., clock: Int64? = nil, configuration: HandlerConfiguration = .init(),
        tls: TLSConfiguration? = nil, authenticate: Authentication? = nil
    ) async throws {
        var configuration = configuration
        if let clock { configuration.clock = { WallTime(nanoseconds: clock * 1_000_000_000) } }
        (self.hosts, self.configuration, self.tls, self.authenticate) = (hosts, configuration, tls, authenticate)
        try await start()
    }

    var port: Int { state.withLock { $0.port } }
    var handler: SessionHandler? { state.withLock { $0.handler } }
    var endpoint: Endpoint { .tcp("127.0.0.1", port) }
    var statistics: HandlerStatistics { get async { await handler?.statistics() ?? HandlerStatistics() } }

    /// Begins on a port that the system does not hand out by itself: one that it does could be taken by another test's
    /// client while this server is dead.
    func start(keys: KeyRing = KeyRing(secret: testSecret)) async throws {
        if port > 0 { return try await start(keys, port) }
        for _ in 0..<20 {
            if (try? await start(keys, Int.random(in: 15_000..<32_000))) != nil { return }
        }
        try await start(keys, 0)
    }

    private func start(_ keys: KeyRing, _ port: Int) async throws {
        let handler = try SessionHandler(keys: keys, hostingAll: hosts, configuration: configuration)
        let server = SessionServer(
            handler, listen: .tcp(port: port), tls: tls, authenticate: authenticate, logger: .silent)
        let running = Task { try await server.run() }
        let port = try await server.port
        state.withLock { $0 = State(port: port, handler: handler, server: server, running: running) }
    }

    /// Ends it like a crash.
    func stop() async {
        let running = state.withLock { state in
            defer { (state.running, state.handler) = (nil, nil) }
            return state.running
        }
        running?.cancel()
        _ = await running?.result
    }

    /// Deletes a client's session, if it is here. Done when this returns: what the client sends from then on finds it
    /// gone, while it could overtake a mere order to delete.
    func delete<S>(_ client: SessionClient<S>) async {
        guard let session = await client.session, let handler else { return }
        handler.deleteSession(session)
        _ = await handler.statistics()  // comes to the server's loop behind the deletion
    }

    func restart() async throws {
        await stop()
        try await start()
    }
}

/// Runs a body with servers that are ended whatever happens.
func withServer<R>(_ server: TestServer, _ body: (TestServer) async throws -> R) async throws -> R {
    do {
        let result = try await body(server)
        await server.stop()
        return result
    } catch {
        await server.stop()
        throw error
    }
}
