import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// As `RegressionTests`, for checkpoints that a log keeps, loses the proof of, or adopts.
@Suite struct CheckpointRegressionTests {
    // MARK: Checkpoints

    /// The receipt at a checkpoint went with the next acknowledgement: with the newest receipt damaged, nothing proved
    /// what the checkpoint stands on. And if that one is damaged, another proves the older checkpoint.
    @Test func theReceiptAtTheNewestCheckpointStays() throws {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 40))
        try judge(terms: terms) { network, client in
            network.connect(client, to: network.servers[0])
            for index in 0..<20 {
                client.send("aaaa\(index)@")
                network.settle()
                guard let checkpoint = client.log.checkpoints.first?.position else { continue }
                let answer = try client.log.perform(.readReceipt(atOrBefore: checkpoint.number))
                guard case .receipt(let receipt) = answer else { continue }
                #expect(receipt?.position == checkpoint)
                guard let older = client.log.checkpoints.dropFirst().first?.position.number else { continue }
                let before = SequenceNumber(checkpoint.number.rawValue - 1)
                guard case .receipt(let other) = try client.log.perform(.readReceipt(atOrBefore: before))
                else { continue }
                #expect(other.map { $0.position.number > older } == true)
            }
            #expect(client.log.checkpoints.count == 2)
        }
    }

    /// As above, while the checkpoint is on its way into the log.
    @Test func theReceiptAtACheckpointThatIsBeingKeptStays() throws {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 6))
        try judge(terms: terms) { network, client in
            let connection = network.connect(client, to: network.servers[0])
            network.settle()
            client.logIsImmediate = false
            for text in ["aaaaaaa", "b"] {
                client.send(text)
                client.work()
                client.stepLog()
                client.work()
            }
            while network.deliverToServer(connection) { network.servers[0].pump() }
            while network.deliverToClient(connection) {}
            client.logIsImmediate = true
            network.settle()
            let checkpoint = try #require(client.log.checkpoints.first?.position)
            guard case .receipt(let receipt) = try client.log.perform(.readReceipt(atOrBefore: checkpoint.number))
            else { return }
            #expect(receipt?.position == checkpoint)
        }
    }

    /// A log that claims a checkpoint past all its receipts ended the connection, and with it other sessions.
    @Test func aCheckpointPastTheReceiptsEndsItsSessionAlone() {
        let peer = Peer(CoreNetwork(servers: 1))
        let story = Story(("a", nil), ("b", nil))
        peer.attach(story, acknowledged: 1, checkpoint: (SequenceNumber(2), 100))
        #expect(peer.hear() == ["refused badCheckpoint"])
        #expect(peer.server.sessionCount == 0)
        peer.attach(story, acknowledged: 1)
        #expect(peer.hear() == ["recall newest"])
    }

    // MARK: Adoption

    /// Those whose messages were given up were told so before the log had adopted anything: after a crash in between
    /// the messages were sent again.
    @Test func outcomesAreUnknownOnlyOnceTheLogHasAdopted() throws {
        var machine = try Self.adopting()
        let early = Self.deliveries(&machine)
        machine.logAnswered(.done)
        let late = Self.deliveries(&machine)
        #expect(early == [] && late == [.outcomeUnknown, .outcomeUnknown])
    }

    @Test func aLogThatCannotAdoptFailsItsCallers() throws {
        var machine = try Self.adopting()
        machine.logFailed(.logFailed, "the disk is full")
        let told = Self.deliveries(&machine)
        #expect(told == [.logFailed, .logFailed])
    }

    /// A client that is closed meanwhile waits for its log, and its callers hear what it says.
    @Test func closingDuringAnAdoptionTellsItsOutcome() throws {
        var machine = try Self.adopting()
        machine.fail(.closed, "the client was closed")
        let early = Self.deliveries(&machine)
        machine.logAnswered(.done)
        let late = Self.deliveries(&machine)
        #expect(early == [] && late == [.outcomeUnknown, .outcomeUnknown])
    }

    /// A client with two unanswered messages, whose log is at work on an adoption.
    private static func adopting() throws -> ClientMachine {
        let header = LogHeader(
            session: Peer.session, vector: Digest(), kindName: CoreNetwork.kindName, kindVersion: 1)
        var machine = ClientMachine(RecoveredLog(header: header), .swiftCrypto)
        for call in 1...2 { machine.submit([UInt8(call)], call: CallID(UInt64(call))) }
        while machine.nextLogOperation() != nil { machine.logAnswered(.done) }
        machine.attach(StreamID(1), nonce: Digest())
        let position = Position(number: SequenceNumber(5), seal: Digest(), inputs: Digest())
        let receipt = Forge.keys().makeReceipt(
            position, outputs: Digest(), kindVersion: 1, time: WallTime(nanoseconds: 1), Forge.cryptography)
        let offer = CheckpointHeader(
            kindVersion: 1, position: position, outputs: Digest(), time: receipt.time, segmentCount: 1)
        for body in [
            HistoryEdgeTests.body(Offer(stream: StreamID(1), header: offer, adoption: receipt)),
            HistoryEdgeTests.body(OfferSegment(stream: StreamID(1), index: 0)) { $0.integer(UInt8(1)) },
        ] {
            var reader = ByteReader(body.span.bytes)
            let type = try reader.frameType()
            try machine.receive(type, &reader)
        }
        var isAdopting = false
        while !isAdopting, let operation = machine.nextLogOperation() {
            if case .adopt = operation { isAdopting = true } else { machine.logAnswered(.done) }
        }
        #expect(isAdopting)
        return machine
    }

    /// The codes that callers were failed with since the last time.
    private static func deliveries(_ machine: inout ClientMachine) -> [FaultCode] {
        machine.takeEvents().compactMap {
            if case .deliver(_, .failed(let code, _)) = $0 { code } else { nil }
        }
    }
}
