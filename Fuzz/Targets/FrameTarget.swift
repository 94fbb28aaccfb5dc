import RecallCore
import RecallCrypto

/// Bytes of a stream, cut into frames and decoded: whatever decodes says the same when it is encoded again.
enum FrameTarget {
    private static let types: [any FrameFields.Type] = [
        ClientHello.self, Initiate.self, Attach.self, UpdateRun.self, Confirm.self, RequestLeaf.self,
        HistoryStart.self, HistorySegment.self, HistoryChunk.self, Kept.self, Ping.self, Detach.self,
        ServerHello.self, Initiated.self, Attached.self, Acknowledgement.self, Reply.self, RecallRequest.self,
        Credit.self, Offer.self, OfferSegment.self, Gone.self, Pong.self, Refusal.self,
    ]
    private static let sealer = Sealer(vector: Digest(), .swiftCrypto)

    static func run(_ input: [UInt8]) {
        body(input)
        var splitter = FrameSplitter()
        splitter.feed(input.span.bytes)
        let take: (RawSpan) throws(WireError) -> Void = { body($0.array) }
        while (try? splitter.next(take, invalid: { $0 })) == true {}
        _ = try? Determinants(input.span.bytes)
    }

    private static func body(_ bytes: [UInt8]) {
        guard let type = types.first(where: { $0.type.rawValue == bytes.first }) else { return }
        decode(bytes, as: type)
    }

    private static func decode<F: FrameFields>(_ bytes: [UInt8], as type: F.Type) {
        var reader = ByteReader(bytes.span.bytes)
        _ = try? reader.frameType()
        guard let fields = try? F(reading: &reader) else { return }
        let tail = reader.rest.array
        var writer = ByteWriter()
        writer.frame(fields) { $0.append(tail.span.bytes) }
        require(Array(writer.bytes.dropFirst(4)) == bytes, "\(type) is not what it was encoded as")
        if let run = fields as? UpdateRun {
            _ = try? SealedRun(tail.span.bytes, first: run.first, after: Digest(), expected: run.seal, sealer)
        }
    }
}
