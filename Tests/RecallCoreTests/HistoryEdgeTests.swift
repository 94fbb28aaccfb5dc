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

    /// Offers a client a state to adopt.
    func offer(_ position: Position, to client: CoreClient, on connection: CoreConnection) -> Receipt {
        let keys = Forge.keys(of: client)
        let receipt = keys.makeReceipt(
            position, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 1), Forge.cryptography)
        let header = CheckpointHeader(
            kindVersion: 1, position: position, outputs: Digest(), time: receipt.time, segmentCount: 1)
        let stream = client.currentStream ?? .connection
        client.receive(connection, Self.body(Offer(stream: stream, header: header, adoption: receipt)))
        client.receive(connection, Self.body(OfferSegment(stream: stream, index: 0)) { $0.integer(UInt8(1)) })
        client.work()
        return receipt
    }

    func position(_ number: UInt64) throws -> Position {
        let digest = try #require(Digest([UInt8](repeating: 5, count: 32)))
        return Position(number: SequenceNumber(number), seal: digest, inputs: digest)
    }

    /// Attaches, and hears nothing of it yet.
    func attaching(_ client: CoreClient, _ network: CoreNetwork) -> CoreConnection {
        let connection = network.connect(client, to: network.servers[0])
        connection.holdsToServer = true
        network.deliverToServer(connection)
        network.servers[0].pump()
        network.deliverToClient(connection)
        client.work()
        return connection
    }

    func hasAdopted(_ client: CoreClient) -> Bool {
        client.events.contains { if case .adopted = $0 { true } else { false } }
    }

    // MARK: Adoption

    /// A live client's log is what counts: no server replaces it.
    @Test func aLiveClientAdoptsNothing() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        _ = offer(try position(5), to: client, on: connection)
        #expect(!hasAdopted(client) && client.log.acknowledged == SequenceNumber(1))
        let next = client.send("b+")
        network.settle()
        #expect(next.reply == "a b" && client.breach == nil)
    }

    /// Nor does a state that is no newer than the log.
    @Test func aStateWithinTheLogIsNotAdopted() throws {
        let network = CoreNetwork()
        let client = network.client()
        let first = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        network.cut(first)
        client.send("b+")
        let connection = attaching(client, network)
        _ = offer(try position(1), to: client, on: connection)
        #expect(!hasAdopted(client) && client.log.acknowledged == SequenceNumber(1))
        connection.holdsToServer = false
        network.settle()
        #expect(client.calls.last?.reply == "a b" && client.breach == nil)
    }

    /// Of what waits for the log when a state is adopted, acknowledgements go into it, for their callers are told; new
    /// messages do not, for they would not follow.
    @Test func adoptionForgetsMessagesThatWaitForTheLog() throws {
        let network = CoreNetwork()
        let client = network.client()
        let first = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        network.cut(first)
        let acknowledged = client.send("b")
        let connection = attaching(client, network)
        client.logIsImmediate = false
        let unwritten = client.send("c")
        client.work()
        let keys = Forge.keys(of: client)
        let end = Story(("a", nil), ("b", nil)).receipt(keys)
        let stream = try #require(client.currentStream)
        client.receive(
            connection,
            Self.body(Acknowledgement(stream: stream, first: SequenceNumber(2), receipt: try #require(end))))
        let adopted = offer(try position(4), to: client, on: connection)
        #expect(acknowledged.result == nil && unwritten.result == nil)
        while client.stepLog() { client.work() }
        #expect(acknowledged.result == .reply([]) && unwritten.failure == .outcomeUnknown)
        #expect(hasAdopted(client) && client.breach == nil && client.isQuiet)
        #expect(client.log.receipt == adopted && client.log.last == SequenceNumber(4) && client.log.messages == [])
    }

    /// What a log gives up for the state that it takes over is acknowledged no more: of a server that does so all the
    /// same the log takes nothing.
    @Test func nothingIsAcknowledgedDuringAnAdoption() throws {
        let network = CoreNetwork()
        let client = network.client()
        let first = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        network.cut(first)
        client.send("b")
        let connection = attaching(client, network)
        client.logIsImmediate = false
        client.work()
        let stream = try #require(client.currentStream)
        let adopted = offer(try position(4), to: client, on: connection)
        let end = Story(("a", nil), ("b", nil)).receipt(Forge.keys(of: client))
        client.receive(
            connection,
            Self.body(Acknowledgement(stream: stream, first: SequenceNumber(2), receipt: try #require(end))))
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil)
        #expect(client.log.receipt == adopted && client.log.last == SequenceNumber(4))
    }

    // MARK: Recalls

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

    // MARK: The verifier

    private func verifier(_ forged: ForgedLog) -> LogVerifier {
        LogVerifier(vector: forged.keys.vector, base: .start, Forge.cryptography)
    }

    @Test func aSliceThatLacksAMessage() throws {
        let forged = ForgedLog(.init("a"), .init("b"), .init("c"))
        let messages = try forged.log().messages
        var verifier = verifier(forged)
        let slice = LogSlice(messages: [messages[0], messages[2]], receipt: forged.receipt(at: forged.positions[3]))
        let fault = #expect(throws: LogFault.self) { try verifier.verify(slice) }
        #expect(fault?.first == SequenceNumber(2) && fault?.last == SequenceNumber(3))
        #expect(fault?.text == "update 2 is missing")
        #expect(verifier.front == .start)
        #expect(verifier.position(at: SequenceNumber(1), in: slice) == forged.positions[1])
        #expect(verifier.position(at: SequenceNumber(3), in: slice) == nil)
        #expect(verifier.position(at: SequenceNumber(2), in: LogSlice(messages: [messages[0]], receipt: nil)) == nil)
    }

    /// A receipt without messages holds only where it was made.
    @Test func aReceiptWithoutMessages() throws {
        let forged = ForgedLog(.init("a"), .init("b"))
        let messages = try forged.log().messages
        var verifier = verifier(forged)
        let first = LogSlice(messages: [messages[0]], receipt: forged.receipt(at: forged.positions[1]))
        #expect(try verifier.verify(first) == [forged.positions[1].seal])
        #expect(try verifier.verify(LogSlice(messages: [], receipt: first.receipt)) == [])
        let later = LogSlice(messages: [], receipt: forged.receipt(at: forged.positions[2]))
        let fault = #expect(throws: LogFault.self) { try verifier.verify(later) }
        #expect(fault?.first == SequenceNumber(1) && fault?.last == SequenceNumber(2))
        #expect(verifier.front == forged.positions[1])
    }

    /// Slices of unacknowledged messages follow one another when the first is skipped, and only then.
    @Test func whatIsSkippedCounts() throws {
        let forged = ForgedLog(.init("a"), .init("b"), .init("c"))
        let messages = try forged.log().messages
        let (first, rest) = (
            LogSlice(messages: Array(messages.prefix(2)), receipt: nil),
            LogSlice(messages: Array(messages.dropFirst(2)), receipt: nil)
        )
        var verifier = verifier(forged)
        #expect(try verifier.verify(first) == forged.positions[1...2].map(\.seal))
        #expect(throws: LogFault.self) { try verifier.verify(rest) }
        verifier.skip(first)
        #expect(verifier.front == forged.positions[2])
        #expect(try verifier.verify(rest) == [forged.positions[3].seal])
    }
}
