import RecallCore
import RecallCrypto
import RecallTesting

/// The readers of histories, checkpoints and log slices, on true ones that the script spoils: what they accept is what
/// was recorded.
enum ReaderTarget {
    private static let cryptography = Cryptography.swiftCrypto
    private static let recording = record()

    struct Recording {
        let keys: SessionKeys
        let vector: Digest
        let messages: [LoggedMessage]
        let receipts: [Receipt]
        let checkpoint: Checkpoint
    }

    /// What a session of seven updates leaves in a log, with a receipt after each and a checkpoint.
    private static func record() -> Recording {
        let network = CoreNetwork(
            servers: 1, terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 12)))
        var limits = ClientLimits()
        limits.receiptInterval = 0
        let client = network.client(limits: limits)
        network.connect(client, to: network.servers[0])
        var receipts: [Receipt] = []
        for text in ["a+", "b@", "c!+", "d-", "e@+", "f", "g"] {
            client.send(text)
            network.settle()
            if let receipt = client.log.receipt { receipts.append(receipt) }
        }
        guard let vector = client.log.header?.vector, let checkpoint = client.log.checkpoints.first else {
            fatalError("the recording has no checkpoint")  // Our own doing: no input reaches it.
        }
        return Recording(
            keys: SessionKeys(root: CoreNetwork.rootSecret, vector: vector, cryptography), vector: vector,
            messages: client.log.messages, receipts: receipts, checkpoint: checkpoint)
    }

    static func run(_ input: [UInt8]) {
        var script = Script(input)
        switch script.number(below: 4) {
        case 0: history(&script)
        case 1: checkpoint(&script)
        case 2: slice(&script)
        default: foreign(&script)
        }
    }

    /// Chunks of any cut, spoiled or not, one after the other.
    private static func history(_ script: inout Script) {
        var reader = HistoryReader(after: .start, keys: recording.keys, kindVersion: 1, cryptography)
        for _ in 0..<4 {
            let first = script.number(below: 8)
            let last = first + script.number(below: 9 - first)
            var writer = ByteWriter()
            let receipt = script.flag() && last > 0 ? recording.receipts[min(last, 7) - 1] : nil
            let chunk = HistoryChunk(
                stream: StreamID(1), recall: RecallID(1), isLast: script.flag(),
                first: SequenceNumber(UInt64(first + 1)), receipt: receipt)
            writer.frame(chunk) {
                for message in recording.messages[min(first, 7)..<min(last, 7)] {
                    $0.block(message.content.span.bytes)
                    $0.block(message.determinants.span.bytes)
                }
            }
            var body = Array(writer.bytes.dropFirst(5))
            script.spoil(&body)
            var bytes = ByteReader(body.span.bytes)
            guard let read = try? HistoryChunk(reading: &bytes) else { continue }
            let tail = bytes.rest.array
            guard let verified = try? reader.verify(read, tail) else { continue }
            check(verified)
        }
    }

    private static func check(_ chunk: VerifiedChunk) {
        var chunk = chunk
        while let message = chunk.next() {
            let original = recording.messages[Int(message.number.rawValue) - 1]
            require(Array(chunk.bytes[message.content]) == original.content, "another content was accepted")
            require(
                Array(chunk.bytes[message.determinants]) == original.determinants, "other determinants were accepted")
        }
    }

    /// A frame of a history or an offer that is not ours, as the vectors have them.
    private static func foreign(_ script: inout Script) {
        let body = script.string()
        var bytes = ByteReader(body.span.bytes)
        switch try? bytes.frameType() {
        case .historyChunk:
            guard let chunk = try? HistoryChunk(reading: &bytes) else { return }
            var reader = HistoryReader(after: .start, keys: recording.keys, kindVersion: 1, cryptography)
            if let verified = try? reader.verify(chunk, bytes.rest.array) { check(verified) }
        case .historyStart:
            guard let start = try? HistoryStart(reading: &bytes), case .checkpoint(let header) = start.base else {
                return
            }
            open(header)
        case .offer:
            if let offer = try? Offer(reading: &bytes) { open(offer.header) }
        default: return
        }
    }

    /// Our segment under another header.
    private static func open(_ header: CheckpointHeader) {
        guard let segment = recording.checkpoint.segments.first,
            header.open(segment.span.bytes, segment: 0, recording.keys, cryptography) != nil
        else { return }
        require(header == CheckpointHeader(recording.checkpoint), "another header was accepted")
    }

    private static func checkpoint(_ script: inout Script) {
        var writer = ByteWriter()
        writer.frame(Offer(stream: StreamID(1), header: CheckpointHeader(recording.checkpoint), adoption: nil))
        var body = Array(writer.bytes.dropFirst(5))
        script.spoil(&body)
        var reader = ByteReader(body.span.bytes)
        guard let offer = try? Offer(reading: &reader) else { return }
        for index in 0..<min(4, recording.checkpoint.segments.count) {
            let original = recording.checkpoint.segments[index]
            var segment = original
            script.spoil(&segment)
            guard
                offer.header.open(
                    segment.span.bytes, segment: UInt32(index), recording.keys, cryptography) != nil
            else { continue }
            require(segment == original, "another segment was accepted")
            require(offer.header == CheckpointHeader(recording.checkpoint), "another header was accepted")
        }
    }

    private static func slice(_ script: inout Script) {
        var slice = LogSlice(
            messages: recording.messages, receipt: recording.receipts[script.number(below: 7)])
        for _ in 0..<script.number(below: 4) where !slice.messages.isEmpty {
            let index = script.number(below: slice.messages.count)
            switch script.number(below: 4) {
            case 0: script.spoil(&slice.messages[index].content)
            case 1: script.spoil(&slice.messages[index].determinants)
            case 2: slice.messages[index].number = SequenceNumber(UInt64(script.integer()))
            default: slice.messages.remove(at: index)
            }
        }
        var verifier = LogVerifier(vector: recording.vector, base: .start, cryptography)
        guard (try? verifier.verify(slice)) != nil else { return }
        require(
            slice.messages.elementsEqual(recording.messages.prefix(slice.messages.count)),
            "another slice was accepted")
    }
}
