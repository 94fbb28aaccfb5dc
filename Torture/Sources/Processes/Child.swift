internal import Foundation
internal import NIOCore
internal import Synchronization

/// A process that this one started: lines in and out, signals by its id, and its end.
final class Child: Sendable {
    enum End: Hashable, Sendable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let number): "signal \(number)"
            }
        }
    }

    let id: pid_t
    /// Opens when it has been reaped.
    let ended = Gate<End>()
    /// A channel each: one whose writing fails must not take the unread output with it.
    private let input: any Channel
    private let outputs: [any Channel]
    private let hasEnded = Mutex(false)

    init(id: pid_t, input: any Channel, outputs: [any Channel]) {
        (self.id, self.input, self.outputs) = (id, input, outputs)
    }

    /// Sends a signal to the process alone, or to its whole group. Its id is its own until it is reaped, which waits
    /// for this lock.
    func signal(_ number: Int32, group: Bool = false) {
        hasEnded.withLock { hasEnded in
            if !hasEnded { _ = kill(group ? -id : id, number) }
        }
    }

    /// For the spawner: reaps under the lock of `signal`.
    func reap() {
        let end: End = hasEnded.withLock { hasEnded in
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            hasEnded = true
            let number = status & 0x7f
            return number == 0 ? .code(status >> 8 & 0xff) : .signal(number)
        }
        ended.open(end)
    }

    /// Waits for its end, and until all that it wrote has been read. Nil if it still runs after so many seconds.
    func end(within seconds: Double) async -> End? {
        guard let end = await ended.wait(within: seconds) else { return nil }
        await closePipes(within: 10)
        return end
    }

    /// SIGKILL, and its end.
    func killed() async -> End? {
        signal(SIGKILL, group: true)
        return await end(within: 20)
    }

    func write(_ text: String) {
        input.writeAndFlush(input.allocator.buffer(string: text), promise: nil)
    }

    /// No more input for it.
    func closeInput() { input.close(promise: nil) }

    private func closePipes(within seconds: Double) async {
        // They close by themselves when the last holder of their other ends is gone; a child of the child may hold on.
        input.close(promise: nil)
        for channel in outputs {
            let limit = channel.eventLoop.scheduleTask(in: .milliseconds(Int64(seconds * 1000))) {
                channel.close(promise: nil)
            }
            try? await channel.closeFuture.get()
            limit.cancel()
        }
    }
}

/// Cuts what a process writes into lines, and hands over those that came together.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// A longer line is cut there: nothing that is read here is near it.
    private static let limit = 8 << 20
    private var rest = ByteBuffer()
    private let take: @Sendable ([String]) -> Void

    init(_ take: @escaping @Sendable ([String]) -> Void) { self.take = take }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        rest.writeBuffer(&buffer)
        var lines: [String] = []
        while let end = rest.readableBytesView.firstIndex(of: 0x0a) {
            if let line = rest.readString(length: end - rest.readerIndex) { lines.append(line) }
            rest.moveReaderIndex(forwardBy: 1)
        }
        if rest.readableBytes > Self.limit { lines.append(rest.readString(length: rest.readableBytes) ?? "") }
        rest.discardReadBytes()
        if !lines.isEmpty { take(lines) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if rest.readableBytes > 0, let line = rest.readString(length: rest.readableBytes) { take([line]) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Writing to a process that was killed: its end is noticed elsewhere, and what it wrote is still to be read.
    }
}
