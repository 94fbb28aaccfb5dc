import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// A log made under a session's true keys: whatever it says verifies, as if a server had accepted it.
struct ForgedLog {
    struct Line {
        var text: String
        var determinants: [UInt8] = []

        init(_ text: String, clock: Int64) {
            self.init(text, Determinants(clock: WallTime(nanoseconds: clock)).encoded)
        }
        init(_ text: String, _ determinants: [UInt8] = []) { (self.text, self.determinants) = (text, determinants) }
    }

    struct KeptState {
        var number: Int
        var state: String
        var outputs = Digest()
        var segments = 1
    }

    let keys = Forge.keys(session: Peer.session)
    var lines: [Line]
    var checkpoint: KeptState?

    init(_ lines: Line..., checkpoint: KeptState? = nil) { (self.lines, self.checkpoint) = (lines, checkpoint) }

    /// The positions from the start on, the start included.
    var positions: [Position] {
        let sealer = Sealer(vector: keys.vector, Forge.cryptography)
        var positions = [Position.start]
        for line in lines {
            let before = positions[positions.count - 1]
            let (number, content) = (before.number.next, Array(line.text.utf8))
            positions.append(
                Position(
                    number: number, seal: sealer.seal(.update, content.span.bytes, number: number, after: before.seal),
                    inputs: Forge.cryptography.inputs(
                        line.determinants.span.bytes, number: number, after: before.inputs)))
        }
        return positions
    }

    func receipt(at position: Position) -> Receipt {
        keys.makeReceipt(
            position, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 1), Forge.cryptography)
    }

    /// A checkpoint that opens under the keys.
    func sealed(_ kept: KeptState, at position: Position) -> Checkpoint {
        let header = CheckpointHeader(
            kindVersion: 1, position: position, outputs: kept.outputs, time: WallTime(nanoseconds: 1),
            segmentCount: UInt32(kept.segments))
        let state = Array(kept.state.utf8)
        let segments = (0..<kept.segments).map { index in
            let part = Array(state[state.count * index / kept.segments..<state.count * (index + 1) / kept.segments])
            return header.seal(
                part.span.bytes, segment: UInt32(index), nonce: [UInt8](repeating: UInt8(index + 1), count: 12), keys,
                Forge.cryptography)
        }
        return header.checkpoint(segments)
    }

    /// With a receipt at each line.
    func log() throws -> CoreLog {
        let log = CoreLog()
        try log.begin(
            LogHeader(
                session: Peer.session, vector: keys.vector, kindName: CoreNetwork.kindName, kindVersion: 1))
        for (line, position) in zip(lines, positions.dropFirst()) {
            let determinants = line.determinants.isEmpty ? [] : [(number: position.number, bytes: line.determinants)]
            let message = LoggedMessage(number: position.number, content: Array(line.text.utf8))
            let acknowledgement = LoggedAcknowledgement(
                determinants: determinants, receipt: receipt(at: position), supersedes: nil)
            _ = try log.perform(.append([.message(message), .acknowledgement(acknowledgement)]))
            if let checkpoint, SequenceNumber(UInt64(checkpoint.number)) == position.number {
                _ = try log.perform(.keep(sealed(checkpoint, at: position), truncating: .zero))
            }
        }
        return log
    }
}

/// What a log whose seals, determinants and receipts are all true can still do to a recall.
@Suite struct RecallEdgeTests {
    /// Recalls a log on a server; gives why the client was refused, if it was.
    func recall(
        _ forged: ForgedLog, on network: CoreNetwork = CoreNetwork(), endsEffects: Bool = true,
        then: (CoreServer) -> Void = { _ in }
    ) throws -> (code: FaultCode, text: String)? {
        let client = network.client("forger", log: try forged.log())
        network.connect(client, to: network.servers[0])
        client.read()
        network.settle(endingEffects: endsEffects)
        then(network.servers[0])
        network.settle()
        return client.failure
    }

