internal import Recall
internal import RecallCore

/// Reads a log backwards, message by message, with the seals that the log does not store.
///
/// Holds one slice at a time: from a receipt's position, where the chain is known, to the next one kept.
struct SealedLog: Sendable {
    let log: any MessageLog
    let header: LogHeader
    let checkpoints: [Position]
    /// False if the log's first messages were forgotten, or it adopted a state and never had them.
    let reachesStart: Bool
    let cryptography: Cryptography

    /// The message with that number; nil before the log's first.
    func message(_ number: SequenceNumber) async throws -> SealedMessage? {
        guard number > .zero else { return nil }
        let base = try await base(before: number)
        guard let base else { return nil }
        var verifier = LogVerifier(vector: header.vector, base: base, cryptography)
        var start = base.number
        while true {
            let slice = try await log.slice(after: start, maximumBytes: WireLimits.receiptInterval)
            guard let last = slice.messages.last?.number else { return nil }
            let seals: [Digest]
            do { seals = try verifier.verify(slice) } catch {
                throw RecallError(.logDamaged, error.text)
            }
            if last >= number { return link(slice, seals, number) }
            if slice.receipt == nil { verifier.skip(slice) }
            start = last
        }
    }

    /// The last position before a number at which the log knows the chain.
    private func base(before number: SequenceNumber) async throws -> Position? {
        let limit = SequenceNumber(number.rawValue - 1)
        let receipt = try await log.receipt(atOrBefore: limit)?.position
        let known = (checkpoints + (receipt.map { [$0] } ?? [])).filter { $0.number <= limit }
        if let newest = known.max(by: { $0.number < $1.number }) { return newest }
        // With two checkpoints everything before the older one was forgotten.
        return checkpoints.count < 2 && reachesStart ? .start : nil
    }

    private func link(_ slice: LogSlice, _ seals: [Digest], _ number: SequenceNumber) -> SealedMessage? {
        guard let first = slice.messages.first?.number else { return nil }
        let before = SequenceNumber(first.rawValue - 1)
        var previous: SealedMessage.Previous = before == .zero ? .none : .onRequest { try await message(before) }
        var result: SealedMessage?
        for (message, seal) in zip(slice.messages, seals) where message.number <= number {
            let link = SealedMessage(
                number: message.number, seal: seal, content: message.content, determinants: message.determinants,
                previous: previous)
            previous = .carried(link)
            result = link
        }
        return result
    }
}
