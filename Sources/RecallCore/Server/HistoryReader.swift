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

    package var heldBytes: Int { bytes.count + messages.count * MemoryLayout<VerifiedMessage>.stride }
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
    package mutating func verify(_ chunk: HistoryChunk, _ raw: RawSpan) throws(HistoryFault) -> VerifiedChunk {
        let messages: [VerifiedMessage]
        do throws(WireError) { messages = try read(chunk, raw) } catch {
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
                return VerifiedChunk(
                    bytes: raw.array, messages: messages, receipt: receipt, isLast: chunk.isLast)
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
        return VerifiedChunk(bytes: raw.array, messages: messages, receipt: receipt, isLast: chunk.isLast)
    }

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
