import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// What a server may say to a client, and a log answer it, that honest ones do not.
@Suite struct HistoryEdgeTests {
    static func body<F: FrameFields>(_ fields: F, tail: (inout ByteWriter) -> Void = { _ in }) -> [UInt8] {
        var writer = ByteWriter()
        writer.frame(fields, tail: tail)
        return Array(writer.bytes.dropFirst(4))
    }

    /// A server may ask for what follows the log's very end: nothing, and the receipt that says so.
    @Test func theGapAfterTheEndIsEmpty() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a@")
        network.settle()
        let (stream, receipt) = (try #require(client.currentStream), try #require(client.log.receipt))
        let request = RecallRequest(
            stream: stream, recall: RecallID(9), credit: 4, origin: .after(receipt.position))
        client.receive(connection, Self.body(request))
        client.work()
        let said = try connection.toServer.map { try VectorFrame.read($0, fromServer: false) }
        #expect(said.count == 2)
        let start = try #require(said.first?.fields as? HistoryStart)
        let chunk = try #require(said.last?.fields as? HistoryChunk)
        guard case .gap = start.base else { return #expect(Bool(false), "\(start.base)") }
        #expect(start.recall == RecallID(9) && chunk.recall == RecallID(9) && chunk.isLast)
        #expect(chunk.first == SequenceNumber(2) && chunk.receipt == receipt && said.last?.tail == [])
    }

    /// A server may acknowledge again what the log has, together with what it has not.
    @Test func whatIsAcknowledgedAgainDoesNotCountAgain() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a@")  // reads the clock, so that it has determinants
        network.settle()
        let (stream, receipt) = (try #require(client.currentStream), try #require(client.log.receipt))
        let determinants = try #require(client.log.message(SequenceNumber(1))).determinants
        try #require(!determinants.isEmpty)
        let call = client.send("b@")
        client.work()
        let number = SequenceNumber(2)
        var next = receipt
        next.position = Position(
            number: number, seal: Digest(),
            inputs: Forge.cryptography.inputs(
                determinants.span.bytes, number: number, after: receipt.position.inputs))
        let body = Self.body(Acknowledgement(stream: stream, first: SequenceNumber(1), receipt: next)) { writer in
            for offset in [UInt32(0), 1] {
                writer.integer(offset)
                writer.block(determinants.span.bytes)
                writer.block([UInt8(ascii: "r")].span.bytes)
            }
        }
        client.receive(connection, body)
        client.work()
        #expect(client.acknowledged == number && client.log.acknowledged == number)
        #expect(client.log.message(number)?.determinants == determinants)
        #expect(call.reply == "r" && client.failure == nil)
    }

    @Test func aLostCheckpointEndsTheSession() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 4))
        let network = CoreNetwork(servers: 2, terms: terms)
        var limits = ClientLimits()
        limits.rideAlong = 0
        let client = network.client(limits: limits)
        let first = network.connect(client, to: network.servers[0])
        client.send("aaaa")
        client.send("bbbb")
        network.settle()
        #expect(!client.log.checkpoints.isEmpty)
        network.cut(first)
        client.log.tamper { _, _, checkpoints in checkpoints = [] }
        network.connect(client, to: network.servers[1])
        let last = client.send("c")
        network.settle()
        #expect(client.failure?.code == .logFailed && last.failure == .logFailed)
        #expect(client.failure?.text == "the log has lost a checkpoint that it had kept")
        #expect(network.servers[1].host.applied == 0)
    }

    @Test func lostMessagesEndTheSession() {
        let network = CoreNetwork(servers: 2)
        var limits = ClientLimits()
        limits.rideAlong = 0
        let client = network.client(limits: limits)
        let first = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        network.cut(first)
        client.log.tamper { messages, _, _ in messages = [] }
        network.connect(client, to: network.servers[1])
        let read = client.read()
        network.settle()
        #expect(client.failure?.code == .logDamaged && read.failure == .logDamaged)
        #expect(client.failure?.text == "the log has lost messages after update 0")
    }

    /// What lies before the older checkpoint is forgotten, its receipt too; the checkpoint itself says where that was.
    @Test func theGapAfterTheOlderCheckpointNeedsNoReceipt() throws {
        let network = CoreNetwork(terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 4)))
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        for text in ["aaaaaa", "bbbbbb", "cccccc"] {
            client.send(text)
            network.settle()
        }
        try #require(client.log.checkpoints.count == 2)
        let older = client.log.checkpoints[1].position
        #expect(try client.log.perform(.readReceipt(atOrBefore: older.number)) == .receipt(nil))
        let request = RecallRequest(
            stream: try #require(client.currentStream), recall: RecallID(9), credit: 4, origin: .after(older))
        client.receive(connection, Self.body(request))
        client.work()
        let said = try connection.toServer.map { try VectorFrame.read($0, fromServer: false) }
        let start = try #require(said.first?.fields as? HistoryStart)
        guard case .gap = start.base else { return #expect(Bool(false), "\(start.base)") }
        #expect((said.last?.fields as? HistoryChunk)?.first == older.number.next)
    }

    /// An answer of another sort than what was asked sends nothing; the log is asked again.
    @Test func anAnswerToAnotherQuestionIsNoHistory() throws {
        let forged = ForgedLog(.init("a", clock: 1))
        let log = try forged.log()
        var limits = ClientLimits()
        limits.rideAlong = 0
        let recovered = try #require(try log.recover(Forge.cryptography))
        var machine = ClientMachine(recovered, limits: limits, Forge.cryptography)
        machine.attach(StreamID(1), nonce: Digest())
        let body = Self.body(
            RecallRequest(stream: StreamID(1), recall: RecallID(1), credit: 4, origin: .newest))
        var reader = ByteReader(body.span.bytes)
        try machine.receive(try reader.frameType(), &reader)
        _ = machine.takeOutput()
        let asked = machine.nextLogOperation()
        #expect(asked == .readSlice(after: .zero))
        machine.logAnswered(.receipt(nil))
        let (said, again) = (machine.takeOutput(), machine.nextLogOperation())
        #expect(said == [] && again == asked)
        machine.logAnswered(try log.perform(.readSlice(after: .zero)))
        let chunk = try VectorFrame.read(Array(machine.takeOutput().dropFirst(4)), fromServer: false)
        let last = machine.nextLogOperation()
        #expect((chunk.fields as? HistoryChunk)?.receipt == log.receipt && last == nil)
    }
}