    @Test func determinantsThatNoServerWrites() throws {
        let network = CoreNetwork()
        let failure = try #require(try recall(ForgedLog(.init("a"), .init("b", [9])), on: network))
        #expect(failure.code == .diverged)
        #expect(failure.text == "the determinants of update 2 are malformed")
        #expect(network.servers[0].sessionCount == 0)
    }

    @Test func aPoisonedUpdateIsNotReplayed() throws {
        let (network, forged) = (CoreNetwork(), ForgedLog(.init("a"), .init("b")))
        let host = network.servers[0].host
        for _ in 0..<host.poisonDeaths { host.suspect(Peer.session, SequenceNumber(2), forged.positions[2].seal) }
        let failure = try #require(try recall(forged, on: network))
        #expect(failure.code == .poisoned)
        #expect(failure.text.hasPrefix("update 2 was accepted before"))
        #expect(host.applied == 1 && network.servers[0].sessionCount == 0)
    }

    /// This code does not read the clock that the first run read.
    @Test func aClockThatIsNotReadAgain() throws {
        let failure = try #require(try recall(ForgedLog(.init("a", clock: 5))))
        #expect(failure.code == .diverged)
        #expect(failure.text == "update 1 reads the clock otherwise than the first time")
    }

    @Test func anUpdateThatBreaksTheStateInAReplay() throws {
        let failure = try recall(ForgedLog(.init("a"), .init("b~")), endsEffects: false) { server in
            #expect(server.endApplication(.broken(Array("as told".utf8))))
        }
        #expect(failure?.code == .inconsistent)
        #expect(failure?.text == "update 2 breaks the state: as told")
    }

    /// The checkpoint and the receipt that was made at the same update tell of different replies, and no message is
    /// left that could say which is right.
    @Test func aCheckpointThatContradictsTheReceiptBesideIt() throws {
        let outputs = try #require(Digest([UInt8](repeating: 1, count: 32)))
        let forged = ForgedLog(
            .init("a"), .init("b"), checkpoint: .init(number: 2, state: "a\nb", outputs: outputs))
        let failure = try #require(try recall(forged))
        #expect(failure.code == .diverged)
        #expect(failure.text == "replaying updates 2-2 gives other replies than the first time")
    }

    /// What was confirmed here is at the very position of the checkpoint, with another clock.
    @Test func aCheckpointOfAnotherBranchIsForked() throws {
        let network = DecisionTests.make(.tombstone).network
        let forged = ForgedLog(
            .init("a@", clock: 9001), .init("b@", clock: 9002), checkpoint: .init(number: 1, state: "a@9001"))
        let failure = try #require(try recall(forged, on: network))
        #expect(failure.code == .forked)
        #expect(failure.text.hasPrefix("update 1 was confirmed with another content or outcome"))
        #expect(network.servers[0].state(of: Peer.session) == nil)
    }

    @Test func aCheckpointOfSeveralSegmentsIsTaken() throws {
        let network = CoreNetwork()
        let forged = ForgedLog(
            .init("a@", clock: 1001), .init("b@", clock: 2002),
            checkpoint: .init(number: 1, state: "a@1001", segments: 3))
        #expect(try recall(forged, on: network) == nil)
        #expect(network.servers[0].state(of: Peer.session)?.description == "a@1001 b@2002")
    }

    @Test func aCheckpointOfTheConfirmedBranchIsTaken() throws {
        let network = DecisionTests.make(.tombstone).network
        let forged = ForgedLog(
            .init("a@", clock: 1001), .init("b@", clock: 2002), checkpoint: .init(number: 1, state: "a@1001"))
        #expect(try recall(forged, on: network) == nil)
        #expect(network.servers[0].state(of: Peer.session)?.description == "a@1001 b@2002")
    }

    // MARK: What a peer may say

