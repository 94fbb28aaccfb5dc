internal import NIOCore
internal import RecallClient
internal import RecallServer

/// A connection between a client's process and a server's. Confined to the simulation's thread.
final class SimulatedConnection: @unchecked Sendable {
    let id: Int
    let client: SimulatedProcess
    let server: SimulatedProcess
    let up: ByteStream
    let down: ByteStream
    /// Each side's own view.
    private(set) var isOpenAtClient = true
    private(set) var isOpenAtServer = true
    /// What the client sent at first, as far as it is remembered.
    private(set) var recorded: [ByteBuffer] = []
    private var recordedBytes = 0
    let tap: WireTap
    /// The server's life that it leads to.
    weak var life: ServerLife?
    /// The streams that sessions attached on, by their numbers.
    private(set) var streams: [UInt32: WireStream] = [:]
    private var newestStreams: [ObjectIdentifier: UInt32] = [:]
    /// Streams that their session has left for another one on this connection.
    private var leftStreams: Set<UInt32> = []
    /// The last frames that each side sent, each with its stream.
    private var framesUp: [StreamFrame] = []
    private var framesDown: [StreamFrame] = []
    typealias StreamFrame = (stream: UInt32, bytes: [UInt8])

    init(
        _ id: Int, _ timeline: Timeline, client: SimulatedProcess, server: SimulatedProcess, _ tap: WireTap,
        weather: Weather?, random: inout SeededGenerator
    ) {
        (self.id, self.client, self.server, self.tap) = (id, client, server, tap)
        let latency = [20_000, 200_000, 2_000_000, 20_000_000].randomElement(using: &random) ?? 200_000
        let jitter = latency / 2 + 1
        up = ByteStream(
            timeline, from: client, to: server, latency: Int64(latency), jitter: Int64(jitter), seed: random.next(),
            weather: weather)
        down = ByteStream(
            timeline, from: server, to: client, latency: Int64(latency), jitter: Int64(jitter), seed: random.next(),
            weather: weather)
        up.tap = { [unowned self] in
            if recordedBytes < 64 << 10 {
                recorded.append($0)
                recordedBytes += $0.readableBytes
            }
            tap.sentToServer($0)
            if weather?.strikes(.repeatDelivery) == true { repeatFrame(weather, up, lateFramesUp) }
            return false
        }
        down.tap = { [unowned self] in
            let isAcknowledgement = tap.sentToClient($0)
            if weather?.strikes(.repeatDelivery) == true { repeatFrame(weather, down, lateFramesDown) }
            return isAcknowledgement
        }
        guard let weather else { return }
        up.breaks = { [weak down] in down?.sever(tellsAfter: weather.delay()) }
        down.breaks = { [weak up] in up?.sever(tellsAfter: weather.delay()) }
        up.isLeft = { [weak down] in down?.sever(tellsAfter: 0) }
    }

    /// A frame of an earlier attach comes again.
    private func repeatFrame(_ weather: Weather?, _ way: ByteStream, _ late: [StreamFrame]) {
        guard let weather, !late.isEmpty else { return }
        if way.inject(late[weather.draw(below: late.count)].bytes) { weather.count(.repeatDelivery) }
    }

    var isOver: Bool { !isOpenAtClient && !isOpenAtServer }

    /// Keeps a frame for the day when it comes late.
    func remember(_ whole: ArraySlice<UInt8>, _ frame: WireTap.Frame, toServer: Bool) {
        guard let stream = frame.stream, whole.count < 4096 else { return }
        if toServer {
            Self.remember((stream, Array(whole)), in: &framesUp)
        } else {
            Self.remember((stream, Array(whole)), in: &framesDown)
        }
    }

    private static func remember(_ frame: StreamFrame, in frames: inout [StreamFrame]) {
        if frames.count >= 64 { frames.removeFirst() }
        frames.append(frame)
    }

