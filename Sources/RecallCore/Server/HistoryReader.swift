/// One verified message of a history: where it lies in its chunk.
package struct VerifiedMessage: Sendable {
    package var number: SequenceNumber
    package var seal: Digest
    package var content: Range<Int>
    package var determinants: Range<Int>
}

/// A chunk of history whose seals, determinants and receipt were verified; no user code has seen it yet.
///
/// Little beside the bytes, since another core than the one that verified may go through it.
package struct VerifiedChunk: Sendable {
    package let bytes: [UInt8]
    /// Where the chunk begins.
    package let base: Position
    private let seals: [Digest]
    package let receipt: Receipt?
    package let isLast: Bool
    /// How many of its messages were applied, and where the next one lies.
    package private(set) var done = 0
    private var offset = 0
    /// True once it is known to fit what the server knows of the session.
    var isAccepted = false

    init(bytes: [UInt8], after base: Position, seals: [Digest], receipt: Receipt?, isLast: Bool) {
        (self.bytes, self.base, self.seals, self.receipt, self.isLast) = (bytes, base, seals, receipt, isLast)
    }

    package var count: Int { seals.count }
    package var heldBytes: Int { bytes.count + seals.count * MemoryLayout<Digest>.stride }
    package var first: SequenceNumber { base.number.next }
    /// Where the history stands after it.
    package var end: Position { receipt?.position ?? base }

    /// The next message to apply; nil after the last.
    package mutating func next() -> VerifiedMessage? {
        guard done < seals.count else { return nil }
        var reader = ByteReader(bytes.span.bytes.extracting(droppingFirst: offset))
        // It was read before, so it does not fail.
        guard let content = try? reader.block(limit: WireLimits.message).byteCount,
            let determinants = try? reader.block(limit: WireLimits.determinants).byteCount
        else { return nil }
        let start = offset + 4
        let end = start + content + 4
        let message = VerifiedMessage(
            number: first.advanced(by: done), seal: seals[done], content: start..<(start + content),
            determinants: end..<(end + determinants))
        offset = end + determinants
        done += 1
        return message
    }

    /// The position at one of its messages, before any was applied; nil if it has none of that number.
    func position(at number: SequenceNumber, _ cryptography: Cryptography) -> Position? {
        var (rest, inputs) = (self, base.inputs)
        while let message = rest.next(), message.number <= number {
            let determinants = bytes.span.bytes.extracting(message.determinants)
            inputs = cryptography.inputs(determinants, number: message.number, after: inputs)
            guard message.number < number else {
                return Position(number: number, seal: message.seal, inputs: inputs)
            }
        }
        return nil
    }
}

/// A chunk that arrived, and what is known of it.
enum ArrivedChunk: Sendable {
    /// It is being verified, on another thread perhaps.
    case verifying(ChunkVerification)
    case verified(VerifiedChunk)
    case failed(HistoryFault)

    init(_ result: Result<VerifiedChunk, HistoryFault>) {
        switch result {
        case .success(let chunk): self = .verified(chunk)
        case .failure(let fault): self = .failed(fault)
        }
    }

    var heldBytes: Int {
        switch self {
        case .verifying(let verification): verification.byteCount
        case .verified(let chunk): chunk.heldBytes
        case .failed: 0
        }
    }

    var verification: ChunkVerification? { if case .verifying(let verification) = self { verification } else { nil } }
}

/// Why a history is refused, and which updates it is about.
package struct HistoryFault: Error, Sendable, Hashable {
    package var code: FaultCode
    package var first: SequenceNumber
    package var last: SequenceNumber
    package var text: String

    package init(_ code: FaultCode, _ first: SequenceNumber, _ last: SequenceNumber, _ text: String) {
        (self.code, self.first, self.last, self.text) = (code, first, last, text)
    }
}

