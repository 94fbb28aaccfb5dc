import RecallCore
import RecallCrypto
import Testing

/// The files of `Tests/Vectors`, made by another implementation from docs/protocol.md: what is there must come out
/// here.
@Suite struct VectorTests {
    private let crypto = Cryptography.swiftCrypto

    @Test func keys() throws {
        for vector in try Vector.file("keys").list { try check(keys: vector) }
    }

    private func check(keys vector: Vector) throws {
        let root = try vector.digest("root")
        let identity = SessionIdentity(
            session: try vector["session"].session, kindName: Array(try vector.text("kind").utf8),
            principal: try vector.optional("principal")?.bytes, crypto)
        #expect(try identity.principal == vector.digest("principalDigest"))
        let vectorKey = SessionKeys.vectorKey(root: root, crypto)
        #expect(try vectorKey == vector.digest("vectorKey"))
        let keys = SessionKeys(
            root: root, vector: SessionKeys.vector(vectorKey: vectorKey, identity: identity, crypto), crypto)
        #expect(try keys.vector == vector.digest("iv"))
        #expect(try keys.receipt == vector.digest("receiptKey"))
        #expect(try keys.checkpoint == vector.digest("checkpointKey"))
        #expect(try keys.random == vector.digest("randomKey"))
        #expect(try keys.idempotency == vector.digest("idempotencyKey"))
    }

    @Test func seals() throws {
        let file = try Vector.file("seals")
        for chain in try file.list("chains") {
            let sealer = Sealer(vector: try chain.digest("iv"), crypto)
            var previous = Digest()
            for update in try chain.list("updates") {
                let content = try update.bytes("content")
                previous = sealer.seal(
                    .update, content.span.bytes, number: try update.number("n"), after: previous)
                #expect(try previous == update.digest("seal"))
            }
            for request in try chain.list("requests") {
                let content = try request.bytes("content")
                let leaf = sealer.seal(
                    .request, content.span.bytes, number: try request.number("n"), after: try request.digest("seal"))
                #expect(try leaf == request.digest("leaf"))
            }
            for attach in try chain.list("attaches") {
                let content = try attach.bytes("claim") + attach.bytes("nonce")
                let leaf = sealer.seal(
                    .attach, content.span.bytes, number: try attach.number("n"), after: try attach.digest("seal"))
                #expect(try leaf == attach.digest("leaf"))
            }
        }
        let sealer = Sealer(vector: try file["single"].digest("iv"), crypto)
        for single in try file["single"].list("seals") {
            let kind = try #require(SealKind(rawValue: try single.integer("kind")))
            let content = try single.bytes("content")
            let seal = sealer.seal(
                kind, content.span.bytes, number: try single.number("n"), after: try single.digest("base"))
            #expect(try seal == single.digest("seal"))
        }
    }

    @Test func determinants() throws {
        let file = try Vector.file("determinants")
        for vector in try file.list("encodings") {
            let (fields, bytes) = (try vector["fields"], try vector.bytes("bytes"))
            var expected = Determinants(
                clock: try fields.optional("clock").map { WallTime(nanoseconds: try $0.integer()) })
            if let outcome = try fields.optional("outcome") { expected.ending = .outcome(try outcome.bytes) }
            if let refusal = try fields.optional("refusal") { expected.ending = .refused(try refusal.bytes) }
            if let failure = try fields.optional("failure") {
                expected.ending = .failed(code: try failure.integer("code"), text: Array(try failure.text("text").utf8))
            }
            #expect(try Determinants(bytes.span.bytes) == expected)
            #expect(expected.encoded == bytes)
        }
        for vector in try file.list("refused") {
            let (bytes, why) = (try vector.bytes("bytes"), try vector.text("why"))
            #expect(throws: WireError.self, "\(why)") { try Determinants(bytes.span.bytes) }
        }
    }

    @Test func digests() throws {
        var (inputs, outputs) = (Digest(), Digest())
        for step in try Vector.file("digests").list {
            let (determinants, reply) = (try step.bytes("determinants"), try step.bytes("reply"))
            inputs = crypto.inputs(determinants.span.bytes, number: try step.number("n"), after: inputs)
            outputs = crypto.outputs(reply.span.bytes, number: try step.number("n"), after: outputs)
            #expect(try inputs == step.digest("d"))
            #expect(try outputs == step.digest("r"))
        }
    }

    @Test func receipts() throws {
        let file = try Vector.file("receipts")
        for vector in try file.list("valid") {
            let keys = try keys(of: vector)
            #expect(try keys.receipt == vector.digest("key"))
            let receipt = keys.makeReceipt(
                try vector.position("at"), outputs: try vector.digest("r"), kindVersion: try vector.integer("version"),
                time: try vector.time("time"), crypto)
            var writer = ByteWriter()
            writer.receipt(receipt)
            #expect(try writer.bytes == vector.bytes("bytes"))
            #expect(try vector["bytes"].receipt == receipt)
            let version: UInt32 = try vector.integer("version")
            #expect(keys.verify(receipt, kindVersion: version, crypto))
        }
        for vector in try file.list("refused") {
            let (receipt, version): (Receipt, UInt32) = (try vector["bytes"].receipt, try vector.integer("version"))
            let why = try vector.text("why")
            let keys = try keys(of: vector)
            #expect(!keys.verify(receipt, kindVersion: version, crypto), "\(why)")
        }
    }

