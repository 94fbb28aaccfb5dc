import RecallCore
import RecallCrypto
import RecallTesting

/// A history as a test writes it down: contents, and the clock each read if it did. Positions and receipts follow.
struct Story: Hashable {
    struct Line: Hashable {
        var text: String
        var clock: Int64?
    }
    var lines: [Line] = []

    init(_ lines: (String, Int64?)...) { self.lines = lines.map { Line(text: $0.0, clock: $0.1) } }

    var count: Int { lines.count }
    func prefix(_ count: Int) -> Story {
        var story = Story()
        story.lines = Array(lines.prefix(count))
        return story
    }

    /// The positions from the start on, the start included.
    func positions(_ keys: SessionKeys) -> [Position] {
        let sealer = Sealer(vector: keys.vector, Forge.cryptography)
        var positions = [Position.start]
        for (offset, line) in lines.enumerated() {
            let before = positions[offset]
            let number = SequenceNumber(UInt64(offset + 1))
            let determinants = line.clock.map { Determinants(clock: WallTime(nanoseconds: $0)).encoded } ?? []
            let content = Array(line.text.utf8)
            positions.append(
                Position(
                    number: number, seal: sealer.seal(.update, content.span.bytes, number: number, after: before.seal),
                    inputs: Forge.cryptography.inputs(determinants.span.bytes, number: number, after: before.inputs)))
        }
        return positions
    }

    func receipt(_ keys: SessionKeys) -> Receipt? {
        guard let end = positions(keys).last, count > 0 else { return nil }
        return keys.makeReceipt(
            end, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 1), Forge.cryptography)
    }

    var messages: [LoggedMessage] {
        lines.enumerated().map { offset, line in
            LoggedMessage(
                number: SequenceNumber(UInt64(offset + 1)), content: Array(line.text.utf8),
                determinants: line.clock.map { Determinants(clock: WallTime(nanoseconds: $0)).encoded } ?? [])
        }
    }
}

/// A client made of frames alone, which may say anything: it holds the server's keys.
final class Peer {
    static let session = SessionID(high: 1 << 48, low: 1)
    let network: CoreNetwork
    let server: CoreServer
    let connection: CoreConnection
    let keys: SessionKeys
    let session: SessionID
    private(set) var stream = StreamID(0)
    private var nonce = Digest()
    private(set) var recall = RecallID(0)

    init(_ network: CoreNetwork, session: SessionID = Peer.session) {
        (self.network, self.session) = (network, session)
        server = network.servers[0]
        keys = Forge.keys(session: session)
        connection = network.connect(network.client("peer"), to: server)
        network.deliverToServer(connection)
        _ = hear()
    }

    /// Pumps the server and reads what it says, one word for each frame.
    @discardableResult
    func hear() -> [String] {
        while server.pump() {}
        defer { connection.toClient = [] }
        return connection.toClient.compactMap { try? describe($0) }.filter { !$0.isEmpty }
    }

    private func describe(_ body: [UInt8]) throws -> String {
        let frame = try VectorFrame.read(body, fromServer: true)
        switch frame.fields {
        case let hello as ServerHello:
            nonce = hello.nonce
            return ""
        case let frame as Acknowledgement: return "ack \(frame.number)"
        case let frame as Reply: return "reply \(frame.number)"
        case is Attached: return "attached"
        case let frame as RecallRequest:
            recall = frame.recall
            switch frame.origin {
            case .after(let position): return "recall after \(position.number)"
            case .newest: return "recall newest"
            case .older: return "recall older"
            }
        case let frame as Offer:
            return (frame.adoption == nil ? "offer " : "adopt ") + "\(frame.header.position.number)"
        case is OfferSegment: return ""
        case is Gone: return "gone"
        case is Pong: return "pong"
        case let frame as Refusal: return (frame.stream == .connection ? "closing " : "refused ") + "\(frame.code)"
        default: return "\(body.first ?? 0)"
        }
    }

    func say<F: FrameFields>(_ fields: F, tail: (inout ByteWriter) -> Void = { _ in }) {
        prepare(fields, tail: tail)
        deliver()
    }

    private var prepared: [[UInt8]] = []

    /// Makes a frame to be delivered later.
    private func prepare<F: FrameFields>(_ fields: F, tail: (inout ByteWriter) -> Void = { _ in }) {
        var writer = ByteWriter()
        writer.frame(fields, tail: tail)
        prepared.append(Array(writer.bytes.dropFirst(4)))
    }

    func deliver() {
        for frame in prepared { server.receive(connection, frame) }
        prepared = []
    }

    // MARK: What a client says

    /// Attaches with a log that has these lines, the first so many of them acknowledged.
    func attach(
        _ log: Story, acknowledged: Int, spoilLeaf: Bool = false, spoilReceipt: Bool = false,
        checkpoint: (number: SequenceNumber, byteCount: UInt64)? = nil, deliver: Bool = true
    ) {
        stream = StreamID(stream.rawValue + 1)
        var receipt = log.prefix(acknowledged).receipt(keys)
        if spoilReceipt { receipt?.mac = Digest() }
        let last = log.positions(keys).last ?? .start
        let claim = AttachClaim(
            session: session, kindVersion: 1, kindName: CoreNetwork.kindName, receipt: receipt,
            last: last.number, lastSeal: last.seal, checkpoint: checkpoint, historyFollows: false)
        let leaf = claim.sealed(nonce: nonce, by: Sealer(vector: keys.vector, Forge.cryptography))
        prepare(Attach(stream: stream, leaf: spoilLeaf ? Digest() : leaf, claim: claim))
        if deliver { self.deliver() }
    }

    /// Sends the lines from `first` on as one run.
    func update(_ log: Story, from first: Int, seal: Digest? = nil) {
        let expected = seal ?? log.positions(keys).last?.seal ?? Digest()
        let number = SequenceNumber(UInt64(first))
        say(UpdateRun(stream: stream, confirmed: nil, first: number, seal: expected)) {
            for line in log.lines.dropFirst(first - 1) { $0.block(Array(line.text.utf8).span.bytes) }
        }
    }

    func confirm(_ position: Position) { say(Confirm(stream: stream, position: position)) }

    func request(on position: Position, leaf: Digest? = nil) {
        let content = Array("get".utf8)
        let sealer = Sealer(vector: keys.vector, Forge.cryptography)
        let right = sealer.seal(.request, content.span.bytes, number: position.number, after: position.seal)
        say(RequestLeaf(stream: stream, request: RequestID(1), number: position.number, leaf: leaf ?? right)) {
            $0.append(content.span.bytes)
        }
    }

    func historyStart(_ base: HistoryStart.Base, recall id: RecallID? = nil) {
        say(HistoryStart(stream: stream, recall: id ?? recall, base: base))
    }

    /// The lines after `base`, as one chunk and the last.
    func history(_ log: Story, after base: Int, recall id: RecallID? = nil) {
        guard let receipt = log.receipt(keys) else { return }
        let first = SequenceNumber(UInt64(base + 1))
        say(
            HistoryChunk(stream: stream, recall: id ?? recall, isLast: true, first: first, receipt: receipt)
        ) { writer in
            for message in log.messages.dropFirst(base) {
                writer.block(message.content.span.bytes)
                writer.block(message.determinants.span.bytes)
            }
        }
    }
}
