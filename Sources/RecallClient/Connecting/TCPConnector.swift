internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Recall

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Reaches a server over TCP, with or without TLS.
struct TCPConnector: Connector {
    let host: String
    let port: Int
    let tls: TLSConfiguration?

    var description: String { "\(host):\(port)" }

    func connect(
        _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(limit)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 16384, maximum: 1 << 18)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let context = try NIOSSLContext(configuration: tls)
                        // An address is no server name (RFC 6066, section 3); the certificate is checked against it
                        // all the same.
                        let name = (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try channel.pipeline.syncOperations.addHandler(ChannelConnection(channel, receiver.value))
                }
            }
            .connect(host: host, port: port)
            .flatMapThrowing { channel in
                // Where nobody listens, the system may give an attempt the very port that it tries to reach: the two
                // ends are then one (RFC 9293, section 3.5, simultaneous open), and the server could not come back.
                if let local = channel.localAddress, local == channel.remoteAddress {
                    channel.close(promise: nil)
                    throw RecallError(.unreachable, "nobody listens there")
                }
                let connection = try channel.pipeline.syncOperations.handler(type: ChannelConnection.self)
                return NIOLoopBound(connection, eventLoop: eventLoop)
            }
            .flatMapErrorThrowing { error in throw Self.plain(error) }
    }

    /// For people: what the libraries say names their own types.
    fileprivate static func plain(_ error: any Error) -> any Error {
        switch error {
        case let error as NIOConnectionError:
            guard let last = error.connectionErrors.last?.error else { return Unreached("no address has that name") }
            return plain(last)
        case let error as IOError: return Unreached(String(cString: strerror(error.errnoCode)))
        case ChannelError.connectTimeout: return Unreached("nobody answers")
        case let error as NIOSSLError: return Unreached(trouble("\(error)"))
        case let error as NIOSSLExtraError:
            return Unreached(
                error == .failedToValidateHostname
                    ? "the server's certificate is one for another name" : trouble("\(error)"))
        default: return error
        }
    }

    /// What BoringSSL found; it tells its reasons in text only.
    private static func trouble(_ text: String) -> String {
        let known = [
            ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not one that is trusted here"),
            ("uncleanShutdown", "the server closed it without a word"),
            ("WRONG_VERSION_NUMBER", "what answers there does not speak TLS"),
            ("EOF during handshake", "what answers there hung up on TLS; perhaps it does not speak it"),
        ]
        return known.first { text.contains($0.0) }?.1 ?? "TLS failed: \(text)"
    }

    private struct Unreached: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

/// A channel as a connection.
private final class ChannelConnection: ChannelInboundHandler, ByteConnection {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel
    private var receiver: (any ByteReceiver)?

    init(_ channel: any Channel, _ receiver: any ByteReceiver) {
        (self.channel, self.receiver) = (channel, receiver)
    }

    func send(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

    func setReading(_ isReading: Bool) {
        try? channel.syncOptions?.setOption(.autoRead, value: isReading)
    }

    func close() {
        receiver = nil
        channel.close(promise: nil)
    }

    private func ended(_ reason: String) {
        let receiver = receiver
        close()
        receiver?.ended(reason)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { receiver?.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        receiver?.batchEnded()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended("the connection was closed")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ended("the connection failed: \(TCPConnector.plain(error))")
    }
}
