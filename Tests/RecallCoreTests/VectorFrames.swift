import RecallCore
import RecallCrypto

/// A frame as the core knows it: its fields, and what follows them to the frame's end. Without fields it is `drain`.
struct VectorFrame {
    var fields: (any FrameFields)?
    var tail: [UInt8] = []

    /// A frame's body, without the length before it.
    var body: [UInt8] {
        var writer = ByteWriter()
        if let fields { write(fields, &writer) } else { writer.frame(.drain) }
        return Array(writer.bytes.dropFirst(4))
    }

    private func write(_ fields: some FrameFields, _ writer: inout ByteWriter) {
        let tail = self.tail
        writer.frame(fields) { $0.bytes += tail }
    }
}

// Reading a body.
extension VectorFrame {
    /// Reads a body that came from the client or the server, the part after the fields included.
    static func read(_ body: [UInt8], fromServer: Bool) throws -> VectorFrame {
        guard let code = body.first, let type = FrameType(rawValue: code), (code & 0x40 != 0) == fromServer else {
            throw WireError.malformed
        }
        let frame = try fields(type).map { try read($0, Array(body.dropFirst())) } ?? VectorFrame()
        guard frame.fields != nil || body.count == 1 else { throw WireError.trailing }
        try frame.checkTail()
        return frame
    }

    private static func read<F: FrameFields>(_ type: F.Type, _ bytes: [UInt8]) throws -> VectorFrame {
        var reader = ByteReader(bytes.span.bytes)
        let fields = try F(reading: &reader)
        return VectorFrame(fields: fields, tail: reader.rest.array)
    }

    private static func fields(_ type: FrameType) -> (any FrameFields.Type)? {
        let all: [any FrameFields.Type] = [
            ClientHello.self, Initiate.self, Attach.self, UpdateRun.self, Confirm.self, RequestLeaf.self,
            HistoryStart.self, HistorySegment.self, HistoryChunk.self, Kept.self, Ping.self, Detach.self,
            ServerHello.self, Initiated.self, Attached.self, Acknowledgement.self, Reply.self, RecallRequest.self,
            Credit.self, Offer.self, OfferSegment.self, Gone.self, Pong.self, Refusal.self,
        ]
        return all.first { $0.type == type }
    }

    /// Insists that what follows the fields can be taken apart. What it says is not verified here.
    private func checkTail() throws {
        switch fields {
        case let run as UpdateRun:
            let sealer = Sealer(vector: Digest(), .swiftCrypto)
            _ = try SealedRun(tail.span.bytes, first: run.first, after: Digest(), expected: run.seal, sealer)
        case is RequestLeaf:
            guard !tail.isEmpty, tail.count <= WireLimits.message else { throw WireError.malformed }
        case let chunk as HistoryChunk: try checkMessages(chunk)
        case is Acknowledgement: _ = try items
        default: break
        }
    }

    private func checkMessages(_ chunk: HistoryChunk) throws {
        let before = Position(number: SequenceNumber(chunk.first.rawValue &- 1), seal: Digest(), inputs: Digest())
        let keys = SessionKeys(root: Digest(), vector: Digest(), .swiftCrypto)
        var history = HistoryReader(after: before, keys: keys, kindVersion: 1, .swiftCrypto)
        let result = Result { () throws(HistoryFault) in try history.verify(chunk, tail) }
        if case .failure(let fault) = result, fault.code == .malformedFrame { throw fault }
    }

    /// An acknowledgement's items.
    var items: [(index: UInt32, determinants: [UInt8], reply: [UInt8])] {
        get throws {
            var reader = ByteReader(tail.span.bytes)
            var items: [(index: UInt32, determinants: [UInt8], reply: [UInt8])] = []
            while reader.remaining > 0 {
                let index: UInt32 = try reader.integer()
                let determinants = try reader.block(limit: WireLimits.determinants).array
                items.append((index, determinants, try reader.block(limit: WireLimits.reply).array))
            }
            return items
        }
    }
}

// Making a frame from the fields in a file.
extension VectorFrame {
    /// A frame of `frames.json`.
    static func make(_ name: String, _ fields: Vector, fromServer: Bool) throws -> VectorFrame {
        try fromServer ? Self.fromServer(name, fields) : Self.fromClient(name, fields)
    }

    private static func fromClient(_ name: String, _ f: Vector) throws -> VectorFrame {
        switch name {
        case "hello": return VectorFrame(fields: try clientHello(f))
        case "initiate":
            let kind = Array(try f.text("kind").utf8)
            return VectorFrame(
                fields: Initiate(stream: try f.stream(), kindVersion: try f.integer("version"), kindName: kind))
        case "attach":
            let leaf = try f.digest("leaf")
            return VectorFrame(fields: Attach(stream: try f.stream(), leaf: leaf, claim: try claim(f["claim"])))
        case "update": return try update(f)
        case "confirm": return VectorFrame(fields: Confirm(stream: try f.stream(), position: try f.position("at")))
        case "request":
            let leaf = RequestLeaf(
                stream: try f.stream(), request: try f.request(), number: try f.number("n"), leaf: try f.digest("leaf"))
            return VectorFrame(fields: leaf, tail: try f.bytes("content"))
        case "historyStart": return VectorFrame(fields: try historyStart(f))
        case "historySegment":
            let segment = HistorySegment(stream: try f.stream(), recall: try f.recall(), index: try f.integer("index"))
            return VectorFrame(fields: segment, tail: try f.bytes("segment"))
        case "historyChunk": return try historyChunk(f)
        case "kept": return VectorFrame(fields: Kept(stream: try f.stream(), position: try f.position("at")))
        case "ping": return VectorFrame(fields: Ping(token: try f.integer("token")))
        case "detach": return VectorFrame(fields: Detach(stream: try f.stream()))
        default: throw MisreadVector(name)
        }
    }

