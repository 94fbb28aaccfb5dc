/// One verified message of a history.
package struct VerifiedMessage: Sendable {
    package var content: Range<Int>
    package var determinants: Range<Int>
    package var position: Position
}

/// A chunk of history whose seals, determinants and receipt were verified; no user code has seen it yet.
package struct VerifiedChunk: Sendable {
    package let bytes: [UInt8]
    package let messages: [VerifiedMessage]
    package let receipt: Receipt?
    package let isLast: Bool
    /// How many of them were applied.
    package var done = 0
    /// True once it is known to fit what the server knows of the session.
    var isAccepted = false

    package var heldBytes: Int { bytes.count + messages.count * MemoryLayout<VerifiedMessage>.stride }
    /// Where the history stands after it.
    var end: Position { receipt?.position ?? .start }
}

/// A chunk that arrived, and what is known of it.
enum ArrivedChunk: Sendable {
    /// It is being verified, on another thread perhaps.
    case verifying(ticket: UInt64, byteCount: Int)
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
        case .verifying(_, let byteCount): byteCount
        case .verified(let chunk): chunk.heldBytes
        case .failed: 0
        }
    }

    var ticket: UInt64? { if case .verifying(let ticket, _) = self { ticket } else { nil } }
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
    private let reader: HistoryReader
    private let chunk: HistoryChunk
    private let bytes: [UInt8]

    init(_ slot: SlotID, ticket: UInt64, _ reader: HistoryReader, _ chunk: HistoryChunk, _ bytes: [UInt8]) {
        (self.slot, self.ticket, self.reader, self.chunk, self.bytes) = (slot, ticket, reader, chunk, bytes)
    }

    package var byteCount: Int { bytes.count }

    package func run() -> Result<VerifiedChunk, HistoryFault> {
        var reader = reader
        return Result { () throws(HistoryFault) in try reader.verify(chunk, bytes) }
    }
}

/// Verifies a history as it arrives, chunk by chunk. Its memory is that of one chunk.
package struct HistoryReader: Sendable {
    /// Up to where the history was verified.
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
        let messages: [VerifiedMessage]
        do throws(WireError) { messages = try read(chunk, bytes.span.bytes) } catch {
            throw HistoryFault(.malformedFrame, chunk.first, chunk.first, "a history chunk is \(error)")
        }
        let end = messages.last?.position ?? front
        let last = end.number
        guard let receipt = chunk.receipt else {
            guard messages.isEmpty, chunk.isLast, front == .start else {
                throw HistoryFault(.badReceipt, chunk.first, last, "updates \(chunk.first)-\(last) end at no receipt")
            }
            return VerifiedChunk(bytes: [], messages: [], receipt: nil, isLast: true)
        }
        guard !messages.isEmpty || chunk.isLast else {
            // It would be no progress, and could come for ever.
            throw HistoryFault(.malformedFrame, chunk.first, chunk.first, "a history chunk is empty and not the last")
        }
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.historyNotVerified) {
                front = receipt.position
                return VerifiedChunk(bytes: bytes, messages: messages, receipt: receipt, isLast: chunk.isLast)
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
        return VerifiedChunk(bytes: bytes, messages: messages, receipt: receipt, isLast: chunk.isLast)
    }

    /// Goes on behind a chunk before it is verified: each can be verified by itself from the receipt of the one before.
    /// What follows from that counts only once all chunks before have been verified.
    mutating func pass(_ chunk: HistoryChunk) { front = chunk.receipt?.position ?? front }

    private func read(_ chunk: HistoryChunk, _ raw: RawSpan) throws(WireError) -> [VerifiedMessage] {
        guard chunk.first == front.number.next else { throw .malformed }
        var reader = ByteReader(raw)
        var position = front
        var messages: [VerifiedMessage] = []
        while reader.remaining > 0 {
            let content = try reader.block(limit: WireLimits.message)
            guard content.byteCount > 0 else { throw .malformed }
            let contentEnd = raw.byteCount - reader.remaining
            let determinants = try reader.block(limit: WireLimits.determinants)
            let end = raw.byteCount - reader.remaining
            let number = position.number.next
            position = Position(
                number: number, seal: sealer.seal(.update, content, number: number, after: position.seal),
                inputs: cryptography.inputs(determinants, number: number, after: position.inputs))
            messages.append(
                VerifiedMessage(
                    content: (contentEnd - content.byteCount)..<contentEnd,
                    determinants: (end - determinants.byteCount)..<end, position: position))
        }
        return messages
    }
}
