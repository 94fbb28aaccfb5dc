internal import Logging
internal import NIOCore

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Takes no connection for a moment when there is no file descriptor for one, which would otherwise be asked for again
/// and again, in vain, on the loop that all sessions share. Those who wish to connect wait in the kernel meanwhile.
///
/// NIO's own `AcceptBackoffHandler` holds back reads that the channel asks for; after a failed accept it asks for none.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let time = TimeAmount.milliseconds(200)
    private let logger: Logger
    private var isPaused = false

    init(logger: Logger) { self.logger = logger }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let code = (error as? IOError)?.errnoCode, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) else {
            return context.fireErrorCaught(error)
        }
        guard !isPaused else { return }
        isPaused = true
        logger.warning("no more connections can be taken for now", metadata: ["error": "\(error)"])
        let channel = context.channel
        channel.setOption(.autoRead, value: false).whenFailure { _ in }
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.time) {
            self.isPaused = false
            channel.setOption(.autoRead, value: true).whenFailure { _ in }
        }
    }
}
