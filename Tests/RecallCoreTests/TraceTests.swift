import RecallCore
import RecallTesting
import Testing

/// The shortest conversations that break a protocol without one of its rules. Servers are A and B; what an update took
/// from outside tells which server drew it: @1001 is A's first draw, @2001 is B's.
@Suite struct TraceTests {
    /// A network whose checker has the last word.
    final class Stage {
        let network: CoreNetwork
        let client: CoreClient
        let checker: CoreChecker
        var a: CoreServer { network.servers[0] }
        var b: CoreServer { network.servers[1] }

        init(adopts: Bool = false, checkpointBytes: Int = 1 << 20, limits: ClientLimits = .init()) {
            let policy = CoreNetwork.checkpoints(afterBytes: checkpointBytes)
            network = CoreNetwork(servers: 2, terms: CoreNetwork.terms(adoptsBehind: adopts, checkpoints: policy))
            client = network.client(limits: limits)
            checker = CoreChecker(network)
        }

        /// Connects and lets everything come to rest.
        @discardableResult
        func connect(_ server: CoreServer) -> CoreConnection {
            let connection = network.connect(client, to: server)
            network.settle()
            return connection
        }

        /// Sends without hearing anything back, then loses the connection.
        func sendUnheard(_ texts: String..., on connection: CoreConnection) {
            connection.holdsToClient = true
            for text in texts { client.send(text) }
            network.settle(endingEffects: false)
            network.cut(connection)
        }

        func status(_ server: CoreServer) -> SessionStatus? { client.session.flatMap { server.status(of: $0) } }

        func finish() {
            #expect(network.settle())
            checker.lookAtServers()
            checker.finish(client, final: nil)
            #expect(checker.violations == [])
        }
    }

    @Test("1: an orphan is not the base of a gap") func orphanIsDropped() {
        let stage = Stage()
        stage.sendUnheard("a@", on: stage.connect(stage.a))
        let connection = stage.connect(stage.b)
        stage.client.send("b@")
        stage.network.settle()
        stage.network.cut(connection)
        stage.connect(stage.a)
        let last = stage.client.send("c+")
        stage.network.settle()
        #expect(last.reply == "a@2001 b@2002 c")
        stage.finish()
    }

    @Test("2: nothing of a deleted copy is confirmed") func deletedCopySaysNothing() {
        let stage = Stage()
        let connection = stage.connect(stage.a)
        let call = stage.client.send("a@+")
        stage.client.work()
        while stage.network.deliverToServer(connection) {}
        _ = stage.a.host.applied
        if let session = stage.client.session { stage.a.delete(session) }
        stage.network.settle()
        #expect(call.reply?.hasPrefix("a@100") == true)
        stage.connect(stage.b)
        stage.client.send("b")
        stage.finish()
        #expect(stage.status(stage.b)?.head == stage.client.log.receipt?.position)
    }

    @Test("3: an effect waits until what it depends on is confirmed") func effectWaits() {
        let stage = Stage()
        stage.sendUnheard("a@", "b!", on: stage.connect(stage.a))
        #expect(stage.a.host.effects.isEmpty)
        stage.connect(stage.b)
        #expect(stage.client.log.acknowledgedState.description == "a@2001 b!2002")
        stage.finish()
    }

    @Test("4: a read shows only what is in the log") func readWaits() {
        let stage = Stage()
        let connection = stage.connect(stage.a)
        connection.holdsToClient = true
        stage.client.send("a@")
        let read = stage.client.read()
        stage.network.settle()
        // The reply goes behind the acknowledgement; the connection breaks after the client got both, but before its
        // log did.
        stage.client.logIsImmediate = false
        while stage.network.deliverToClient(connection) {}
        #expect(read.result == nil)
        stage.client.crash()
        stage.client.restart()
        stage.client.logIsImmediate = true
        stage.connect(stage.b)
        let again = stage.client.read()
        stage.network.settle()
        #expect(again.reply == "a@2001")
        stage.finish()
    }

    @Test("5: beyond what is confirmed the log wins") func lostTail() {
        let stage = Stage()
        stage.sendUnheard("a@", on: stage.connect(stage.a))
        stage.client.crash { $0.loseUnacknowledged(1) }
        stage.client.restart()
        stage.client.send("b@+")
        stage.connect(stage.a)
        #expect(stage.client.log.acknowledgedState.description == "b@1002")
        stage.finish()
    }

    @Test("6: a confirmed position is remembered beyond its copy") func tombstone() {
        let stage = Stage()
        var connection = stage.connect(stage.a)
        stage.client.send("a@")
        stage.client.send("b@")
        stage.network.settle()
        stage.network.cut(connection)
        stage.client.crash { $0.rewind(to: SequenceNumber(1)) }
        stage.client.restart()
        connection = stage.connect(stage.b)
        stage.client.send("b@")
        stage.client.send("c@")
        stage.network.settle()
        stage.network.cut(connection)
        #expect(stage.client.failure == nil)
        stage.connect(stage.a)
        #expect(stage.client.failure?.code == .forked)
        #expect(stage.status(stage.a)?.confirmed ?? stage.status(stage.a)?.tombstone != nil)
    }

