internal import Logging
internal import NIOSSL
internal import Recall
internal import RecallServer
internal import ServiceLifecycle

/// A server of ours, as an application would run it.
enum RecallServerRole {
    static let secret = Digest([UInt8](repeating: 5, count: 32)) ?? Digest()

    /// - Parameter idleLimit: after which a session is deleted; nil for never.
    static func run(tls: TLSConfiguration?, port: Int, admission: Bool, idleLimit: Duration?) async throws {
        var logger = Logger(label: "recall.server")
        logger.logLevel = .error
        var configuration = HandlerConfiguration()
        configuration.idleLimit = idleLimit
        configuration.memoryBudget = 1 << 40
        configuration.maximumSessions = 10_000_000
        if !admission {
            configuration.concurrentRecalls = 1_000_000
            configuration.recallMemory = 1 << 40
        }
        let handler = try SessionHandler(
            keys: KeyRing(secret: secret), hosting: Tally(), EndlessTally(), Typing(), KeptTyping(),
            configuration: configuration)
        let server = SessionServer(handler, listen: .tcp(port: port), tls: tls, logger: logger)
        let running = Task { try await server.run() }
        Role.ready(port: try await server.port)
        await Role.untilInputEnds { question in
            let statistics = await handler.statistics()
            return switch question {
            case "sessions": "\(statistics.sessions)"
            default: "?"
            }
        }
        running.cancel()
        try? await running.value
    }
}
