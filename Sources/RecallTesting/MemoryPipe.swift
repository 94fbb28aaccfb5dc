internal import NIOCore
internal import RecallClient
internal import RecallServer

/// One end of a connection within this process; each end is confined to its own event loop.
///
/// What was sent and not yet taken at the other end counts: past a bound the end is not writable, as a socket would be.
final class MemoryPipe {
    private static let high = 4 << 20
    private static let low = 1 << 20

    private let eventLoop: any EventLoop
    private var other: (loop: any EventLoop, end: NIOLoopBound<MemoryPipe>)?
    private var arrived: [ByteBuffer] = []
    private var underWay = 0
    private var isClosed = false
    private var isDelivering = false
    /// True once the other end has closed: what arrived before is still handed over.
    private var hasEnded = false

    var receive: (ByteBuffer) -> Void = { _ in }
    var batchEnded: () -> Void = {}
    var ended: () -> Void = {}
    var writabilityChanged: (Bool) -> Void = { _ in }
    /// False holds back what arrives.
    var mayRead: () -> Bool = { true }

    private(set) var isWritable = true

    init(on eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func join(_ end: NIOLoopBound<MemoryPipe>, on loop: any EventLoop) { other = (loop, end) }

    func send(_ bytes: ByteBuffer) {
        guard !isClosed, let other, bytes.readableBytes > 0 else { return }
        underWay += bytes.readableBytes
        if underWay > Self.high, isWritable {
            isWritable = false
            writabilityChanged(false)
        }
        other.loop.execute { other.end.value.arrive(bytes) }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        arrived = []
        if let other { other.loop.execute { other.end.value.end() } }
        // Nothing more is called back; whoever holds this end is let go.
        (receive, batchEnded, ended, mayRead, other) = ({ _ in }, {}, {}, { true }, nil)
        writabilityChanged = { _ in }
    }

    private func arrive(_ bytes: ByteBuffer) {
        guard !isClosed else { return }
        arrived.append(bytes)
        deliver()
    }

    private func end() {
        hasEnded = true
        deliver()
    }

    /// Hands over what arrived, as far as it is wanted.
    func deliver() {
        guard !isClosed, !isDelivering else { return }
        isDelivering = true
        var taken = 0
        while !arrived.isEmpty, !isClosed, mayRead() {
            let bytes = arrived.removeFirst()
            taken += bytes.readableBytes
            receive(bytes)
        }
        if taken > 0, !isClosed { batchEnded() }
        isDelivering = false
        if taken > 0, let other { other.loop.execute { [taken] in other.end.value.wasTaken(taken) } }
        if hasEnded, arrived.isEmpty, !isClosed {
            let ended = ended
            close()
            ended()
        }
    }

    private func wasTaken(_ count: Int) {
        underWay -= count
        guard !isWritable, underWay < Self.low else { return }
        isWritable = true
        writabilityChanged(true)
        deliver()
    }
}

/// The client's end.
final class MemoryConnection: ByteConnection {
    private let pipe: MemoryPipe
    private var isReading = true

    init(_ pipe: MemoryPipe, _ receiver: any ByteReceiver) {
        self.pipe = pipe
        pipe.receive = { receiver.received($0) }
        pipe.batchEnded = { receiver.batchEnded() }
        pipe.ended = { receiver.ended("the connection was closed") }
        pipe.mayRead = { [weak self] in self?.isReading ?? true }
    }

    func send(_ bytes: ByteBuffer) { pipe.send(bytes) }
    func close() { pipe.close() }

    func setReading(_ isReading: Bool) {
        self.isReading = isReading
        pipe.deliver()
    }
}

/// The server's end: while the client does not read what is written to it, nothing more is read from it.
final class MemoryTransport: PeerTransport {
    private let pipe: MemoryPipe
    init(_ pipe: MemoryPipe) { self.pipe = pipe }

    func begin(_ peer: any HandlerPeer) {
        pipe.receive = { peer.received($0) }
        pipe.batchEnded = { peer.batchEnded() }
        pipe.ended = { peer.ended() }
        pipe.writabilityChanged = { peer.writabilityChanged($0) }
        pipe.mayRead = { [unowned pipe] in pipe.isWritable && !peer.isHeld }
    }

    func write(_ bytes: ByteBuffer) { pipe.send(bytes) }
    func resumeReading() { pipe.deliver() }
    func close() { pipe.close() }
}