    @Test("7: a session deleted under a full window answers") func fullWindow() {
        var limits = ClientLimits()
        limits.windowMessages = 2
        let stage = Stage(limits: limits)
        let connection = stage.connect(stage.a)
        let calls = ["a", "b", "c"].map { stage.client.send($0) }
        stage.client.work()
        while stage.network.deliverToServer(connection) {}
        if let session = stage.client.session { stage.a.delete(session) }
        // The hint gets lost: nothing comes until the client finds that it has waited for too long.
        stage.a.pump()
        connection.toClient = []
        stage.network.settle()
        #expect(calls.allSatisfy { $0.result == nil })
        stage.client.stall()
        stage.network.settle()
        #expect(calls.allSatisfy { $0.result != nil })
        stage.finish()
    }

    @Test("8: a checkpoint is kept at an equal position only") func checkpointOfAnotherBranch() {
        let stage = Stage(checkpointBytes: 1)
        let connection = stage.connect(stage.a)
        stage.client.send("aa@")
        stage.client.work()
        while stage.network.deliverToServer(connection) {}
        stage.a.pump()
        // The offer arrives, its acknowledgement does not.
        connection.toClient.removeAll { $0.first == FrameType.acknowledgement.rawValue }
        while stage.network.deliverToClient(connection) { stage.client.work() }
        #expect(stage.client.log.checkpoints.isEmpty)
        stage.network.cut(connection)
        stage.connect(stage.b)
        #expect(stage.client.log.checkpoints.first?.position == stage.client.log.receipt?.position)
        #expect(stage.client.log.acknowledgedState.description == "aa@2001")
        stage.finish()
    }

    @Test("9: an adopted state takes no message twice") func adoption() {
        let stage = Stage(adopts: true)
        var connection = stage.connect(stage.a)
        stage.client.send("x")
        stage.client.send("a@")
        stage.network.settle()
        stage.network.cut(connection)
        // The log lost the acknowledgements of both, and has a as an unacknowledged message.
        stage.client.crash { log in
            log.rewind(to: SequenceNumber(1))
            _ = try? log.perform(
                .append([.message(LoggedMessage(number: SequenceNumber(2), content: Array("a@".utf8)))]))
        }
        stage.client.restart()
        connection = stage.connect(stage.a)
        let last = stage.client.send("c+")
        stage.network.settle()
        #expect(last.reply == "x a@1001 c")
        #expect(stage.client.events.contains(.adopted(at: SequenceNumber(2))))
        stage.finish()
    }

    @Test("10: a log opens no session of another principal or kind") func stranger() {
        let stage = Stage(checkpointBytes: 1)
        stage.connect(stage.a)
        stage.client.send("secret")
        stage.network.settle()
        #expect(stage.client.log.checkpoints.count == 1)
        let thief = stage.network.client("thief", log: stage.client.log.copy())
        thief.credentials = Array("mallory".utf8)
        stage.network.connect(thief, to: stage.b)
        let stolen = thief.read()
        stage.network.settle()
        #expect(thief.failure?.code == .brokenChain)
        #expect(stolen.reply == nil)
        #expect(stage.b.sessionCount == 0)
    }

    @Test("11: altered determinants reach no user code") func forgedDeterminants() {
        let stage = Stage()
        let connection = stage.connect(stage.a)
        for text in ["a@", "b@", "c@"] { stage.client.send(text) }
        stage.network.settle()
        stage.network.cut(connection)
        stage.client.crash { log in
            log.tamper { messages, _, _ in
                messages[1].determinants = Determinants(clock: WallTime(nanoseconds: 42)).encoded
            }
        }
        // A forger's client does not verify its own log.
        stage.client.restart()
        #expect(stage.client.breach != nil)
        var reader = HistoryReader(
            after: .start, keys: Forge.keys(of: stage.client), kindVersion: 1, stage.network.cryptography)
        #expect(throws: HistoryFault.self) { _ = try Forge.verify(stage.client.log, by: &reader) }
    }

    @Test("12: a recall goes to the connection that attached last") func recallMoves() {
        var limits = ClientLimits()
        limits.rideAlong = 0
        let stage = Stage(limits: limits)
        stage.connect(stage.a)
        stage.client.send("a")
        stage.network.settle()
        stage.a.crash()
        let dead = stage.network.connect(stage.client, to: stage.a)
        dead.holdsToClient = true
        stage.network.settle()
        stage.network.deliverToClient(dead)
        stage.network.settle()
        #expect(stage.a.recallCount == 1)
        stage.network.cutAtClient(dead)
        stage.connect(stage.a)
        #expect(stage.status(stage.a)?.phase == .live)
        stage.finish()
    }

    @Test("13: a history finds its way through full queues") func fullQueues() {
        var limits = ClientLimits()
        (limits.windowMessages, limits.rideAlong, limits.receiptInterval) = (8, 0, 0)
        let stage = Stage(limits: limits)
        let connection = stage.connect(stage.a)
        for index in 0..<40 {
            stage.client.send("a\(index)")
            stage.network.settle()
        }
        stage.client.log.sliceBytes = 1
        stage.network.cut(connection)
        stage.a.crash()
        for index in 0..<20 { stage.client.send("b\(index)@") }
        stage.connect(stage.a)
        stage.finish()
        #expect(stage.client.acknowledged == SequenceNumber(60))
    }
}
