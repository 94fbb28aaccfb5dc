public import Logging
internal import NIOCore
internal import NIOPosix
public import NIOSSL
internal import Recall
public import ServiceLifecycle
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Decides who a connecting peer is.
///
/// Gets the bytes that the client was configured with (at most 16 KiB; empty if none). Returns the principal that the
/// peer's sessions belong to, or nil for nobody; throws to refuse the connection.
public typealias Authentication = @Sendable (_ credentials: [UInt8]) async throws -> [UInt8]?

/// Where a server listens.
public struct ListenAddress: Sendable, Hashable {
    let host: String
    let port: Int

    /// - Parameters:
    ///   - host: an address of this machine; the default is reachable from this machine only.
    ///   - port: 0 picks a free one.
    public static func tcp(host: String = "127.0.0.1", port: Int) -> Self { Self(host: host, port: port) }
}

/// Serves a handler's sessions over TCP, with or without TLS. A service for swift-service-lifecycle: on graceful
/// shutdown it tells its clients to go elsewhere, finishes what it is applying, and ends.
///
/// Everything runs on one event loop; to use more cores, run more processes, each with the same key ring.
public final class SessionServer: Service {
    private let handler: SessionHandler
    private let address: ListenAddress
    private let tls: TLSConfiguration?
    private let authenticate: Authentication?
    private let drainLimit: Duration
    private let logger: Logger
    private let bound = Mutex<Binding>(.pending([]))

    private enum Binding {
        case pending([CheckedContinuation<Int, any Error>])
        case listening(Int)
        case ended(any Error)
    }

    /// - Parameters:
    ///   - handler: serves one server at a time.
    ///   - address: where to listen.
    ///   - tls: a server configuration with its certificate and key; nil serves in the clear. Only under TLS can a
    ///     client know that acknowledgements come from the server.
    ///   - authenticate: nil lets everybody in as nobody.
    ///   - drainLimit: how long a graceful shutdown waits for what is being applied.
    ///   - logger: gets connections that fail, sessions that are refused, and deaths.
    public init(
        _ handler: SessionHandler, listen address: ListenAddress, tls: TLSConfiguration? = nil,
        authenticate: Authentication? = nil, drainLimit: Duration = .seconds(10),
        logger: Logger = Logger(label: "recall.server")
    ) {
        self.handler = handler
        self.address = address
        self.tls = tls
        self.authenticate = authenticate
        self.drainLimit = drainLimit
        self.logger = logger
    }

    /// The port it listens on; waits until it does. Throws what `run` threw if it never will.
    public var port: Int {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                bound.withLock { binding in
                    switch binding {
                    case .pending(let waiting): binding = .pending(waiting + [continuation])
                    case .listening(let port): continuation.resume(returning: port)
                    case .ended(let error): continuation.resume(throwing: error)
                    }
                }
            }
        }
    }

    /// Serves until graceful shutdown or cancellation. Throws if the address cannot be had, the TLS configuration is
    /// unusable, or the handler is running already.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            try await serve(on: group.next())
        } catch {
            settle(.failure(error))
            try? await group.shutdownGracefully()
            throw error
        }
        settle(.failure(RecallError(.closed, "the server has ended")))
        try await group.shutdownGracefully()
    }

    private func serve(on eventLoop: any EventLoop) async throws {
        guard (0...65_535).contains(address.port) else {
            throw RecallError(.misconfigured, "\(address.port) is no port: 0 to 65535 are, and 0 picks a free one")
        }
        let context = try tls.map { try NIOSSLContext(configuration: $0) }
        let run = try await HandlerRun.start(handler, on: eventLoop, authenticate: authenticate, logger: logger)
        let channel: any Channel
        do {
            channel = try await bind(run, context)
        } catch {
            await run.stop()
            let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw RecallError(.misconfigured, "cannot listen on \(address.host):\(address.port): \(reason)")
        }
        settle(.success(channel.localAddress?.port ?? address.port))
        logger.info("listening", metadata: ["address": "\(address.host):\(channel.localAddress?.port ?? address.port)"])
        await withTaskCancellationOrGracefulShutdownHandler {
            try? await channel.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            channel.close(promise: nil)
        }
        if !Task.isCancelled { await run.drain(within: drainLimit) }
        await run.stop()
    }

    private func bind(_ run: HandlerRun, _ context: NIOSSLContext?) async throws -> any Channel {
        let logger = logger
        return try await ServerBootstrap(group: run.eventLoop)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger))
                }
            }
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 4 << 20))
            .childChannelOption(
                // Each connection keeps a buffer that it reads into: small at first, and twice as large after every
                // read that fills it.
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: 1 << 18)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.addHandler(PeerChannelHandler(run, logger: logger))
                }
            }
            .bind(host: address.host, port: address.port).get()
    }

    private func settle(_ result: Result<Int, any Error>) {
        let waiting = bound.withLock { binding in
            var waiting: [CheckedContinuation<Int, any Error>] = []
            if case .pending(let continuations) = binding { waiting = continuations }
            switch result {
            case .success(let port): binding = .listening(port)
            case .failure(let error): binding = .ended(error)
            }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result) }
    }
}