    @Test func checkpoints() throws {
        let file = try Vector.file("checkpoints")
        for vector in try file.list("valid") {
            let (keys, segments) = (try keys(of: vector), try vector.list("segments"))
            #expect(try keys.checkpoint == vector.digest("key"))
            let header = CheckpointHeader(
                kindVersion: try vector.integer("version"), position: try vector.position("at"),
                outputs: try vector.digest("r"), time: try vector.time("time"), segmentCount: UInt32(segments.count))
            var writer = ByteWriter()
            header.write(to: &writer)
            #expect(try writer.bytes == vector.bytes("header"))
            #expect(try vector["header"].header == header)
            for (index, segment) in segments.enumerated() {
                let (plain, sealed) = (try segment.bytes("plaintext"), try segment.bytes("bytes"))
                #expect(header.open(sealed.span.bytes, segment: UInt32(index), keys, crypto) == plain)
                let again = header.seal(
                    plain.span.bytes, segment: UInt32(index), nonce: try segment.bytes("nonce"), keys, crypto)
                #expect(again == sealed)
            }
        }
        for vector in try file.list("refused") {
            let (header, sealed) = (try vector["header"].header, try vector.bytes("bytes"))
            let opened = header.open(
                sealed.span.bytes, segment: try vector.integer("index"), try keys(of: vector), crypto)
            let why = try vector.text("why")
            #expect(opened == nil, "\(why)")
        }
    }

    private func keys(of vector: Vector) throws -> SessionKeys {
        SessionKeys(root: try vector.digest("root"), vector: try vector.digest("iv"), crypto)
    }

    @Test func effects() throws {
        let file = try Vector.file("effects")
        for vector in try file.list("idempotencyKeys") {
            let keys = try keys(of: vector)
            #expect(try keys.idempotency == vector.digest("key"))
            let key = keys.idempotencyKey(
                at: try vector.number("n"), seal: try vector.digest("seal"), inputsBefore: try vector.digest("dBefore"),
                crypto)
            #expect(try key == vector.digest("idempotencyKey"))
        }
        for vector in try file.list("randomStreams") {
            let keys = try keys(of: vector)
            #expect(try keys.random == vector.digest("key"))
            let seed = keys.randomSeed(at: try vector.number("n"), crypto)
            #expect(try seed == vector.digest("seed"))
            var numbers: [UInt64] = []
            for (index, block) in try vector.list("blocks").enumerated() {
                let digest = crypto.randomBlock(UInt64(index), seed: seed)
                #expect(try digest == block.digest)
                let bytes = digest.bytes
                var reader = ByteReader(bytes.span.bytes)
                while reader.remaining > 0 { numbers.append(try reader.integer()) }
            }
            #expect(try numbers == vector.list("numbers").map { try $0.integer() })
        }
    }

    @Test(arguments: [false, true])
    func frames(fromServer: Bool) throws {
        for vector in try Vector.file("frames").list(fromServer ? "server" : "client") {
            let (name, body) = (try vector.text("frame"), try vector.bytes("bytes"))
            let made = try VectorFrame.make(name, vector["fields"], fromServer: fromServer)
            #expect(made.body == body, "\(name)")
            let read = try VectorFrame.read(body, fromServer: fromServer)
            #expect(read.body == body, "\(name)")
            #expect(read.tail == made.tail, "\(name)")
            #expect(read.fields.map { type(of: $0).type } == made.fields.map { type(of: $0).type }, "\(name)")
        }
    }

    @Test(arguments: [false, true])
    func refusedFrames(fromServer: Bool) throws {
        for vector in try Vector.file("frames").list(fromServer ? "refusedFromServer" : "refusedFromClient") {
            let (body, why) = (try vector.bytes("bytes"), try vector.text("why"))
            #expect(throws: (any Error).self, "\(why): \(body.prefix(40))") {
                try VectorFrame.read(body, fromServer: fromServer)
            }
        }
    }

    @Test func streams() throws {
        let file = try Vector.file("frames")
        for vector in try file.list("streams") {
            let bytes = try vector.bytes("bytes")
            for step in [1, 3, bytes.count] {
                var (splitter, bodies) = (FrameSplitter(), [[UInt8]]())
                for start in stride(from: 0, to: bytes.count, by: step) {
                    splitter.feed(bytes[start..<min(start + step, bytes.count)].span.bytes)
                    while try splitter.next({ (body) throws(WireError) in bodies.append(body.array) }, invalid: { $0 })
                    {}
                }
                #expect(try bodies == vector.list("bodies").map { try $0.bytes })
            }
        }
        for length in try file.list("refusedLengths") {
            var splitter = FrameSplitter()
            let bytes = try length.bytes
            splitter.feed(bytes.span.bytes)
            #expect(throws: WireError.self) {
                _ = try splitter.next({ (_) throws(WireError) in }, invalid: { $0 })
            }
        }
    }

    @Test func conversations() throws {
        var reader: ConversationReader?
        var damaged = 0
        for vector in try Vector.file("conversations").list {
            try check(keys: vector["keys"])
            var next = try reader ?? ConversationReader(vector)
            for frame in try vector.list("frames") {
                let (fromServer, body) = (try frame.text("from") == "server", try frame.bytes("bytes"))
                let read = try VectorFrame.read(body, fromServer: fromServer)
                #expect(read.body == body)
                try next.follow(read)
            }
            damaged += next.damagedSegments
            next.damagedSegments = 0
            reader = next
        }
        #expect(damaged == 1)  // the last conversation's newest checkpoint
        #expect(reader?.front.number == SequenceNumber(10))
    }
}
