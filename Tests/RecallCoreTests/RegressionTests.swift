import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// One test for each bug that the schedules or a review found, as short as it goes.
@Suite struct RegressionTests {
    /// The effect waited for a confirmation of an update whose acknowledgement was lost, and nothing was acknowledged
    /// again while it waited.
    @Test func anEffectThatAwaitsConfirmationLetsLostAcknowledgementsBeSentAgain() {
        judge { network, client in
            let connection = network.connect(client, to: network.servers[0])
            network.settle()
            connection.holdsToClient = true
            client.send("a@")
            let effect = client.send("b!+")
            network.settle()
            network.cut(connection)
            network.connect(client, to: network.servers[0])
            network.settle()
            #expect(effect.reply == "a@1001 b!1002")
        }
    }

    /// The client lost the update whose effect had not started; it must not start.
    @Test func anEffectDoesNotStartForAMessageThatTheLogLost() {
        judge { network, client in
            let connection = network.connect(client, to: network.servers[0])
            network.settle()
            connection.holdsToClient = true
            client.send("a@")
            client.send("b!")
            network.settle()
            network.cut(connection)
            client.crash { $0.loseUnacknowledged(1) }
            client.restart()
            network.connect(client, to: network.servers[0])
            network.settle()
            #expect(network.servers[0].host.drawCount == 1)
            #expect(client.send("c+").result == nil)
            network.settle()
            #expect(client.log.acknowledgedState.description == "a@1001 c")
        }
    }