    /// A client that has nothing acknowledged and speaks of a checkpoint is asked for it, and may answer that it has
    /// none: its session begins.
    @Test func aRecallOfNothing() throws {
        let network = CoreNetwork()
        let (server, keys) = (network.servers[0], Forge.keys(session: Peer.session))
        let connection = network.connect(network.client("peer"), to: server)
        network.deliverToServer(connection)
        func hear<F: FrameFields>(_ type: F.Type) throws -> F {
            server.pump()
            defer { connection.toClient = [] }
            let body = try #require(connection.toClient.last)
            return try #require(try VectorFrame.read(body, fromServer: true).fields as? F)
        }
        let nonce = try hear(ServerHello.self).nonce
        let claim = AttachClaim(
            session: Peer.session, kindVersion: 1, kindName: CoreNetwork.kindName, receipt: nil, last: .zero,
            lastSeal: Digest(), checkpoint: (.zero, 8), historyFollows: false)
        let leaf = claim.sealed(nonce: nonce, by: Sealer(vector: keys.vector, Forge.cryptography))
        let stream = StreamID(1)
        server.receive(connection, HistoryEdgeTests.body(Attach(stream: stream, leaf: leaf, claim: claim)))
        let request = try hear(RecallRequest.self)
        #expect(request.origin == .newest)
        server.receive(
            connection, HistoryEdgeTests.body(HistoryStart(stream: stream, recall: request.recall, base: .start)))
        let chunk = HistoryChunk(
            stream: stream, recall: request.recall, isLast: true, first: SequenceNumber(1), receipt: nil)
        server.receive(connection, HistoryEdgeTests.body(chunk))
        #expect(try hear(Attached.self).replayed == 0)
        let status = try #require(server.status(of: Peer.session))
        #expect(status.phase == .live && status.head == .start && server.recallCount == 0)
    }

    /// A chunk may lack a receipt only if it says that there is no history at all.
    @Test(arguments: [0, 2], [false, true]) func aChunkWithoutAReceipt(count: Int, isLast: Bool) {
        for place in [DecisionTests.Place.full, .gap] {
            let peer = DecisionTests.make(place)
            let base = place == .gap ? 1 : 0
            peer.historyStart(place == .gap ? .gap : .start)
            let chunk = HistoryChunk(
                stream: peer.stream, recall: peer.recall, isLast: isLast, first: SequenceNumber(UInt64(base + 1)),
                receipt: nil)
            peer.say(chunk) { writer in
                for message in DecisionTests.story.prefix(count).messages.dropFirst(base) {
                    writer.block(message.content.span.bytes)
                    writer.block(message.determinants.span.bytes)
                }
            }
            let code = place == .full && count == 0 && isLast ? "brokenChain" : "badReceipt"
            #expect(peer.hear() == [place == .gap ? "recall newest" : "refused \(code)"], "\(place)")
            #expect(peer.server.state(of: peer.session)?.items.isEmpty != false)
        }
    }

    /// Where no place is free and no queue, a copy that only lacks the newest updates is kept for the next attach.
    @Test func aGapThatFindsNoPlaceKeepsTheCopy() {
        var limits = HandlerLimits()
        (limits.recalls.concurrent, limits.recalls.waiting) = (1, 0)
        let network = CoreNetwork(limits: limits)
        let (peer, story) = (Peer(network), DecisionTests.story)
        peer.attach(Story(), acknowledged: 0)
        peer.update(story.prefix(1), from: 1)
        peer.hear()
        peer.confirm(story.positions(peer.keys)[1])
        let first = Peer(network, session: SessionID(high: 1 << 48, low: 99))
        first.attach(story, acknowledged: 1)
        #expect(first.hear() == ["recall newest"])
        peer.attach(story.prefix(2), acknowledged: 2)
        #expect(peer.hear() == ["refused overloaded"])
        #expect(DecisionTests.look(peer) == "live 1/1")
        #expect(peer.server.state(of: peer.session)?.description == "a@1001")
        first.say(Detach(stream: first.stream))
        peer.attach(story.prefix(2), acknowledged: 2)
        #expect(peer.hear() == ["recall after 1"])
    }
}