    private static func clientHello(_ f: Vector) throws -> ClientHello {
        var hello = ClientHello(authentication: try f.bytes("authentication"))
        hello.version = try f.integer("version")
        return hello
    }

    private static func claim(_ f: Vector) throws -> AttachClaim {
        let kept = try f.optional("checkpoint")
        return AttachClaim(
            session: try f["session"].session, kindVersion: try f.integer("version"),
            kindName: Array(try f.text("kind").utf8), receipt: try f.optional("receipt")?.receipt,
            last: try f.number("last"), lastSeal: try f.digest("lastSeal"),
            checkpoint: try kept.map { (number: try $0.number("n"), byteCount: try $0.integer("bytes")) },
            historyFollows: try f.flag("historyFollows"))
    }

    private static func update(_ f: Vector) throws -> VectorFrame {
        let run = UpdateRun(
            stream: try f.stream(), confirmed: try f.optional("confirms")?.position, first: try f.number("first"),
            seal: try f.digest("seal"))
        var writer = ByteWriter()
        for content in try f.list("contents") {
            let bytes = try content.bytes
            writer.block(bytes.span.bytes)
        }
        return VectorFrame(fields: run, tail: writer.bytes)
    }

    private static func historyStart(_ f: Vector) throws -> HistoryStart {
        let base: HistoryStart.Base
        switch try f.text("base") {
        case "continuation": base = .gap
        case "start": base = .start
        case "checkpoint": base = .checkpoint(try f["header"].header)
        case let other: throw MisreadVector(other)
        }
        return HistoryStart(stream: try f.stream(), recall: try f.recall(), base: base)
    }

    private static func historyChunk(_ f: Vector) throws -> VectorFrame {
        let chunk = HistoryChunk(
            stream: try f.stream(), recall: try f.recall(), isLast: try f.flag("last"), first: try f.number("first"),
            receipt: try f.optional("receipt")?.receipt)
        var writer = ByteWriter()
        for message in try f.list("messages") {
            let (content, determinants) = (try message.bytes("content"), try message.bytes("determinants"))
            writer.block(content.span.bytes)
            writer.block(determinants.span.bytes)
        }
        return VectorFrame(fields: chunk, tail: writer.bytes)
    }

    private static func fromServer(_ name: String, _ f: Vector) throws -> VectorFrame {
        switch name {
        case "hello": return VectorFrame(fields: try serverHello(f))
        case "initiated":
            let session = try f["session"].session
            return VectorFrame(fields: Initiated(stream: try f.stream(), session: session, vector: try f.digest("iv")))
        case "attached":
            let (replayed, time): (UInt64, UInt64) = (try f.integer("replayed"), try f.integer("microseconds"))
            return VectorFrame(fields: Attached(stream: try f.stream(), replayed: replayed, microseconds: time))
        case "acknowledgement": return try acknowledgement(f)
        case "reply":
            let reply = Reply(
                stream: try f.stream(), request: try f.request(), number: try f.number("n"),
                status: try f.integer("status"))
            return VectorFrame(fields: reply, tail: try f.bytes("bytes"))
        case "recall": return VectorFrame(fields: try recall(f))
        case "credit":
            return VectorFrame(
                fields: Credit(stream: try f.stream(), recall: try f.recall(), chunks: try f.integer("chunks")))
        case "offer":
            let header = try f["header"].header
            return VectorFrame(
                fields: Offer(stream: try f.stream(), header: header, adoption: try f.optional("adopt")?.receipt))
        case "offerSegment":
            let segment = OfferSegment(stream: try f.stream(), index: try f.integer("index"))
            return VectorFrame(fields: segment, tail: try f.bytes("segment"))
        case "gone": return VectorFrame(fields: Gone(stream: try f.stream()))
        case "pong": return VectorFrame(fields: Pong(token: try f.integer("token")))
        case "refusal":
            let code = FaultCode(rawValue: try f.integer("code"))
            return VectorFrame(
                fields: Refusal(
                    stream: try f.stream(), code, first: try f.number("first"), last: try f.number("last"),
                    try f.text("text")))
        case "drain": return VectorFrame()
        default: throw MisreadVector(name)
        }
    }

    private static func serverHello(_ f: Vector) throws -> ServerHello {
        var hello = ServerHello(
            windowMessages: try f.integer("windowMessages"), windowBytes: try f.integer("windowBytes"),
            nonce: try f.digest("nonce"))
        hello.version = try f.integer("version")
        return hello
    }

    private static func acknowledgement(_ f: Vector) throws -> VectorFrame {
        let position = Position(number: try f.number("last"), seal: Digest(), inputs: try f.digest("d"))
        let receipt = Receipt(
            position: position, outputs: try f.digest("r"), time: try f.time("time"), mac: try f.digest("mac"))
        let fields = Acknowledgement(stream: try f.stream(), first: try f.number("first"), receipt: receipt)
        var writer = ByteWriter()
        for item in try f.list("items") {
            let (determinants, reply) = (try item.bytes("determinants"), try item.bytes("reply"))
            writer.integer(try item.integer("index") as UInt32)
            writer.block(determinants.span.bytes)
            writer.block(reply.span.bytes)
        }
        return VectorFrame(fields: fields, tail: writer.bytes)
    }

    private static func recall(_ f: Vector) throws -> RecallRequest {
        let origin: RecallRequest.Origin
        switch try f.text("origin") {
        case "position": origin = .after(try f.position("at"))
        case "newestCheckpoint": origin = .newest
        case "previousCheckpoint": origin = .older
        case let other: throw MisreadVector(other)
        }
        return RecallRequest(
            stream: try f.stream(), recall: try f.recall(), credit: try f.integer("credit"), origin: origin)
    }
}
