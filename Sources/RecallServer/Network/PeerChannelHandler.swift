internal import Logging
internal import NIOCore

/// A TCP connection, with or without TLS below it, as a peer's transport.
///
/// While the peer does not read what is written to it, nothing more is read from it.
///
/// A socket that is closed while bytes lie unread resets its connection, and the reset takes away what the peer has not
/// read yet: why it was refused. So closing ends the writing first; what still comes is thrown away, within bounds,
/// until the peer ends too.
final class PeerChannelHandler: ChannelDuplexHandler, PeerTransport {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let run: HandlerRun
    private let logger: Logger
    private var channel: (any Channel)?
    private var peer: (any HandlerPeer)?
    private var isReadDue = false
    /// Bytes that may still come once closing has begun; nil before.
    private var bytesToLinger: Int?
    private var lingering: Scheduled<Void>?

    private static let lingerBytes = 8 << 20
    private static let lingerTime = TimeAmount.seconds(2)

    init(_ run: HandlerRun, logger: Logger) { (self.run, self.logger) = (run, logger) }

    func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        peer = run.accept(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // It holds the channel, with the buffers that it reads into, and nothing is left to wait for.
        lingering?.cancel()
        (channel, peer, lingering) = (nil, nil, nil)
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let left = bytesToLinger else { return peer?.received(unwrapInboundIn(data)) ?? () }
        bytesToLinger = left - unwrapInboundIn(data).readableBytes
        if bytesToLinger ?? 0 <= 0 { context.close(promise: nil) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        peer?.batchEnded()
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if bytesToLinger != nil || (context.channel.isWritable && peer?.isHeld != true) {
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

    func close() {
        guard let channel, bytesToLinger == nil else { return }
        bytesToLinger = Self.lingerBytes
        peer = nil
        guard channel.isActive else { return channel.close(promise: nil) }
        channel.close(mode: .output, promise: nil)
        resumeReading()
        lingering = channel.eventLoop.scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
    }
}
