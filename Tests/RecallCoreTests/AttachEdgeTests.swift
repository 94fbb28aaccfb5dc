import RecallCore
import RecallTesting
import Testing

/// Attaches and initiations that are refused for what the server is, or is at the moment.
@Suite struct AttachEdgeTests {
    /// A log whose newest receipt is older than its kind lets one be.
    @Test(arguments: [1_000_000, 3_000_000]) func aLogThatIsTooOldIsRefused(age: Int64) {
        var terms = CoreNetwork.terms()
        terms.maximumIdleAge = 2_000_000
        let network = CoreNetwork(servers: 1, terms: terms)
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        client.send("a")
        network.settle()
        #expect(client.acknowledged == SequenceNumber(1))
        network.cut(connection)
        network.servers[0].crash()
        network.advance(nanoseconds: age)
        network.connect(client, to: network.servers[0])
        network.settle()
        #expect(client.isLive == (age < 2_000_000))
        #expect(client.failure?.code == (age < 2_000_000 ? nil : .expired))
    }

    /// Who goes away begins nothing.
    @Test func aServerThatDrainsIssuesNoSession() {
        let network = CoreNetwork(servers: 1)
        let peer = Peer(network)
        network.servers[0].drain()
        peer.hear()
        peer.say(Initiate(stream: StreamID(1), kindVersion: 1, kindName: CoreNetwork.kindName))
        #expect(peer.hear() == ["refused draining"])
        peer.attach(Story(), acknowledged: 0)
        // The stream was used: that ends a connection.
        #expect(peer.hear().last == "closing unexpectedFrame")
    }

    /// A client that is behind what it had confirmed is to adopt a state, and that has no bytes.
    @Test func aStateThatDoesNotEncodeIsNotOfferedForAdoption() {
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true))
        let peer = Peer(network)
        let log = Story(("a", nil), ("b", nil))
        peer.attach(Story(), acknowledged: 0)
        peer.update(log, from: 1)
        peer.hear()
        peer.confirm(log.positions(peer.keys)[2])
        peer.hear()
        network.servers[0].host.encodesNothing = true
        peer.attach(log.prefix(1), acknowledged: 1)
        #expect(peer.hear() == ["refused clientBehind"])
        network.servers[0].host.encodesNothing = false
        peer.attach(log.prefix(1), acknowledged: 1)
        #expect(peer.hear() == ["adopt 2"])
    }
}
