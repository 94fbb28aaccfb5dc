/// Where a log stops being what its receipts say.
package struct LogFault: Error, Sendable, Hashable {
    /// The updates among which the fault lies.
    package var first: SequenceNumber
    package var last: SequenceNumber
    package var text: String
}

/// Recomputes a log's chain slice by slice, offline: seals and determinants must lead to each receipt's position.
///
/// A receipt's own code can be verified only by a server that holds the key.
package struct LogVerifier: Sendable {
    /// Up to where the log was verified: the last receipt, or the base.
    package private(set) var front: Position
    private let sealer: Sealer
    private let cryptography: Cryptography

    /// - Parameter base: the newest checkpoint's position, or the start.
    package init(vector: Digest, base: Position, _ cryptography: Cryptography) {
        (front, self.cryptography) = (base, cryptography)
        sealer = Sealer(vector: vector, cryptography)
    }

    /// Verifies the slice that follows; gives the seal of each of its messages.
    package mutating func verify(_ slice: LogSlice) throws(LogFault) -> [Digest] {
        var position = front
        var seals: [Digest] = []
        seals.reserveCapacity(slice.messages.count)
        for message in slice.messages {
            let number = position.number.next
            guard message.number == number else {
                throw LogFault(first: number, last: message.number, text: "update \(number) is missing")
            }
            position = extended(position, by: message)
            seals.append(position.seal)
        }
        guard let receipt = slice.receipt else { return seals }
        let first = slice.messages.first?.number ?? position.number
        guard receipt.position == position else {
            throw LogFault(
                first: first, last: receipt.position.number,
                text: "updates \(first)-\(receipt.position.number) do not lead to the receipt's seal and determinants")
        }
        front = position
        return seals
    }

    /// Goes on behind a slice that ends at no receipt: unacknowledged messages have no determinants.
    package mutating func skip(_ slice: LogSlice) {
        for message in slice.messages { front = extended(front, by: message) }
    }

    /// The position at `number` within a slice that begins after the front; nil if it does not reach that far.
    package func position(at number: SequenceNumber, in slice: LogSlice) -> Position? {
        var position = front
        for message in slice.messages where position.number < number {
            guard message.number == position.number.next else { return nil }
            position = extended(position, by: message)
        }
        return position.number == number ? position : nil
    }

    private func extended(_ position: Position, by message: LoggedMessage) -> Position {
        let number = position.number.next
        return Position(
            number: number,
            seal: sealer.seal(.update, message.content.span.bytes, number: number, after: position.seal),
            inputs: cryptography.inputs(message.determinants.span.bytes, number: number, after: position.inputs))
    }
}

/// What a client finds in its log when it opens it, verified.
package struct RecoveredLog: Sendable {
    package struct CheckpointPlace: Sendable, Hashable {
        package var position: Position
        package var byteCount: Int
        package init(position: Position, byteCount: Int) { (self.position, self.byteCount) = (position, byteCount) }
    }

    package var header: LogHeader
    /// The newest receipt.
    package var receipt: Receipt?
    /// Newest first, at most two.
    package var checkpoints: [CheckpointPlace] = []
    /// False if the first messages were forgotten, or never known.
    package var reachesStart = true
    /// Messages after the receipt and their seals.
    package var tail: [(content: [UInt8], seal: Digest)] = []
    /// Bytes of acknowledged messages and determinants since the newest checkpoint.
    package var historyBytes = 0

    package init(header: LogHeader) { self.header = header }
}
