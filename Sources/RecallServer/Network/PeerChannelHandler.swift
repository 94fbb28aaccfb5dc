internal import Logging
internal import NIOCore

/// A TCP connection, with or without TLS below it, as a peer's transport.
///
/// While the peer does not read what is written to it, nothing more is read from it.
final class PeerChannelHandler: ChannelDuplexHandler, PeerTransport {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let run: HandlerRun
    private let logger: Logger
    private var channel: (any Channel)?
    private var peer: (any HandlerPeer)?
    private var isReadDue = false

    init(_ run: HandlerRun, logger: Logger) { (self.run, self.logger) = (run, logger) }

    func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        peer = run.accept(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { (channel, peer) = (nil, nil) }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { peer?.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        peer?.batchEnded()
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable, peer?.isHeld != true {
            isReadDue = false
            context.read()
        } else {
            isReadDue = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        peer?.writabilityChanged(context.channel.isWritable)
        if context.channel.isWritable { resumeReading() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        peer?.ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("a connection failed", metadata: ["error": "\(error)"])
        peer?.ended()
    }

    // MARK: PeerTransport

    func write(_ bytes: ByteBuffer) { channel?.writeAndFlush(bytes, promise: nil) }

    /// Asks from the pipeline's end, so that `read` above judges again.
    func resumeReading() { if isReadDue { channel?.read() } }

    func close() { channel?.close(promise: nil) }
}
