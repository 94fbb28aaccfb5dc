import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// As `RegressionTests`, for bounds that were none, or that an honest client met.
@Suite struct LimitRegressionTests {
    /// Every attach that was given up while it waited left a ticket behind.
    @Test func admissionForgetsThoseWhoLeave() {
        var limits = RecallAdmission.Limits()
        limits.concurrent = 1
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 1) == .admitted)
        #expect(admission.request(SlotID(2), from: ConnectionID(1), bytes: 1) == .waiting)
        for round in 0..<10_000 {
            #expect(admission.request(SlotID(1), from: ConnectionID(UInt64(round)), bytes: 1) == .waiting)
            admission.finish(SlotID(1))
        }
        #expect(admission.ticketCount < 200)
        #expect(admission.waitingCount == 1)
        // Who stayed has its turn.
        admission.finish(SlotID(0))
        #expect(admission.next() == SlotID(2))
        #expect(admission.next() == nil)
    }

    /// A second attach with a larger checkpoint kept the place of the first, and its share of the memory.
    @Test func admissionCountsWhatTheLastAttachNeeds() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 20
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 10) == .admitted)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 6) == .admitted)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 3) == .admitted)
        #expect(admission.request(SlotID(2), from: ConnectionID(1), bytes: 4) == .admitted)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 8) == .waiting)
        admission.finish(SlotID(0))
        #expect(admission.next() == SlotID(1))
        #expect(admission.next() == nil)
    }

    /// After so many dropped copies a session was refused on that server for ever.
    @Test func aSessionIsServedAgainAfterItsPause() {
        var limits = HandlerLimits()
        limits.drops = 1
        judge(servers: 1, limits: limits) { network, client in
            for _ in 0..<4 {
                let connection = network.connect(client, to: network.servers[0])
                network.settle()
                connection.holdsToClient = true
                client.send("a@")
                network.settle()
                network.cut(connection)
                client.crash { $0.loseUnacknowledged(1) }
                client.restart()
            }
            for _ in 0..<3 where !client.isLive {
                network.connect(client, to: network.servers[0])
                network.settle()
            }
            #expect(client.isLive)
        }
    }

    /// Sessions that are all in use made the limit no limit.
    @Test func moreSessionsThanTheLimitAreRefusedForNow() {
        var limits = HandlerLimits()
        limits.sessions = 2
        let network = CoreNetwork(servers: 1, limits: limits)
        var clients: [CoreClient] = []
        for index in 0..<3 {
            let client = network.client("c\(index)")
            clients.append(client)
            network.connect(client, to: network.servers[0])
            client.send("effect!")
            network.settle(endingEffects: false)
        }
        #expect(network.servers[0].sessionCount == 2)
        #expect(clients[2].failure == nil && !clients[2].isConnected)
        network.settle()
        network.connect(clients[2], to: network.servers[0])
        network.settle()
        #expect(clients[2].acknowledged == SequenceNumber(1))
        #expect(network.servers[0].sessionCount == 2)
    }

    /// A client that was asked for its history and sent nothing kept its place for ever.
    @Test func aRecallThatIsNotFedIsEvicted() {
        var limits = ClientLimits()
        limits.rideAlong = 0
        judge(clientLimits: limits) { network, client in
            network.connect(client, to: network.servers[0])
            client.send("a")
            network.settle()
            network.servers[0].crash()
            client.logIsImmediate = false
            network.connect(client, to: network.servers[0])
            network.settle()
            #expect(network.servers[0].recallCount == 1)
            network.advance(nanoseconds: 1_000_000)
            network.servers[0].evictIdle(since: network.now)
            #expect(network.servers[0].recallCount == 0)
            client.logIsImmediate = true
            client.send("b")
        }
    }

    /// A copy that was dropped and left a tombstone took a place that nobody could have.
    @Test func tombstonesMakeRoom() {
        var limits = HandlerLimits()
        limits.sessions = 1
        let network = CoreNetwork(servers: 2, limits: limits)
        let first = network.client("c0")
        var connection = network.connect(first, to: network.servers[0])
        first.send("a@")
        network.settle()
        connection.holdsToClient = true
        first.send("b@")
        network.settle()
        network.cut(connection)
        connection = network.connect(first, to: network.servers[1])
        network.settle()
        network.cut(connection)
        connection = network.connect(first, to: network.servers[0])
        first.logIsImmediate = false
        network.settle()
        network.cut(connection)
        #expect(first.session.flatMap { network.servers[0].status(of: $0) }?.tombstone != nil)
        let second = network.client("c1")
        network.connect(second, to: network.servers[0])
        second.send("x")
        network.settle()
        #expect(second.acknowledged == SequenceNumber(1))
    }

    /// A log with more unacknowledged messages than a server's window was refused for sending them all.
    @Test func aLongTailFitsASmallerWindow() {
        var limits = HandlerLimits()
        (limits.windowMessages, limits.windowBytes) = (2, 16)
        let network = CoreNetwork(servers: 0)
        let terms = CoreNetwork.terms()
        let ring = KeyRing(secret: CoreNetwork.rootSecret)
        network.addServer(kinds: [terms], ring: ring)
        network.addServer(kinds: [terms], limits: limits, ring: ring)
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        network.settle()
        connection.holdsToServer = true
        for index in 0..<2000 { client.send("message\(index)") }
        network.settle()
        network.cut(connection)
        network.connect(client, to: network.servers[1])
        network.settle()
        #expect(client.failure == nil)
        #expect(client.acknowledged == SequenceNumber(2000))
    }

    /// With as much unconfirmed as a server allows, nothing was acknowledged again to a client that had lost the
    /// acknowledgements.
    @Test func lostAcknowledgementsComeAgainHoweverMuchIsUnconfirmed() {
        var limits = HandlerLimits()
        limits.unconfirmed = 2
        judge(limits: limits) { network, client in
            let connection = network.connect(client, to: network.servers[0])
            network.settle()
            connection.holdsToClient = true
            for index in 0..<6 { client.send("m\(index)@") }
            network.settle()
            #expect(network.servers[0].host.applied == 2)
            network.cut(connection)
            network.connect(client, to: network.servers[0])
            network.settle()
            #expect(client.acknowledged == SequenceNumber(6))
        }
    }

    /// A gap whose late application went wrong was refused at once; only a full recall is final.
    @Test func aGapThatGoesWrongLateIsRecalledInFull() {
        judge(servers: 2) { network, client in
            var connection = network.connect(client, to: network.servers[0])
            client.send("a+")
            network.settle()
            network.cut(connection)
            connection = network.connect(client, to: network.servers[1])
            client.send("b~+")
            network.settle()
            network.cut(connection)
            network.connect(client, to: network.servers[0])
            for _ in 0..<20 { network.round(false) }
            network.servers[0].endApplication(.failed(.undecodable, []))
            for _ in 0..<20 { network.round(false) }
            network.settle()
            let last = client.send("c+")
            network.settle()
            #expect(last.reply == "a b c")
        }
    }

    /// Many large reads behind an effect were more than the server holds, and nothing had told the client so.
    @Test func largeReadsKeepToTheWindow() {
        let network = CoreNetwork(servers: 1)
        let client = network.client()
        network.connect(client, to: network.servers[0])
        client.send("effect!")
        network.settle(endingEffects: false)
        let reads = (0..<20).map { _ in client.read("get" + String(repeating: "x", count: 1 << 19)) }
        network.settle(endingEffects: false)
        #expect(client.failure == nil)
        network.settle()
        #expect(reads.allSatisfy { $0.reply == "effect!1001" })
    }

    /// A caller that gives up frees no place at the server: cancelled reads behind an effect ended the session.
    @Test func cancelledReadsKeepTheirPlace() {
        let network = CoreNetwork(servers: 1)
        let client = network.client()
        network.connect(client, to: network.servers[0])
        client.send("effect!")
        network.settle(endingEffects: false)
        for _ in 0..<3 {
            let reads = (0..<600).map { _ in client.read() }
            network.settle(endingEffects: false)
            for read in reads { client.forget(read) }
        }
        #expect(client.failure == nil)
        let last = client.read()
        network.settle()
        #expect(last.reply == "effect!1001")
    }

    // MARK: Windows

    /// One small server narrowed a client's window for good.
    @Test func aWindowGrowsAgainWithTheNextServer() {
        var limits = ClientLimits()
        (limits.windowMessages, limits.windowBytes) = (8, 1000)
        var machine = ClientMachine(RecoveredLog(header: Self.header), limits: limits, .swiftCrypto)
        machine.limit(messages: 2, bytes: 10)
        for _ in 0..<2 { machine.submit([1], call: nil) }
        let isFull = !machine.hasRoom(for: 1)
        machine.limit(messages: 100, bytes: 100)
        let hasRoom = machine.hasRoom(for: 90)
        for _ in 0..<6 { machine.submit([1], call: nil) }
        let isAtItsOwnBound = !machine.hasRoom(for: 1)
        #expect(isFull && hasRoom && isAtItsOwnBound)
    }

    private static let header = LogHeader(
        session: Peer.session, vector: Digest(), kindName: CoreNetwork.kindName, kindVersion: 1)

    /// With a window of more messages than a frame may carry, a run of all of them was malformed.
    @Test func aRunHoldsNoMoreThanAFrameMay() {
        var (limits, clientLimits) = (HandlerLimits(), ClientLimits())
        (limits.windowMessages, clientLimits.windowMessages) = (4000, 4000)
        judge(limits: limits, clientLimits: clientLimits) { network, client in
            let connection = network.connect(client, to: network.servers[0])
            client.send("a")
            network.settle()
            network.cut(connection)
            for index in 0..<3000 { client.send("b\(index)") }
            client.work()
            network.connect(client, to: network.servers[0])
            network.settle()
            #expect(client.acknowledged == SequenceNumber(3001))
        }
    }

    // MARK: Recalls

    /// A recall of more than the limit, or one that only says so, stopped all others until it had ended.
    @Test func aLargeRecallLetsOthersPass() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 100
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 1000) == .admitted)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 40) == .admitted)
        // A second large one waits for the first, and nobody for it.
        #expect(admission.request(SlotID(2), from: ConnectionID(2), bytes: 1000) == .waiting)
        #expect(admission.next() == nil)
        #expect(admission.request(SlotID(3), from: ConnectionID(2), bytes: 5) == .waiting)
        #expect(admission.next() == SlotID(3))
        #expect(admission.next() == nil)
        admission.hold(SlotID(0), bytes: 2000)
        admission.finish(SlotID(1))
        #expect(admission.request(SlotID(4), from: ConnectionID(3), bytes: 40) == .waiting)
        #expect(admission.next() == SlotID(4))
        admission.finish(SlotID(0))
        #expect(admission.next() == SlotID(2))
        #expect(admission.next() == nil)
    }

    /// One that holds more than it asked for, as a chunk of large messages does, is charged that: others have the less.
    @Test func whatARecallTurnsOutToHoldIsCharged() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 100
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 20) == .admitted)
        admission.hold(SlotID(0), bytes: 10)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 40) == .admitted)
        admission.hold(SlotID(0), bytes: 61)
        #expect(admission.request(SlotID(2), from: ConnectionID(1), bytes: 1) == .waiting)
        #expect(admission.next() == nil)
        admission.finish(SlotID(0))
        #expect(admission.next() == SlotID(2))
        #expect(admission.request(SlotID(3), from: ConnectionID(1), bytes: 50) == .admitted)
    }

    /// Nor do the others keep it waiting for ever: it is left half of the memory.
    @Test func aLargeRecallHasItsTurn() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 100
        var admission = RecallAdmission(limits)
        for index in 0..<5 {
            #expect(admission.request(SlotID(index), from: ConnectionID(1), bytes: 20) == .admitted)
        }
        #expect(admission.request(SlotID(9), from: ConnectionID(2), bytes: 1000) == .waiting)
        for index in 0..<3 {
            #expect(admission.next() == nil)
            admission.finish(SlotID(index))
            #expect(admission.request(SlotID(10 + index), from: ConnectionID(1), bytes: 20) == .waiting)
        }
        #expect(admission.next() == SlotID(9))
        #expect(admission.next() == nil)
        admission.finish(SlotID(9))
        #expect((0..<3).map { _ in admission.next() } == [SlotID(10), SlotID(11), SlotID(12)])
    }

    /// A whole chunk was one turn: 2 MiB of small messages kept all other sessions waiting.
    @Test func aChunkTakesSeveralTurns() {
        var limits = HandlerLimits()
        limits.turn = 2
        let network = CoreNetwork(servers: 1, limits: limits)
        let peer = Peer(network)
        let story = Story(("a", nil), ("b", nil), ("c", nil), ("d", nil), ("e", nil))
        peer.attach(story, acknowledged: story.count)
        #expect(peer.hear() == ["recall newest"])
        peer.historyStart(.start)
        peer.history(story, after: 0)
        peer.server.pump()
        #expect(peer.server.host.applied == 2 && peer.server.hasMore)
        peer.server.pump()
        #expect(peer.server.host.applied == 4 && peer.server.hasMore)
        #expect(peer.hear() == ["attached"])
        #expect(peer.server.host.applied == 5)
    }

    /// What is kept for each message of a chunk is more than a small message, and was not counted.
    @Test func aChunkCountsWithItsRecords() {
        let peer = Peer(CoreNetwork(servers: 1))
        let story = Story(("a", nil), ("b", nil), ("c", nil), ("d", nil), ("e", nil))
        peer.attach(story, acknowledged: story.count)
        peer.hear()
        peer.historyStart(.start)
        let before = peer.server.memoryInUse
        peer.history(story, after: 0)
        // A seal, a byte of content and two lengths for each.
        #expect(peer.server.memoryInUse - before == story.count * (32 + 1 + 8))
        #expect(peer.server.memoryInUse == peer.server.recountedMemory)
        peer.hear()
        #expect(peer.server.memoryInUse == peer.server.recountedMemory)
    }

    /// Recalls that had been asked for a moment ago made room for each other, without end.
    @Test func aRecallThatWasJustAskedForIsNotEvictedForAnother() {
        var limits = HandlerLimits()
        limits.sessions = 1
        let network = CoreNetwork(servers: 1, limits: limits)
        let first = Peer(network)
        let second = Peer(network, session: SessionID(high: 1 << 48, low: 2))
        let story = Story(("a", nil))
        first.attach(story, acknowledged: 1)
        #expect(first.hear() == ["recall newest"])
        second.attach(story, acknowledged: 1)
        #expect(second.hear() == ["refused overloaded"])
        #expect(first.hear() == [])
        // One that sends nothing keeps its place no longer than that.
        network.advance(nanoseconds: 3_000_000_000)
        second.attach(story, acknowledged: 1)
        #expect(second.hear() == ["recall newest"])
        #expect(first.hear() == ["gone"])
    }
}
