internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Sends back what comes, one write for each read: the least that a server can do. Or verifies it (`SealedServer`).
enum EchoServer {
    static func run(sealed: Bool = false, tls: TLSConfiguration? = nil) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let context = try tls.map { try NIOSSLContext(configuration: $0) }
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 1024, initial: 16384, maximum: 1 << 18)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
                    if sealed {
                        try pipeline.addHandler(SealedServer.Handler())
                    } else {
                        try pipeline.addHandler(Handler())
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        Role.ready(port: channel.localAddress?.port ?? 0)
        await Role.untilInputEnds { _ in "" }
        try await group.shutdownGracefully()
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
        func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
