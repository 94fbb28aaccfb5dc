internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// A protocol in which requests are answered in order: what to send, and how to count the answers.
struct Exchange: Sendable {
    /// Appends the requests of those numbers, of one write.
    var requests: @Sendable (Range<Int>, inout ByteBuffer) -> Void
    /// Takes whole answers out of the bytes and counts them; throws on an error that the peer reports.
    var answers: @Sendable (inout ByteBuffer) throws -> Int
    /// What is said once, before the first request, and how many answers it has.
    var greeting: [UInt8] = []
    var greetingAnswers = 0
    /// Requests on each connection after which no more are sent.
    var limit = Int.max
    /// Requests that go out with one write at most.
    var part = Int.max
}

/// Keeps so many requests under way on each of so many connections, one write for all that one read allows: as good a
/// client as ours.
enum Pipelined {
    struct Run: Sendable {
        var connections = 1
        var window = 256
        var seconds = 1.0
        var tls: TLSConfiguration?
    }

    /// - Parameter exchange: makes what one connection says.
    static func measure(_ exchange: @escaping @Sendable () -> Exchange, port: Int, _ run: Run) async throws -> Rate {
        let group = MultiThreadedEventLoopGroup.singleton
        var channels: [any Channel] = []
        for _ in 0..<run.connections {
            let channel = try await ClientBootstrap(group: group)
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .recvAllocator,
                    value: AdaptiveRecvByteBufferAllocator(
                        minimum: 1024, initial: 16384, maximum: 1 << 18)
                )
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls = run.tls {
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: NIOSSLContext(configuration: tls), serverHostname: nil))
                        }
                        try channel.pipeline.syncOperations.addHandler(
                            Handler(exchange(), window: run.window, promise: channel.eventLoop.makePromise()))
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            channels.append(channel)
        }
        let started = ContinuousClock.now
        let results = try await withThrowingTaskGroup(of: [UInt32].self) { tasks in
            for channel in channels {
                tasks.addTask {
                    try await channel.eventLoop.flatSubmit {
                        do {
                            return try channel.pipeline.syncOperations.handler(type: Handler.self)
                                .run(for: .nanoseconds(Int64(run.seconds * 1e9)), on: channel)
                        } catch { return channel.eventLoop.makeFailedFuture(error) }
                    }.get()
                }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        let elapsed = (ContinuousClock.now - started).seconds
        for channel in channels { try? await channel.close() }
        return Rate(latencies: results.flatMap { $0 }, seconds: elapsed)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let exchange: Exchange
        private let window: Int
        private let promise: EventLoopPromise<[UInt32]>
        private var pending = ByteBuffer()
        private var sent = 0
        private var answered = 0
        private var sendTimes: [NIODeadline]
        private var latencies: [UInt32] = []
        private var end = NIODeadline.distantFuture
        private var greetingsLeft: Int
        private var isRunning = false

        init(_ exchange: Exchange, window: Int, promise: EventLoopPromise<[UInt32]>) {
            (self.exchange, self.window, self.promise) = (exchange, window, promise)
            sendTimes = Array(repeating: .now(), count: window)
            greetingsLeft = exchange.greetingAnswers
        }

        func run(for time: TimeAmount, on channel: any Channel) -> EventLoopFuture<[UInt32]> {
            end = .now() + time
            isRunning = true
            latencies.reserveCapacity(1 << 16)
            if exchange.greeting.isEmpty {
                send(window, on: channel)
            } else {
                channel.writeAndFlush(ByteBuffer(bytes: exchange.greeting), promise: nil)
            }
            return promise.futureResult
        }

        private func send(_ total: Int, on channel: any Channel) {
            for start in stride(from: 0, to: total, by: exchange.part) {
                sendPart(min(exchange.part, total - start), on: channel)
            }
        }

        private func sendPart(_ count: Int, on channel: any Channel) {
            let now = NIODeadline.now()
            var buffer = channel.allocator.buffer(capacity: 4096)
            for number in sent..<(sent + count) { sendTimes[number % window] = now }
            exchange.requests(sent..<(sent + count), &buffer)
            sent += count
            channel.writeAndFlush(buffer, promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            pending.writeBuffer(&bytes)
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            do {
                var count = try exchange.answers(&pending)
                pending.discardReadBytes()
                if greetingsLeft > 0 {
                    let greeted = min(count, greetingsLeft)
                    greetingsLeft -= greeted
                    count -= greeted
                    if greetingsLeft == 0, isRunning { send(window, on: context.channel) }
                }
                let now = NIODeadline.now()
                for _ in 0..<count {
                    latencies.append(UInt32(clamping: (now - sendTimes[answered % window]).nanoseconds))
                    answered += 1
                }
                let isOver = now >= end || sent >= exchange.limit
                if !isOver {
                    send(min(count, exchange.limit - sent), on: context.channel)
                } else if answered == sent {
                    promise.succeed(latencies)
                }
            } catch {
                promise.fail(error)
                context.close(promise: nil)
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            promise.fail(BenchError("the connection was closed"))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            promise.fail(error)
            context.close(promise: nil)
        }
    }
}

extension Exchange {
    /// Messages of so many bytes, sent back as they come.
    ///
    /// - Parameter part: so many go out with one write at most.
    static func echo(bytes count: Int, part: Int = .max) -> Exchange {
        let message = [UInt8](repeating: 7, count: count)
        return Exchange(
            requests: { numbers, buffer in for _ in numbers { buffer.writeBytes(message) } },
            answers: { buffer in
                let whole = buffer.readableBytes / count
                buffer.moveReaderIndex(forwardBy: whole * count)
                return whole
            },
            part: part)
    }

    /// Messages of so many bytes, each sealed in a chain, with the seal behind those of one write; a number of messages
    /// and a MAC come back for each read. The least that this protocol can do, and nothing else; in parts, so that both
    /// sides are at work at the same time.
    static func sealed(bytes count: Int) -> Exchange {
        let message = [UInt8](repeating: 7, count: count)
        let chain = Mutex(HandChain())
        return Exchange(
            requests: { numbers, buffer in
                chain.withLock { chain in
                    for _ in numbers {
                        message.withUnsafeBytes { chain.add($0) }
                        buffer.writeInteger(UInt32(count))
                        buffer.writeBytes(message)
                    }
                    buffer.writeInteger(UInt32(0))
                    buffer.writeBytes(chain.seal)
                }
            },
            answers: { buffer in
                var whole = 0
                while let number = buffer.readSealedAnswer() { whole += number }
                return whole
            },
            part: 64)
    }

    /// `SET` of a value of so many bytes under one of 100,000 keys (RESP 2).
    static func redisSet(bytes count: Int) -> Exchange {
        let head = Array("*3\r\n$3\r\nSET\r\n$9\r\nkey:".utf8)
        let tail = Array("\r\n$\(count)\r\n\(String(repeating: "x", count: count))\r\n".utf8)
        return Exchange(
            requests: { numbers, buffer in
                for number in numbers {
                    buffer.writeBytes(head)
                    for place in [10_000, 1000, 100, 10, 1] {
                        buffer.writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / place % 10))
                    }
                    buffer.writeBytes(tail)
                }
            },
            answers: { buffer in
                var whole = 0
                while buffer.readableBytes >= 5 {
                    guard buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) == UInt8(ascii: "+") else {
                        throw BenchError("Redis: \(String(buffer: buffer))")
                    }
                    buffer.moveReaderIndex(forwardBy: 5)
                    whole += 1
                }
                return whole
            })
    }
}
