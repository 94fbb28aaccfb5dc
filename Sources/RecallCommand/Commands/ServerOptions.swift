internal import ArgumentParser
internal import Logging
internal import NIOSSL
internal import Recall
internal import RecallClient
internal import RecallSQLite

/// How a client command finds its servers.
struct ServerOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A server's address, 127.0.0.1:\(Address.usualPort) without it; repeat it for several, any will do.",
            valueName: "host:port"),
        transform: { text throws(ValidationError) in try Address(parsing: text) })
    var server: [Address] = [Address(host: "127.0.0.1", port: Address.usualPort)]

    @Flag(help: "Speak TLS; the server's certificate must name its host.")
    var tls = false

    @Option(
        help: ArgumentHelp(
            "Certificates to trust, in PEM, instead of the system's; implies --tls.", valueName: "file"),
        completion: .file())
    var tlsTrust: String?

    @Option(help: ArgumentHelp("What authenticates this client to the server.", valueName: "text"))
    var credentials: String?

    func endpoints() throws -> [Endpoint] {
        var configuration: TLSConfiguration?
        if tls || tlsTrust != nil {
            var client = TLSConfiguration.makeClientConfiguration()
            if let tlsTrust {
                _ = try readFile(tlsTrust, limit: 64 << 20)  // for an error that says what is wrong
                client.trustRoots = .file(tlsTrust)
            }
            configuration = client
        }
        return server.map { .tcp($0.host, $0.port, tls: configuration) }
    }

    func configuration(window: Int? = nil, openTimeout: Duration? = .seconds(30)) -> ClientConfiguration {
        var configuration = ClientConfiguration()
        if let credentials { configuration.credentials = Array(credentials.utf8) }
        if let window { configuration.windowMessages = window }
        configuration.openTimeout = openTimeout
        return configuration
    }
}

/// How durable a log is to be.
enum DurabilityName: String, CaseIterable, Sendable, ExpressibleByArgument {
    case process
    case disk

    var durability: SQLiteLog.Durability { self == .disk ? .disk : .process }
}

extension Logger {
    /// Nothing but trouble, on standard error: what a client command has to say it says itself.
    static func quiet(_ label: String) -> Logger {
        var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .critical
        return logger
    }
}
