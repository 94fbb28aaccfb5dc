internal import ArgumentParser
internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Recall
internal import RecallServer
internal import ServiceLifecycle
internal import UnixSignals

/// `recall serve`
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Host sessions of the kinds 'text' and 'json'.",
        discussion: """
            Prints the address that it listens on, as one line, and then serves until SIGTERM or SIGINT, on which it \
            tells its clients to go elsewhere, finishes what it is applying, and ends. Nothing but the key file has to \
            be kept: any server with the same key continues every session. SIGKILL is fine, too.
            """)

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port = Address.usualPort

    @Option(
        help: ArgumentHelp(
            "The file with the root secret; made on first use, with 32 random bytes.",
            discussion: """
                For a rotation repeat it as NUMBER=FILE (1 to 65535; a file alone is number 1): the highest number \
                issues new sessions, the others still verify old ones. Only a file alone is made. Where several \
                servers share their sessions, give the new key to each of them first, with --issuing-key naming the \
                old one, and leave --issuing-key out only when all have it.
                """, valueName: "file"),
        completion: .file())
    var keyFile: [String] = ["recall.key"]

    @Option(
        help: ArgumentHelp(
            "The number of the key that issues new sessions, if it is not the highest.", valueName: "number"))
    var issuingKey: UInt16?

    @Option(help: ArgumentHelp("The certificate chain, in PEM.", valueName: "file"), completion: .file())
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key, in PEM.", valueName: "file"), completion: .file())
    var tlsKey: String?

    @OptionGroup(title: "Limits") var limits: ServeLimits

    @Option(
        help: ArgumentHelp(
            "What to log, on standard error: trace, debug, info, notice, warning, error or critical.",
            valueName: "level"),
        transform: { text in
            guard let level = Logger.Level(rawValue: text) else { throw ValidationError("there is no level \(text)") }
            return level
        })
    var logLevel = Logger.Level.notice

    /// A parent that is killed cannot stop its children: they notice that it is gone.
    @Flag(help: .hidden) var untilInputCloses = false

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port must be 0 to 65535") }
        _ = try KeyArguments(keyFile, issuing: issuingKey)
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
    }

    func run() async throws {
        ProcessLimits.raiseOpenFiles()
        let level = logLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let (keys, tls) = (try KeyArguments(keyFile, issuing: issuingKey), try tlsConfiguration())
        if keys.areNew { try await rehearse() }
        let handler = try SessionHandler(
            keys: try keys.ring(), hosting: TextSession(), JSONSession(), configuration: limits.configuration)
        let server = SessionServer(
            handler, listen: .tcp(host: host, port: port), tls: tls, logger: Logger(label: "recall"))
        let announcer = Announcer(server: server, host: host)
        var services = [ServiceGroupConfiguration.ServiceConfiguration(service: server)]
        services.append(.init(service: announcer))
        services.append(.init(service: FreedMemory(handler: handler), successTerminationBehavior: .ignore))
        if untilInputCloses {
            services.append(.init(service: InputWatch(), successTerminationBehavior: .gracefullyShutdownGroup))
        }
        let group = ServiceGroup(
            configuration: .init(
                services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "recall")))
        do {
            try await group.run()
        } catch {
            throw explain(error)
        }
    }

    /// Finds out whether the address can be had: no key file is to be made for a server that cannot start. Who connects
    /// meanwhile is sent away, since nothing may be promised under a key that is not kept.
    private func rehearse() async throws {
        try limits.configuration.checkPoisonFile()
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { $0.close() }
                .bind(host: host, port: port).get()
            try await channel.close()
        } catch {
            throw explain(error)
        }
    }

    private func explain(_ error: any Error) -> any Error {
        let reason: String
        switch error {
        case let error as IOError: reason = String(cString: strerror(error.errnoCode))
        case is SocketAddressError, is SocketAddressError.UnknownHost: reason = "no address has that name"
        default: return error
        }
        return CommandError(
            "cannot listen on \(Address(host: host, port: port)): \(reason). Try another --port or --host.")
    }

    private func tlsConfiguration() throws -> TLSConfiguration? {
        guard let tlsCertificate, let tlsKey else { return nil }
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(try readFile(tlsCertificate, limit: 1 << 20))
            guard !chain.isEmpty else { throw CommandError("no certificate in it") }
            let key = try NIOSSLPrivateKey(bytes: try readFile(tlsKey, limit: 1 << 20), format: .pem)
            let configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            _ = try NIOSSLContext(configuration: configuration)  // finds out whether they belong together
            return configuration
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError("\(tlsCertificate) and \(tlsKey) are no certificate and its key in PEM: \(error)")
        }
    }
}

/// How much a server takes on.
struct ServeLimits: ParsableArguments {
    private static let usual = HandlerConfiguration()

    @Option(help: "Sessions held at once; beyond, the least recently used idle one makes room.")
    var maximumSessions = usual.maximumSessions

    @Option(help: "Recalls under way at once, short ones beside them; others wait.")
    var concurrentRecalls = usual.concurrentRecalls

    @Option(help: "Megabytes that all sessions may take; beyond, idle ones make room.")
    var memoryBudget = usual.memoryBudget >> 20

    @Option(help: "Seconds after which an idle session is deleted; 0 for never. Its next message rebuilds it.")
    var idleSeconds = 600

    @Option(
        help: ArgumentHelp(
            "Remembers over the server's deaths what it was applying, so that an update that kills it is found out.",
            valueName: "file"), completion: .file())
    var poisonFile: String?

    func validate() throws {
        guard maximumSessions > 0, concurrentRecalls > 0, idleSeconds >= 0 else {
            throw ValidationError("limits must be positive (only --idle-seconds may be 0)")
        }
        guard (1...(1 << 24)).contains(memoryBudget) else {
            throw ValidationError("--memory-budget must be 1 to \(1 << 24)")
        }
    }

    var configuration: HandlerConfiguration {
        var configuration = HandlerConfiguration()
        configuration.maximumSessions = maximumSessions
        configuration.concurrentRecalls = concurrentRecalls
        configuration.memoryBudget = memoryBudget << 20
        configuration.idleLimit = idleSeconds == 0 ? nil : .seconds(idleSeconds)
        configuration.poisonFile = poisonFile
        return configuration
    }
}

/// Says where the server listens, as soon as it does.
private struct Announcer: Service {
    let server: SessionServer
    let host: String

    func run() async throws {
        guard let port = try? await server.port else { return try await gracefulShutdown() }
        try Output.line("listening on \(Address(host: host, port: port))")
        try await gracefulShutdown()
    }
}

/// Ends when standard input does.
private struct InputWatch: Service {
    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while !Self.inputIsClosed() { try await Task.sleep(for: .milliseconds(50)) }
        }
    }

    /// Looks, and never waits: a thread that waits in `read` could not be woken for a shutdown.
    private static func inputIsClosed() -> Bool {
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&input, 1, 0) > 0 else { return false }
        var buffer = [UInt8](repeating: 0, count: 4096)
        return read(STDIN_FILENO, &buffer, buffer.count) == 0
    }
}
