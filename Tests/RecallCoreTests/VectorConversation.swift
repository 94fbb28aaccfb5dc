import RecallCore
import RecallCrypto
import Testing

/// Follows a session through the frames of its conversations and verifies all that is verifiable in them, with the
/// server's keys.
struct ConversationReader {
    private let crypto = Cryptography.swiftCrypto
    private let identity: SessionID
    private let keys: SessionKeys
    private let sealer: Sealer
    private let version: UInt32

    /// Up to where the log is acknowledged, and the digest of the replies up to there.
    private(set) var front = Position.start
    private var outputs = Digest()
    /// What was sent and not acknowledged: the seals from the update after `front` on.
    private var pending: [Digest] = []
    /// Segments that do not verify.
    var damagedSegments = 0

    private var nonce = Digest()
    private var claimed = Position.start
    private var asked = Position.start
    private var header: CheckpointHeader?
    private var history: HistoryReader?

    init(_ conversation: Vector) throws {
        let root = try conversation["keys"].digest("root")
        identity = try conversation["keys"]["session"].session
        keys = SessionKeys(root: root, vector: try conversation["keys"].digest("iv"), crypto)
        sealer = Sealer(vector: keys.vector, crypto)
        version = try conversation.integer("version")
    }

    mutating func follow(_ frame: VectorFrame) throws {
        switch frame.fields {
        case let hello as ServerHello: nonce = hello.nonce
        case let initiated as Initiated:
            #expect(initiated.session == identity)
            #expect(initiated.vector == keys.vector)
        case let attach as Attach: follow(attach)
        case let run as UpdateRun: try follow(run, frame.tail)
        case let confirm as Confirm: #expect(confirm.position == front)
        case let request as RequestLeaf: follow(request, frame.tail)
        case let acknowledgement as Acknowledgement: follow(acknowledgement, try frame.items)
        case let recall as RecallRequest: if case .after(let position) = recall.origin { asked = position }
        case let start as HistoryStart: follow(start)
        case let segment as HistorySegment: open(frame.tail, segment.index)
        case let chunk as HistoryChunk: try follow(chunk, frame.tail)
        case let offer as Offer:
            #expect(offer.header.position == front)
            #expect(offer.header.outputs == outputs)
            header = offer.header
        case let segment as OfferSegment: open(frame.tail, segment.index)
        case let kept as Kept: #expect(kept.position == header?.position)
        default: break
        }
    }

    private mutating func follow(_ attach: Attach) {
        #expect(attach.claim.session == identity)
        #expect(attach.claim.sealed(nonce: nonce, by: sealer) == attach.leaf)
        if let receipt = attach.claim.receipt {
            #expect(keys.verify(receipt, kindVersion: version, crypto))
            // The log may have grown between two conversations.
            if receipt.position.number > front.number { (front, outputs) = (receipt.position, receipt.outputs) }
            #expect(receipt.position == front)
        }
        claimed = attach.claim.acknowledged
        pending = []
    }

    private mutating func follow(_ run: UpdateRun, _ tail: [UInt8]) throws {
        if let confirmed = run.confirmed { #expect(confirmed == front) }
        #expect(run.first == front.number.advanced(by: pending.count + 1))
        let sealed = try SealedRun(
            tail.span.bytes, first: run.first, after: pending.last ?? front.seal, expected: run.seal, sealer)
        pending += try #require(sealed).seals
    }

    private func follow(_ request: RequestLeaf, _ content: [UInt8]) {
        #expect(request.number == front.number.advanced(by: pending.count))
        let leaf = sealer.seal(
            .request, content.span.bytes, number: request.number, after: pending.last ?? front.seal)
        #expect(leaf == request.leaf)
    }

    private mutating func follow(
        _ frame: Acknowledgement, _ items: [(index: UInt32, determinants: [UInt8], reply: [UInt8])]
    ) {
        #expect(frame.first == front.number.next)
        for item in items {
            let number = frame.first.advanced(by: Int(item.index))
            front.inputs = crypto.inputs(item.determinants.span.bytes, number: number, after: front.inputs)
            outputs = crypto.outputs(item.reply.span.bytes, number: number, after: outputs)
        }
        #expect(front.inputs == frame.inputs)
        #expect(outputs == frame.outputs)
        let count = frame.number.distance(from: front.number)
        guard count <= pending.count, count > 0 else {
            Issue.record("updates up to \(frame.number) are acknowledged and were not sent")
            return
        }
        front = Position(number: frame.number, seal: pending[count - 1], inputs: front.inputs)
        pending.removeFirst(count)
        let receipt = keys.makeReceipt(front, outputs: outputs, kindVersion: version, time: frame.time, crypto)
        #expect(receipt.mac == frame.mac)
    }

    private mutating func follow(_ start: HistoryStart) {
        let base: Position
        switch start.base {
        case .gap: base = asked
        case .start: base = .start
        case .checkpoint(let found): (header, base) = (found, found.position)
        }
        history = HistoryReader(after: base, keys: keys, kindVersion: version, crypto)
    }

    private mutating func open(_ segment: [UInt8], _ index: UInt32) {
        guard let header, index < header.segmentCount else {
            Issue.record("segment \(index) belongs to no checkpoint")
            return
        }
        if header.open(segment.span.bytes, segment: index, keys, crypto) == nil { damagedSegments += 1 }
    }

    private mutating func follow(_ chunk: HistoryChunk, _ tail: [UInt8]) throws {
        var reader = try #require(history)
        _ = try reader.verify(chunk, tail)
        history = reader
        if chunk.isLast { #expect(reader.front == claimed) }
    }
}
