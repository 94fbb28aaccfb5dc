import NIOCore
import NIOPosix
import RecallClient
import RecallCore
import Synchronization

/// Stands between clients and servers, sees every frame, and meddles as it is told.
final class FrameProxy: Sendable {
    struct Frame: Sendable {
        var isFromServer: Bool
        var type: FrameType
        /// With its length.
        var bytes: [UInt8]
        /// The server's port.
        var target: Int
    }
    enum Action: Sendable {
        case pass, drop, twice
        /// As `pass`, and all frames that came along with it are sent again behind the last of them.
        case batchTwice
        /// Kept until `release`; frames behind it overtake it.
        case hold
        /// Ends the connection instead, or after it passed.
        case cut, passAndCut
    }
    typealias Rule = @Sendable (Frame) -> Action

    private struct State {
        var target: Int
        var rule: Rule = { _ in .pass }
        var counts: [FrameType: Int] = [:]
        var held: [@Sendable () -> Void] = []
        var pairs: [ObjectIdentifier: (client: any Channel, server: any Channel)] = [:]
        var isHoldingServer = false
        /// True once only the clients' sides were cut: the servers are not to notice.
        var isSilent = false
    }
    private let state: Mutex<State>
    private let listener = Mutex<(any Channel)?>(nil)

    init(to target: Int) async throws {
        state = Mutex(State(target: target))
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [self] client in
                ClientBootstrap(group: client.eventLoop)
                    .channelOption(.autoRead, value: false)
                    .connect(host: "127.0.0.1", port: self.target)
                    .flatMapThrowing { server in try self.join(client, server) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
    }

    var port: Int { listener.withLock { $0?.localAddress?.port } ?? 0 }
    var endpoint: Endpoint { .tcp("127.0.0.1", port) }
    private var target: Int { state.withLock { $0.target } }

    /// Connections made from now on go there.
    func retarget(_ port: Int) { state.withLock { $0.target = port } }

    /// What happens to each frame from now on.
    func rule(_ rule: @escaping Rule) { state.withLock { $0.rule = rule } }
    func pass() { rule { _ in .pass } }

    /// How many frames of a type were seen, whatever became of them.
    func count(_ type: FrameType) -> Int { state.withLock { $0.counts[type] ?? 0 } }

    /// Lets the held frames go on, in order.
    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            return state.held
        }
        for frame in held { frame() }
    }

    /// Says something to the servers in place of the clients.
    func say(_ bytes: [UInt8]) {
        for pair in state.withLock({ $0.pairs.values.map { $0 } }) where pair.client.isActive {
            pair.server.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        }
    }

    /// Ends all connections, or only their client's side: the server does not notice then.
    func cut(clientSideOnly: Bool = false) {
        if clientSideOnly { state.withLock { $0.isSilent = true } }
        for pair in state.withLock({ $0.pairs.values.map { $0 } }) {
            pair.client.close(promise: nil)
            if !clientSideOnly { pair.server.close(promise: nil) }
        }
    }

    /// Moves every client to another server.
    func move(to port: Int) {
        retarget(port)
        cut()
    }

    /// Stops reading what the servers send, or goes on.
    func holdServer(_ isHeld: Bool) {
        let servers = state.withLock { state in
            state.isHoldingServer = isHeld
            return state.pairs.values.map(\.server)
        }
        if !isHeld { for server in servers { server.read() } }
    }

    func stop() async {
        try? await listener.withLock { $0 }?.close().get()
        cut()
    }

    private func join(_ client: any Channel, _ server: any Channel) throws {
        let target = server.remoteAddress?.port ?? 0
        state.withLock { $0.pairs[ObjectIdentifier(client)] = (client, server) }
        try client.pipeline.syncOperations.addHandler(Side(self, client, server, isServer: false, target))
        try server.pipeline.syncOperations.addHandler(Side(self, server, client, isServer: true, target))
        client.closeFuture.whenComplete { [state = StateBox(self)] _ in state.forget(client) }
        server.read()  // the client's side is not active yet, and reads when it is
    }

    /// Lets closures refer to the proxy without keeping it.
    private struct StateBox: Sendable {
        weak let proxy: FrameProxy?
        init(_ proxy: FrameProxy) { self.proxy = proxy }
        func forget(_ client: any Channel) {
            proxy?.state.withLock { state in
                if state.pairs[ObjectIdentifier(client)]?.server.isActive != true {
                    state.pairs[ObjectIdentifier(client)] = nil
                }
            }
        }
    }

    private func judge(_ frame: Frame) -> Action {
        let rule = state.withLock { state in
            state.counts[frame.type, default: 0] += 1
            return state.rule
        }
        return rule(frame)
    }

    /// One side of a connection: cuts frames and hands them to the other.
    private final class Side: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let proxy: FrameProxy
        private let channel: any Channel
        private let other: any Channel
        private let isServer: Bool
        private let target: Int
        private var pending = ByteBuffer()
        private var isCut = false
        /// What passed of the present batch, and whether it is to pass again.
        private var batch: [[UInt8]] = []
        private var repeatsBatch = false

        init(_ proxy: FrameProxy, _ channel: any Channel, _ other: any Channel, isServer: Bool, _ target: Int) {
            (self.proxy, self.channel, self.other) = (proxy, channel, other)
            (self.isServer, self.target) = (isServer, target)
        }

        func channelActive(context: ChannelHandlerContext) {
            context.fireChannelActive()
            context.read()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var buffer = unwrapInboundIn(data)
            pending.writeBuffer(&buffer)
            while !isCut, let length = pending.getInteger(at: pending.readerIndex, as: UInt32.self).map(Int.init),
                let bytes = pending.readBytes(length: 4 + length)
            {
                forward(bytes)
            }
            if repeatsBatch { for bytes in batch { send(bytes) } }
            (batch, repeatsBatch) = ([], false)
            other.flush()
        }

        private func forward(_ bytes: [UInt8]) {
            guard bytes.count > 4, let type = FrameType(rawValue: bytes[4]) else { return send(bytes) }
            let frame = Frame(isFromServer: isServer, type: type, bytes: bytes, target: target)
            let action = proxy.judge(frame)
            repeatsBatch = repeatsBatch || action == .batchTwice
            batch.append(bytes)
            switch action {
            case .pass, .batchTwice: send(bytes)
            case .drop: break
            case .twice:
                send(bytes)
                send(bytes)
            case .hold:
                let other = other
                proxy.state.withLock {
                    $0.held.append { other.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
                }
            case .cut: cut()
            case .passAndCut:
                send(bytes)
                other.flush()
                cut()
            }
        }

        private func send(_ bytes: [UInt8]) { other.write(ByteBuffer(bytes: bytes), promise: nil) }

        private func cut() {
            isCut = true
            channel.close(promise: nil)
            other.close(promise: nil)
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            if !(isServer && proxy.state.withLock({ $0.isHoldingServer })) { context.read() }
        }

        func channelInactive(context: ChannelHandlerContext) {
            if isServer || !proxy.state.withLock({ $0.isSilent }) { other.close(promise: nil) }
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { channel.close(promise: nil) }
    }
}