/// The verification of one chunk: all that it takes, so that it can be done on any thread, beside those of its
/// neighbours.
package struct ChunkVerification: Sendable {
    package let slot: SlotID
    /// Told back with the result; never reused.
    let ticket: UInt64
    /// When the chunk came.
    let start: Instant
    private let reader: HistoryReader
    private let chunk: HistoryChunk
    private let bytes: [UInt8]

    init(
        _ slot: SlotID, ticket: UInt64, at start: Instant, _ reader: HistoryReader, _ chunk: HistoryChunk,
        _ bytes: [UInt8]
    ) {
        (self.slot, self.ticket, self.start) = (slot, ticket, start)
        (self.reader, self.chunk, self.bytes) = (reader, chunk, bytes)
    }

    package var byteCount: Int { bytes.count }

    package func run() -> Result<VerifiedChunk, HistoryFault> {
        var reader = reader
        return Result { () throws(HistoryFault) in try reader.verify(chunk, bytes) }
    }
}

/// Verifies a history as it arrives, chunk by chunk.
package struct HistoryReader: Sendable {
    /// Up to where the history was verified, if that of the chunks that were passed ends well.
    package private(set) var front: Position
    private let keys: SessionKeys
    private let sealer: Sealer
    private let kindVersion: UInt32
    private let cryptography: Cryptography

    package init(after base: Position, keys: SessionKeys, kindVersion: UInt32, _ cryptography: Cryptography) {
        (front, self.keys, self.kindVersion, self.cryptography) = (base, keys, kindVersion, cryptography)
        sealer = Sealer(vector: keys.vector, cryptography)
    }

    /// Verifies the chunk that follows: its seals and determinants must lead to its receipt's position, and the
    /// receipt's code must verify. Nothing of it counts before that.
    package mutating func verify(_ chunk: HistoryChunk, _ bytes: [UInt8]) throws(HistoryFault) -> VerifiedChunk {
        let end: Position
        let seals: [Digest]
        do throws(WireError) { (end, seals) = try read(chunk, bytes.span.bytes) } catch {
            throw HistoryFault(.malformedFrame, chunk.first, chunk.first, "a history chunk is \(error)")
        }
        let verified = VerifiedChunk(
            bytes: bytes, after: front, seals: seals, receipt: chunk.receipt, isLast: chunk.isLast)
        let last = end.number
        guard let receipt = chunk.receipt else {
            guard seals.isEmpty, chunk.isLast, front == .start else {
                throw HistoryFault(.badReceipt, chunk.first, last, "updates \(chunk.first)-\(last) end at no receipt")
            }
            return verified
        }
        guard !seals.isEmpty || chunk.isLast else {
            // It would be no progress, and could come for ever.
            throw HistoryFault(.malformedFrame, chunk.first, chunk.first, "a history chunk is empty and not the last")
        }
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.historyNotVerified) {
                front = receipt.position
                return verified
            }
        #endif
        guard receipt.position.number == last, receipt.position.seal == end.seal else {
            throw HistoryFault(
                .brokenChain, chunk.first, last, "updates \(chunk.first)-\(last) do not have the seal of their receipt")
        }
        guard receipt.position.inputs == end.inputs else {
            throw HistoryFault(
                .brokenChain, chunk.first, last,
                "the determinants of updates \(chunk.first)-\(last) are not those of their receipt")
        }
        guard keys.verify(receipt, kindVersion: kindVersion, cryptography) else {
            throw HistoryFault(.badReceipt, chunk.first, last, "the receipt at update \(last) does not verify")
        }
        front = end
        return verified
    }

    /// Goes on behind a chunk before it is verified: each can be verified by itself from the receipt of the one before.
    /// What follows from that counts only once all chunks before have been verified.
    mutating func pass(_ chunk: HistoryChunk) { front = chunk.receipt?.position ?? front }

    private func read(
        _ chunk: HistoryChunk, _ raw: RawSpan
    ) throws(WireError) -> (end: Position, seals: [Digest]) {
        guard chunk.first == front.number.next else { throw .malformed }
        var reader = ByteReader(raw)
        var end = front
        var seals: [Digest] = []
        while reader.remaining > 0 {
            let content = try reader.block(limit: WireLimits.message)
            guard content.byteCount > 0 else { throw .malformed }
            let determinants = try reader.block(limit: WireLimits.determinants)
            let number = end.number.next
            end = Position(
                number: number, seal: sealer.seal(.update, content, number: number, after: end.seal),
                inputs: cryptography.inputs(determinants, number: number, after: end.inputs))
            seals.append(end.seal)
        }
        return (end, seals)
    }
}
