import RecallCore
import RecallCrypto
import RecallTesting

/// What a test can do that a client cannot: derive a session's keys, and play a log to a history reader.
enum Forge {
    static let cryptography = Cryptography.swiftCrypto

    static func keys(of client: CoreClient) -> SessionKeys {
        SessionKeys(root: CoreNetwork.rootSecret, vector: client.log.header?.vector ?? Digest(), cryptography)
    }

    static func keys(
        root: UInt8 = 7, session: SessionID = SessionID(high: 1 << 48, low: 1), kind: String = "story",
        principal: [UInt8]? = nil
    ) -> SessionKeys {
        let secret = Digest([UInt8](repeating: root, count: 32)) ?? Digest()
        let identity = SessionIdentity(session: session, kindName: Array(kind.utf8), principal: principal, cryptography)
        let vectorKey = SessionKeys.vectorKey(root: secret, cryptography)
        let vector = SessionKeys.vector(vectorKey: vectorKey, identity: identity, cryptography)
        return SessionKeys(root: secret, vector: vector, cryptography)
    }

    /// A log's acknowledged messages as chunks of one receipt each.
    static func chunks(_ log: CoreLog) -> [(HistoryChunk, [UInt8])] {
        var chunks: [(HistoryChunk, [UInt8])] = []
        var number = SequenceNumber.zero
        while number < log.acknowledged {
            guard case .slice(let slice)? = try? log.perform(.readSlice(after: number)), let receipt = slice.receipt
            else { break }
            chunks.append(chunk(slice.messages, receipt, isLast: receipt == log.receipt))
            number = receipt.position.number
        }
        return chunks
    }

    static func chunk(_ messages: [LoggedMessage], _ receipt: Receipt, isLast: Bool = true) -> (HistoryChunk, [UInt8]) {
        var writer = ByteWriter()
        for message in messages {
            writer.block(message.content.span.bytes)
            writer.block(message.determinants.span.bytes)
        }
        let first = messages.first?.number ?? receipt.position.number.next
        let chunk = HistoryChunk(
            stream: StreamID(1), recall: RecallID(1), isLast: isLast, first: first, receipt: receipt)
        return (chunk, writer.bytes)
    }

    static func verify(_ log: CoreLog, by reader: inout HistoryReader) throws(HistoryFault) -> [VerifiedChunk] {
        var verified: [VerifiedChunk] = []
        for (chunk, bytes) in chunks(log) { verified.append(try reader.verify(chunk, bytes)) }
        return verified
    }

    /// A little history that a server under these keys would have accepted.
    static func history(_ keys: SessionKeys, count: Int = 3) -> (messages: [LoggedMessage], receipt: Receipt) {
        let sealer = Sealer(vector: keys.vector, cryptography)
        var position = Position.start
        var messages: [LoggedMessage] = []
        for index in 1...count {
            let number = SequenceNumber(UInt64(index))
            let content = Array("m\(index)@".utf8)
            let determinants = Determinants(clock: WallTime(nanoseconds: Int64(index))).encoded
            messages.append(LoggedMessage(number: number, content: content, determinants: determinants))
            position = Position(
                number: number, seal: sealer.seal(.update, content.span.bytes, number: number, after: position.seal),
                inputs: cryptography.inputs(determinants.span.bytes, number: number, after: position.inputs))
        }
        let receipt = keys.makeReceipt(
            position, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 5), cryptography)
        return (messages, receipt)
    }
}