    /// The attach said how large the checkpoint in hand was, and meanwhile the log kept a larger one.
    @Test func noAttachWhileACheckpointIsBeingKept() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 4))
        var limits = ClientLimits()
        limits.rideAlong = 0
        judge(terms: terms, clientLimits: limits) { network, client in
            let connection = network.connect(client, to: network.servers[0])
            client.send("aaaa")
            network.settle()
            client.send("bbbbbbbbbbbbbbbbbbbbbbbb")
            client.work()
            while network.deliverToServer(connection) {}
            network.servers[0].pump()
            client.logIsImmediate = false
            while network.deliverToClient(connection) {}
            client.stepLog()  // the acknowledgement; the checkpoint has yet to be kept
            network.servers[0].crash()
            network.connect(client, to: network.servers[0])
            client.send("c")
            network.settle()
            client.logIsImmediate = true
        }
    }

    /// A stream that ended in the middle of a recall kept the recall's place for ever.
    @Test func aMisfitInARecallGivesItsPlaceBack() {
        let network = CoreNetwork(servers: 1)
        var limits = ClientLimits()
        limits.rideAlong = 0
        let client = network.client(limits: limits)
        network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        network.servers[0].crash()
        let connection = network.connect(client, to: network.servers[0])
        client.send("b")
        connection.holdsToClient = true
        network.settle()
        while network.deliverToClient(connection), client.currentStream == nil { client.work() }
        network.settle()
        #expect(network.servers[0].recallCount == 1)
        let stream = client.currentStream ?? StreamID(0)
        client.inject(UpdateRun(stream: stream, confirmed: nil, first: SequenceNumber(9), seal: Digest())) {
            $0.block([1].span.bytes)
        }
        network.settle()
        #expect(network.servers[0].recallCount == 0)
        connection.holdsToClient = false
        network.settle()
        #expect(client.acknowledged == SequenceNumber(2))
    }

    /// The attach of a connection that the client had given up arrived behind that of the next one.
    @Test func aLateAttachOfADeadConnectionDoesNotEndTheSession() {
        judge { network, client in
            network.connect(client, to: network.servers[0])
            client.send("a")
            network.settle()
            let dead = network.connect(client, to: network.servers[0])
            network.settle()
            dead.holdsToServer = true
            client.send("b")
            client.stall()
            client.work()
            network.connect(client, to: network.servers[0])
            network.settle()
            client.send("c")
            client.work()
            while network.deliverToServer(dead) {}
            network.settle()
            #expect(client.acknowledged == SequenceNumber(3))
        }
    }

    /// What the client had sent before it adopted the server's state stayed in the server's queue, and requests under
    /// way were never sent again.
    @Test func adoptionForgetsWhatWasSentBeforeIt() {
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true))
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        client.send("b")
        network.settle()
        network.cut(connection)
        client.crash { $0.rewind(to: SequenceNumber(1)) }
        client.restart()
        network.connect(client, to: network.servers[0])
        let unknown = client.send("c")
        let read = client.read()
        network.settle()
        #expect(unknown.failure == .outcomeUnknown)
        #expect(read.reply == "a b")
        let next = client.send("d+")
        network.settle()
        #expect(next.reply == "a b d")
        #expect(client.events.filter { if case .attached = $0 { true } else { false } }.count == 2)
        #expect(network.servers[0].recallsStarted == 0)
    }

    /// An effect that waited for a confirmation kept the client from adopting, and the confirmation could never come.
    @Test func adoptionDoesNotWaitForAnEffectThatHasNotStarted() {
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true))
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        client.send("b")
        network.settle()
        connection.holdsToClient = true
        client.send("c@")
        client.send("d!")
        network.settle()
        network.cut(connection)
        client.crash { $0.rewind(to: SequenceNumber(1)) }
        client.restart()
        network.connect(client, to: network.servers[0])
        network.settle()
        #expect(client.acknowledged == SequenceNumber(3))
    }

    /// After an adoption the log knows nothing of what came before, and was asked for it all the same.
    @Test func aGapFromBeforeAnAdoptionIsAnsweredInFull() {
        var limits = ClientLimits()
        limits.rideAlong = 0
        let network = CoreNetwork(servers: 2, terms: CoreNetwork.terms(adoptsBehind: true))
        let client = network.client(limits: limits)
        let first = network.connect(client, to: network.servers[1])
        client.send("a")
        network.settle()
        network.cut(first)
        let second = network.connect(client, to: network.servers[0])
        client.send("b")
        client.send("c")
        network.settle()
        network.cut(second)
        client.crash { $0.rewind(to: SequenceNumber(2)) }
        client.restart()
        let third = network.connect(client, to: network.servers[0])
        network.settle()
        #expect(client.acknowledged == SequenceNumber(3))
        network.cut(third)
        network.connect(client, to: network.servers[1])
        let last = client.send("d+")
        network.settle()
        #expect(client.breach == nil)
        #expect(last.reply == "a b c d")
    }

    /// The log answered a read for a recall that another one had replaced; its slice was taken for the new one's.
    @Test func aReadForAnEarlierRecallIsNotTakenForThePresentOne() {
        var limits = ClientLimits()
        (limits.rideAlong, limits.receiptInterval) = (0, 0)
        judge(servers: 2, clientLimits: limits) { network, client in
            client.log.sliceBytes = 1
            var connection = network.connect(client, to: network.servers[0])
            for name in ["a", "b", "c", "d"] {
                client.send(name)
                network.settle()
            }
            network.cut(connection)
            client.logIsImmediate = false
            connection = network.connect(client, to: network.servers[1])
            network.settle()
            client.stepLog()  // the first slice goes out
            network.settle()
            guard client.beginLogOperation() else { return }  // the second is being read
            network.cut(connection)
            network.connect(client, to: network.servers[1])
            network.settle()
            client.endLogOperation()
            client.logIsImmediate = true
            client.send("e")
        }
    }

    /// A client that sent its whole window at once was refused for keeping no checkpoint before it had been offered
    /// one.
    @Test func aFullWindowIsNoRefusalToKeepCheckpoints() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 8, patience: 2))
        judge(terms: terms) { network, client in
            let connection = network.connect(client, to: network.servers[0])
            network.settle()
            for index in 0..<10 {
                client.send("aaaaaaaaaa\(index)")
                client.work()
            }
            while network.deliverToServer(connection) { network.servers[0].pump() }
        }
    }

    /// A state that does not encode is never offered, which is not the client's fault.
    @Test func aStateThatDoesNotEncodeDoesNotEndTheSession() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 8, patience: 2))
        judge(terms: terms) { network, client in
            network.servers[0].host.encodesNothing = true
            network.connect(client, to: network.servers[0])
            for index in 0..<10 {
                client.send("aaaaaaaaaa\(index)")
                network.settle()
            }
        }
    }

    /// A client that keeps none of the checkpoints it is offered is refused in the end.
    @Test func aClientThatKeepsNoCheckpointIsRefused() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 8, patience: 2))
        var limits = HandlerLimits()
        (limits.windowMessages, limits.windowBytes) = (4, 64)
        let network = CoreNetwork(servers: 1, terms: terms, limits: limits)
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        network.settle()
        for index in 0..<100 where client.failure == nil {
            client.send("aaaaaaaaaa\(index)")
            for _ in 0..<10 {
                client.work()
                while network.deliverToServer(connection) {}
                network.servers[0].pump()
                connection.toClient.removeAll { $0.first == FrameType.offer.rawValue }
                while network.deliverToClient(connection) {}
            }
        }
        #expect(client.failure?.code == .checkpointRequired)
        #expect(client.acknowledged < SequenceNumber(60))
    }

    /// With an effect always under way no checkpoint was ever offered.
    @Test func checkpointsAreOfferedWhileAnEffectIsUnderWay() {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 8))
        judge(terms: terms) { network, client in
            network.connect(client, to: network.servers[0])
            for index in 0..<8 { client.send("effect\(index)!") }
            for _ in 0..<8 {
                for _ in 0..<20 { network.round(false) }
                network.servers[0].endEffect()
            }
            #expect(client.log.checkpoints.count > 0)
        }
    }

    /// A refusal in the same read as an acknowledgement failed what was on its way into the log: the caller was told
    /// that the outcome is unknown, and no later run of it could tell.
    @Test func whatIsAcknowledgedIsAnsweredThoughTheSessionEnds() {
        let network = CoreNetwork(servers: 1)
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        network.settle()
        client.logIsImmediate = false
        let (first, second) = (client.send("a+"), client.send("b+"))
        client.work()
        client.stepLog()
        client.work()
        while network.deliverToServer(connection) {}
        network.servers[0].pump()
        while network.deliverToClient(connection) {}
        var refusal = ByteWriter()
        refusal.frame(Refusal(stream: client.currentStream ?? .connection, .diverged, "as told"))
        let third = client.send("c")
        client.work()
        client.receive(connection, Array(refusal.bytes.dropFirst(4)))
        client.work()
        #expect(client.failure?.code == .diverged)
        #expect(first.result == nil && third.failure == .diverged)
        while client.stepLog() { client.work() }
        #expect(first.reply == "a" && second.reply == "a b")
        #expect(client.breach == nil && client.isQuiet)
    }

    /// A log that failed once was asked for the next append, which does not extend it.
    @Test func aLogThatFailedIsAskedForNothingMore() throws {
        var machine = ClientMachine(
            RecoveredLog(
                header: LogHeader(
                    session: Peer.session, vector: Digest(), kindName: CoreNetwork.kindName, kindVersion: 1)),
            .swiftCrypto)
        machine.submit([1], call: CallID(1))
        let first = machine.nextLogOperation()
        machine.submit([2], call: CallID(2))
        machine.logFailed(.logFailed, "the disk is full")
        let (next, isIdle) = (machine.nextLogOperation(), machine.isLogIdle)
        #expect(first != nil && next == nil && isIdle)
        let told = machine.takeEvents().filter {
            if case .deliver(_, .failed(.logFailed, _)) = $0 { true } else { false }
        }
        #expect(told.count == 2)
    }

    /// Updates without a reply are answered together; what lies between them is not.
    @Test func eachCallOfAnAcknowledgementGetsItsOwnAnswer() {
        let network = CoreNetwork(servers: 1)
        let client = network.client()
        network.connect(client, to: network.servers[0])
        let updates = ["a", "b", "c"].map { client.send($0) }
        let read = client.read()
        let others = ["d", "e+", "f", "g-", "h"].map { client.send($0) }
        let forgotten = client.send("i")
        client.forget(forgotten)
        let last = client.send("j")
        network.settle()
        #expect((updates + others + [read, last]).allSatisfy { $0.results.count == 1 } && forgotten.results == [])
        #expect((updates + [others[0], others[2], others[4], last]).allSatisfy { $0.reply == "" })
        #expect(read.reply?.hasPrefix("a b c") == true)
        #expect(others[1].reply?.isEmpty == false)
        #expect(others[3].reply == nil)
        #expect(client.isQuiet)
    }

    // MARK: Updates and histories

    /// A rejection longer than determinants may be broke its copy, again and again, until its update was given up.
    @Test func aRejectionThatIsTooLongFailsItsUpdateAlone() {
        judge { network, client in
            network.connect(client, to: network.servers[0])
            client.send("a")
            network.settle()
            network.servers[0].host.rejectionBytes = WireLimits.determinants
            let refused = client.send("b-")
            network.settle()
            #expect(refused.failure == .messageTooLarge)
            let last = client.send("c+")
            network.settle()
            #expect(last.reply == "a c")
            #expect(network.servers[0].host.applied == 3)
        }
    }

    /// Chunks without messages were taken as progress for ever.
    @Test func anEmptyChunkThatIsNotTheLastIsRefused() {
        let peer = Peer(CoreNetwork(servers: 1))
        let story = Story(("a", nil), ("b", nil))
        peer.attach(story, acknowledged: 2)
        peer.hear()
        peer.historyStart(.start)
        let first = story.prefix(1)
        peer.say(
            HistoryChunk(
                stream: peer.stream, recall: peer.recall, isLast: false, first: SequenceNumber(1),
                receipt: first.receipt(peer.keys))
        ) {
            $0.block(Array("a".utf8).span.bytes)
            $0.block([UInt8]().span.bytes)
        }
        peer.say(
            HistoryChunk(
                stream: peer.stream, recall: peer.recall, isLast: false, first: SequenceNumber(2),
                receipt: first.receipt(peer.keys)))
        #expect(peer.hear().last == "refused malformedFrame")
    }
}