    func attached(_ number: UInt32, _ member: Member) -> WireStream {
        let stream = WireStream(of: member, to: server.name)
        streams[number] = stream
        if let left = newestStreams.updateValue(number, forKey: ObjectIdentifier(member)) { leftStreams.insert(left) }
        return stream
    }

    /// What may come late, for its session does not wait for it any more, and nobody answers it.
    var lateFramesUp: [StreamFrame] { leftStreams.isEmpty ? [] : framesUp.filter { leftStreams.contains($0.stream) } }
    var lateFramesDown: [StreamFrame] {
        leftStreams.isEmpty ? [] : framesDown.filter { leftStreams.contains($0.stream) }
    }

    // MARK: The ends

    func open(_ peer: any HandlerPeer) {
        up.receive = { peer.received($0) }
        up.batchEnded = { peer.batchEnded() }
        up.ended = { [self] in
            isOpenAtServer = false
            down.closeBySender()
            peer.ended()
        }
        up.mayRead = { [down] in down.isWritable && !peer.isHeld }
        down.writabilityChanged = { [up] in
            peer.writabilityChanged($0)
            if $0 { up.deliver() }
        }
    }

    func open(_ receiver: any ByteReceiver) {
        down.receive = { receiver.received($0) }
        down.batchEnded = { receiver.batchEnded() }
        down.ended = { [self] in
            isOpenAtClient = false
            up.closeBySender()
            receiver.ended("the connection was closed")
        }
    }

    func closeAtClient() {
        guard isOpenAtClient else { return }
        isOpenAtClient = false
        up.closeBySender()
        down.closeByReceiver()
    }

    func closeAtServer() {
        guard isOpenAtServer else { return }
        isOpenAtServer = false
        down.closeBySender()
        up.closeByReceiver()
    }

    // MARK: Faults

    /// Both sides have it open, and what they send arrives.
    var isWhole: Bool { isOpenAtClient && isOpenAtServer && !up.isSevered && !down.isSevered }

    /// Cut in the middle: what is under way is lost, and each side hears of it after a while, or never.
    func cut(clientHearsAfter clientDelay: Int64?, serverHearsAfter serverDelay: Int64?) {
        up.sever(tellsAfter: serverDelay)
        down.sever(tellsAfter: clientDelay)
    }

    /// The server's process is dead. What it sent may have gone out before.
    func serverDied(losesSent: Bool, clientHearsAfter delay: Int64?) {
        isOpenAtServer = false
        up.stopReceiving()
        if losesSent {
            down.sever(tellsAfter: delay)
        } else if delay != nil {
            down.closeBySender()
        }
        down.writabilityChanged = { _ in }
    }

    /// The client's process is dead. What it sent may have gone out before.
    func clientDied(losesSent: Bool, serverHearsAfter delay: Int64?) {
        isOpenAtClient = false
        down.stopReceiving()
        if losesSent {
            up.sever(tellsAfter: delay)
        } else if delay != nil {
            up.closeBySender()
        }
    }
}

/// The client's end.
final class SimulatedClientEnd: ByteConnection {
    private let connection: SimulatedConnection

    init(_ connection: SimulatedConnection) { self.connection = connection }

    func send(_ bytes: ByteBuffer) { if isOpen { connection.up.send(bytes) } }
    func setReading(_ isReading: Bool) {}
    func close() { if isOpen { connection.closeAtClient() } }

    private var isOpen: Bool { connection.isOpenAtClient && !connection.client.isEnding }
}

/// The server's end: while the client does not read what is written to it, nothing more is read from it.
final class SimulatedServerEnd: PeerTransport {
    private let connection: SimulatedConnection

    init(_ connection: SimulatedConnection) { self.connection = connection }

    func write(_ bytes: ByteBuffer) { if connection.isOpenAtServer { connection.down.send(bytes) } }
    func resumeReading() { connection.up.deliver() }
    func close() { connection.closeAtServer() }
}
