internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Stands before a server and breaks the connections to it, each in its own way.
final class Proxy: Sendable {
    let port: Int
    private let target: Int
    private let workspace: Workspace
    /// Opens when there are to be no more faults.
    private let ending: Gate<Bool>
    private let random: Mutex<SeededGenerator>
    private let listener = Mutex<(any Channel)?>(nil)

    init(_ workspace: Workspace, target: Int, stream: UInt64, ending: Gate<Bool>) throws(TortureError) {
        (self.workspace, self.target, self.ending) = (workspace, target, ending)
        port = try workspace.port()
        random = Mutex(SeededGenerator(seed: workspace.seed, stream: stream))
    }

    func start() async throws(TortureError) {
        let bootstrap = ServerBootstrap(group: workspace.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    let fault = ending.isOpen ? ProxyFault.none : random.withLock { ProxyFault.draw(&$0) }
                    let link = ProxyLink(channel, fault, workspace.tally)
                    try channel.pipeline.syncOperations.addHandler(ProxyHandler(link, .client))
                    workspace.tally.add(.proxyConnections)
                    link.connect(to: target)
                }
            }
        do {
            let channel = try await bootstrap.bind(host: "127.0.0.1", port: port).get()
            listener.withLock { $0 = channel }
        } catch {
            throw .system(call: "listening on port \(port)", reason: "\(error)")
        }
    }

    func stop() async { try? await listener.withLock { $0 }?.close() }
}

/// Hands what one end of a link does to the link.
private final class ProxyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: ProxyLink
    private let side: ProxyLink.Side

    init(_ link: ProxyLink, _ side: ProxyLink.Side) { (self.link, self.side) = (link, side) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { link.received(unwrapInboundIn(data), from: side) }
    func channelInactive(context: ChannelHandlerContext) { link.closed(side) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Two connections that are one to their ends, and the fault that befalls them. Belongs to the event loop of both.
final class ProxyLink {
    enum Side: Hashable, Sendable {
        case client, server
        var other: Side { self == .client ? .server : .client }
    }

    /// A silent or half-open connection ends at last, also if its ends should not notice.
    private static let longest = TimeAmount.seconds(60)

    private let client: any Channel
    private var server: (any Channel)?
    private let fault: ProxyFault
    private let tally: Tally
    /// The fault has begun.
    private var isBroken = false
    /// A one-way fault that is over once it has happened.
    private var isSpent = false
    private var byteBudget = 0
    private var boundaries = FrameBoundaries()
    /// Bytes that came from the side that garbage is to come from.
    private var passed = 0

    init(_ client: any Channel, _ fault: ProxyFault, _ tally: Tally) {
        (self.client, self.fault, self.tally) = (client, fault, tally)
    }

    private var loop: NIOIsolatedEventLoop { client.eventLoop.assumeIsolated() }

    func connect(to port: Int) {
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .connectTimeout(.seconds(5))
            .connect(host: "127.0.0.1", port: port)
            .assumeIsolated()
            .whenComplete { self.connected($0) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        guard case .success(let channel) = result, client.isActive else {
            if case .success(let channel) = result { channel.close(promise: nil) }
            return reset(client)
        }
        server = channel
        do {
            try channel.pipeline.syncOperations.addHandler(ProxyHandler(self, .server))
        } catch {
            return closeBoth()
        }
        for channel in [client, channel] { channel.setOption(.autoRead, value: true).whenFailure { _ in } }
        guard fault.row != nil else { return }
        loop.scheduleTask(in: .milliseconds(Int64(fault.time * 1000))) { self.strike() }
    }

    private func strike() {
        guard client.isActive, server?.isActive == true, let row = fault.row else { return }
        isBroken = true
        switch fault.kind {
        case .byByte(let count): byteBudget = count
        case .cut: loop.scheduleTask(in: .seconds(2)) { self.cut() }  // if nothing passes until then
        case .halfOpen(let side):
            channel(side.other)?.close(promise: nil)
            loop.scheduleTask(in: Self.longest) { self.closeBoth() }
        case .silence: loop.scheduleTask(in: Self.longest) { self.closeBoth() }
        case .none, .latency, .garbage: break
        }
        switch fault.kind {
        case .cut, .garbage: break  // counted when it happens
        default: tally.add(row)
        }
    }

    func received(_ buffer: ByteBuffer, from side: Side) {
        var beginning: Int?
        let before = passed
        if case .garbage(side, _) = fault.kind {
            beginning = boundaries.first(in: buffer.readableBytesView)
            passed += buffer.readableBytes
        }
        guard isBroken else { return send(buffer, to: side.other) }
        switch fault.kind {
        case .latency(let seconds):
            loop.scheduleTask(in: .microseconds(Int64(seconds * 1e6))) { self.send(buffer, to: side.other) }
        case .cut:
            if let part = buffer.getSlice(at: buffer.readerIndex, length: buffer.readableBytes / 2) {
                send(part, to: side.other)
            }
            cut()
        case .halfOpen: break
        case .silence(let silent): if side != silent { send(buffer, to: side.other) }
        case .byByte: sendByByte(buffer, to: side.other)
        case .garbage(side, let garbage):
            // Not before the hello: its sender would be taken for one of another protocol, and be told to end.
            guard !isSpent, let beginning, before + beginning > 0 else { return send(buffer, to: side.other) }
            isSpent = true
            tally.add(.proxyGarbage)
            // Between two frames: within one, what is not under a seal would be believed, as it is without TLS.
            var altered = buffer
            var sent = altered.readSlice(length: beginning) ?? ByteBuffer()
            sent.writeBytes(garbage)
            sent.writeBuffer(&altered)
            send(sent, to: side.other)
        case .none, .garbage: send(buffer, to: side.other)
        }
    }

    func closed(_ side: Side) {
        if isBroken, case .halfOpen = fault.kind { return }
        channel(side.other)?.close(promise: nil)
    }

    private func channel(_ side: Side) -> (any Channel)? { side == .client ? client : server }

    private func send(_ buffer: ByteBuffer, to side: Side) { channel(side)?.writeAndFlush(buffer, promise: nil) }

    private func sendByByte(_ buffer: ByteBuffer, to side: Side) {
        var buffer = buffer
        while byteBudget > 0, let byte = buffer.readSlice(length: 1) {
            byteBudget -= 1
            send(byte, to: side)
        }
        if buffer.readableBytes > 0 { send(buffer, to: side) }
    }

    private func cut() {
        guard !isSpent, client.isActive, server?.isActive == true else { return }
        isSpent = true
        tally.add(.proxyCut)
        reset(client)
        if let server { reset(server) }
    }

    /// Closes with a reset, which throws away what is under way.
    private func reset(_ channel: any Channel) {
        (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    private func closeBoth() {
        client.close(promise: nil)
        server?.close(promise: nil)
    }
}
