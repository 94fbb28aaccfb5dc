import RecallCore
import RecallTesting
import Testing

@Suite struct CheckpointTests {
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
