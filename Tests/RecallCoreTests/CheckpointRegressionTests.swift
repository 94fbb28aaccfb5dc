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
}
