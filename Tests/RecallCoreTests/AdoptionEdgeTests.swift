import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// Offers of a state that an honest server does not make, or not then.
@Suite struct AdoptionEdgeTests {
    /// Offers a client a state to adopt.
    func offer(_ position: Position, to client: CoreClient, on connection: CoreConnection) -> Receipt {
        let keys = Forge.keys(of: client)
        let receipt = keys.makeReceipt(
            position, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 1), Forge.cryptography)
        let header = CheckpointHeader(
            kindVersion: 1, position: position, outputs: Digest(), time: receipt.time, segmentCount: 1)
        let stream = client.currentStream ?? .connection
        client.receive(connection, HistoryEdgeTests.body(Offer(stream: stream, header: header, adoption: receipt)))
        client.receive(
            connection, HistoryEdgeTests.body(OfferSegment(stream: stream, index: 0)) { $0.integer(UInt8(1)) })
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

    /// A client with an acknowledged update and one that is not, which attaches, and whose log waits to be stepped.
    func attachingWithSlowLog() -> (client: CoreClient, connection: CoreConnection) {
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
        return (client, connection)
    }

    func hasAdopted(_ client: CoreClient) -> Bool {
        client.events.contains { if case .adopted = $0 { true } else { false } }
    }

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
            HistoryEdgeTests.body(Acknowledgement(stream: stream, first: SequenceNumber(2), receipt: try #require(end)))
        )
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
        let (client, connection) = attachingWithSlowLog()
        let stream = try #require(client.currentStream)
        let adopted = offer(try position(4), to: client, on: connection)
        let end = Story(("a", nil), ("b", nil)).receipt(Forge.keys(of: client))
        client.receive(
            connection,
            HistoryEdgeTests.body(Acknowledgement(stream: stream, first: SequenceNumber(2), receipt: try #require(end)))
        )
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil)
        #expect(client.log.receipt == adopted && client.log.last == SequenceNumber(4))
    }

    // MARK: Histories of what the log forgets

    /// Has a server say that its state at the client's last update is a checkpoint.
    func checkpoint(_ client: CoreClient, on connection: CoreConnection) throws {
        let stream = try #require(client.currentStream)
        let position = try #require(client.log.receipt?.position)
        let header = CheckpointHeader(
            kindVersion: 1, position: position, outputs: Digest(), time: WallTime(nanoseconds: 1), segmentCount: 1)
        client.receive(connection, HistoryEdgeTests.body(Offer(stream: stream, header: header, adoption: nil)))
        client.receive(
            connection, HistoryEdgeTests.body(OfferSegment(stream: stream, index: 0)) { $0.integer(UInt8(1)) })
    }

    func recall(
        _ origin: RecallRequest.Origin, credit: UInt8, _ client: CoreClient, on connection: CoreConnection
    ) throws {
        let stream = try #require(client.currentStream)
        let request = RecallRequest(stream: stream, recall: RecallID(7), credit: credit, origin: origin)
        client.receive(connection, HistoryEdgeTests.body(request))
    }

    /// A server asks for the whole history, gives no credit for it, offers checkpoints until its beginning is
    /// forgotten, and then gives credit: nothing is read that the log does not have.
    @Test func aHistoryEndsWhenACheckpointIsOffered() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        try recall(.newest, credit: 0, client, on: connection)
        for text in ["b", "c"] {
            try checkpoint(client, on: connection)
            client.work()
            client.send(text)
            network.settle()
        }
        #expect(client.log.checkpoints.count == 2)
        let stream = try #require(client.currentStream)
        client.receive(connection, HistoryEdgeTests.body(Credit(stream: stream, recall: RecallID(7), chunks: 8)))
        client.work()
        #expect(client.breach == nil && client.failure == nil)
        let last = client.send("d+")
        network.settle()
        #expect(last.reply == "a b c d")
    }

    /// A server asks for the history from the older of two checkpoints while the log keeps the second: it is the first
    /// by then, and what lies before it is forgotten.
    @Test func theOlderCheckpointIsTheOneBeforeThatOnItsWay() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        try checkpoint(client, on: connection)
        client.work()
        client.send("b")
        network.settle()
        client.logIsImmediate = false
        try checkpoint(client, on: connection)
        try recall(.older, credit: 8, client, on: connection)
        var said: [UInt8] = []
        client.onWrite = { said.append($0.first ?? 0) }
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil && client.log.checkpoints.count == 2)
        #expect(said.contains(FrameType.historySegment.rawValue) && said.contains(FrameType.historyChunk.rawValue))
    }

    /// While the log takes a state over, what it had is on its way out and no history of it is told.
    @Test func aLogThatAdoptsTellsNoHistory() throws {
        let (client, connection) = attachingWithSlowLog()
        let adopted = offer(try position(4), to: client, on: connection)
        try recall(.newest, credit: 8, client, on: connection)
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil)
        #expect(client.log.receipt == adopted)
    }

    /// What the log read for a history that an offer ended is no answer to the next one, though it asks for the same.
    @Test func aReadForAnEarlierHistoryAnswersNoLaterOne() throws {
        let network = CoreNetwork()
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        for texts in [["a", "b"], ["c", "d"], ["e", "f"]] {
            for text in texts { client.send(text) }
            network.settle()
            if texts != ["e", "f"] { try checkpoint(client, on: connection) }
            client.work()
        }
        #expect(client.log.checkpoints.count == 2)
        client.logIsImmediate = false
        try recall(.older, credit: 8, client, on: connection)
        #expect(client.beginLogOperation())
        try checkpoint(client, on: connection)
        try recall(.older, credit: 8, client, on: connection)
        client.endLogOperation()
        client.work()
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil, "\(client.breach ?? "")")
    }

    /// A log takes one state over at a time, and what it gives up is no checkpoint.
    @Test func aLogThatAdoptsKeepsNoCheckpoint() throws {
        let (client, connection) = attachingWithSlowLog()
        let adopted = offer(try position(4), to: client, on: connection)
        try checkpoint(client, on: connection)
        _ = offer(try position(6), to: client, on: connection)
        while client.stepLog() { client.work() }
        #expect(client.breach == nil && client.failure == nil)
        #expect(client.log.receipt == adopted && client.log.checkpoints.count == 1)
    }
}
