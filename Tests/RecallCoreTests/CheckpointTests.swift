import RecallCore
import RecallTesting
import Testing

@Suite struct CheckpointTests {
    /// An adopted state is all that its log has. A server that cannot open it says so; its client used to look for the
    /// log's beginning instead, which no log has then, and failed with `logFailed`.
    @Test(arguments: [false, true]) func anAdoptedStateThatDoesNotOpenIsRefused(reopened: Bool) {
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true))
        let (client, server) = (network.client(), network.servers[0])
        let connection = network.connect(client, to: server)
        for text in ["a@", "b@"] {
            client.send(text)
            network.settle()
        }
        network.cut(connection)
        client.crash { $0.rewind(to: SequenceNumber(1)) }
        client.restart()
        network.connect(client, to: server)
        let read = client.read()
        network.settle()
        #expect(!client.log.isWhole && read.reply?.split(separator: " ").count == 2)
        if reopened {
            client.crash()
            client.restart()
        }
        server.crash()
        server.host.refusesCheckpoints = true
        network.settle()
        network.connect(client, to: server)
        client.read()
        network.settle()
        #expect(client.failure?.code == .badCheckpoint && client.breach == nil)
    }

    /// The word that a checkpoint is kept got lost, so it is offered again at the same position. Kept twice, it would
    /// count as both generations, and everything before it, its receipt too, would be forgotten.
    @Test func theSameCheckpointIsNotKeptTwice() {
        let network = CoreNetwork(
            servers: 1, terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 4)))
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        network.settle()
        client.send("aaaaaaaa")
        client.work()
        while network.deliverToServer(connection) {}
        network.servers[0].pump()
        connection.holdsToServer = true
        while network.deliverToClient(connection) {}
        client.work()
        #expect(client.log.checkpoints.count == 1)
        network.cut(connection)
        network.connect(client, to: network.servers[0])
        network.settle()
        #expect(client.log.checkpoints.count == 1)
        #expect(client.acknowledged == SequenceNumber(1))
        client.crash()
        client.restart()
        network.servers[0].crash()
        network.connect(client, to: network.servers[0])
        let read = client.read()
        network.settle()
        #expect(read.reply == "aaaaaaaa")
    }
}
