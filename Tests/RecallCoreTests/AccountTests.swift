import RecallCore
import RecallTesting
import Testing

/// What a handler counts and bounds: output, memory, recalls, dropped copies, attempts to encode.
@Suite struct AccountTests {
    private static let story = Story(("a@", 1001), ("b@", 1002), ("c", nil))

    /// A peer whose session is live with the first updates of a story, confirmed.
    private func live(_ network: CoreNetwork, _ story: Story) -> Peer {
        let peer = Peer(network)
        peer.attach(story, acknowledged: 0)
        peer.hear()
        peer.update(story, from: 1)
        peer.hear()
        peer.confirm(story.positions(peer.keys).last ?? .start)
        return peer
    }

    /// A state was encoded and offered at every attach, whether or not the connection took anything.
    @Test func noStateIsOfferedToWhoReadsNothing() {
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true))
        let peer = live(network, Self.story.prefix(2))
        network.servers[0].setWritable(peer.connection, false)
        let before = network.servers[0].host.encodings
        for _ in 0..<3 {
            peer.attach(Self.story.prefix(1), acknowledged: 1)
            #expect(peer.hear() == ["refused overloaded"])
        }
        #expect(network.servers[0].host.encodings == before)
        network.servers[0].setWritable(peer.connection, true)
        peer.attach(Self.story.prefix(1), acknowledged: 1)
        #expect(peer.hear() == ["adopt 2"])
    }

    /// Offers count as output: as many as fit the bound go out at once, and no more.
    @Test func offersAreOutput() {
        var limits = HandlerLimits()
        limits.replyBytes = 1
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true), limits: limits)
        let peer = live(network, Self.story.prefix(2))
        peer.hear()
        peer.attach(Self.story.prefix(1), acknowledged: 1)
        peer.attach(Self.story.prefix(1), acknowledged: 1)
        #expect(peer.hear() == ["adopt 2", "refused overloaded"])
    }

    /// A state that never encodes was encoded at every flush.
    @Test func aStateThatDoesNotEncodeIsTriedEverMoreSeldom() {
        let network = CoreNetwork(
            servers: 1, terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 8)))
        let client = network.client()
        network.connect(client, to: network.servers[0])
        network.servers[0].host.encodesNothing = true
        for index in 0..<1000 {
            client.send("m\(index)")
            network.settle()
        }
        #expect(client.acknowledged == SequenceNumber(1000))
        #expect((2...12).contains(network.servers[0].host.encodings))
        network.servers[0].host.encodesNothing = false
        for index in 0..<1100 {
            client.send("n\(index)")
            network.settle()
        }
        #expect(client.log.checkpoints.first != nil)
    }

    /// What waits behind an effect was not counted.
    @Test func queuedMessagesCountAsMemory() {
        let network = CoreNetwork(servers: 1)
        let client = network.client()
        network.connect(client, to: network.servers[0])
        client.send("effect!")
        network.settle(endingEffects: false)
        let before = network.servers[0].memoryInUse
        for _ in 0..<10 { client.send(String(repeating: "x", count: 20_000)) }
        client.read("get" + String(repeating: "x", count: 20_000))
        network.settle(endingEffects: false)
        #expect(network.servers[0].memoryInUse - before >= 220_000)
        if let connection = client.connection { network.cut(connection) }
        #expect(network.servers[0].memoryInUse - before < 1000)
    }

    /// Nothing is left when every session is gone.
    @Test func accountsCloseAtZero() {
        let network = CoreNetwork(
            servers: 1, terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 16)))
        for index in 0..<4 {
            let client = network.client("c\(index)")
            network.connect(client, to: network.servers[0])
            for text in ["aaaa@", "bbbb+", "cccc!", "dddd"] { client.send(text) }
            network.settle(endingEffects: index % 2 == 0)
            network.servers[0].crash()
            network.connect(client, to: network.servers[0])
            network.settle(endingEffects: index % 2 == 0)
            if let session = client.session { network.servers[0].delete(session) }
        }
        network.advance(nanoseconds: 1_000_000)
        network.servers[0].evictIdle(since: network.now)
        #expect(network.servers[0].sessionCount == 0)
        #expect(network.servers[0].memoryInUse == 0)
    }

    /// A chunk of one large message was counted as 64 KiB.
    @Test func recallsCountWhatTheyHold() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 10
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 5) == .admitted)
        admission.hold(SlotID(0), bytes: 8)
        admission.hold(SlotID(0), bytes: 6)
        #expect(admission.request(SlotID(1), from: ConnectionID(1), bytes: 3) == .waiting)
        admission.finish(SlotID(0))
        #expect(admission.next() == SlotID(1))
        #expect(admission.request(SlotID(2), from: ConnectionID(1), bytes: 7) == .admitted)
    }

    /// Copies that turn out to be orphans only when their client's messages come were dropped without a bound.
    @Test func copiesDroppedLateAreCountedToo() {
        var limits = HandlerLimits()
        limits.drops = 2
        let network = CoreNetwork(servers: 1, limits: limits)
        let peer = live(network, Self.story.prefix(1))
        let (mine, other) = (Story(("a@", 1001), ("x", nil)), Story(("a@", 1001), ("y", nil), ("z", nil)))
        peer.hear()
        var heard: [String] = []
        for round in 0..<4 {
            peer.attach(round == 0 ? mine : other, acknowledged: 1)
            heard += peer.hear()
            if heard.last == "recall newest" {
                peer.historyStart(.start)
                peer.history(mine.prefix(1), after: 0)
                peer.hear()
                peer.attach(mine, acknowledged: 1)
                peer.hear()
            }
            guard !heard.contains("refused overloaded") else { break }
            peer.update(mine, from: 2)
            peer.hear()
            peer.attach(other, acknowledged: 1)
            peer.hear()
            peer.update(other, from: 2)
            heard += peer.hear()
        }
        #expect(heard.filter { $0 == "gone" }.count == 3)
        #expect(heard.last == "refused overloaded")
    }

    /// A link that needs longer than a recall's patience for one large frame lost its place, whole frames alone being
    /// progress.
    @Test func aSlowLinkIsNotASilentClient() {
        var limits = HandlerLimits()
        limits.recalls.concurrent = 1
        let network = CoreNetwork(servers: 1, limits: limits)
        let server = network.servers[0]
        let slow = Peer(network)
        let other = Peer(network, session: SessionID(high: 1 << 48, low: 2))
        for peer in [slow, other] {
            peer.attach(Self.story.prefix(1), acknowledged: 1)
            peer.hear()
        }
        for _ in 0..<10 {
            network.advance(nanoseconds: 20)
            server.partArrived(slow.connection, byteCount: WireLimits.receiptInterval)
            network.advance(nanoseconds: 20)
            server.evictStarved(since: network.now - 30)
        }
        #expect(server.status(of: slow.session)?.phase == .recalling)
        // A byte now and then does not hold the place.
        server.partArrived(slow.connection, byteCount: 1)
        network.advance(nanoseconds: 40)
        server.evictStarved(since: network.now - 30)
        #expect(server.status(of: slow.session) == nil)
        #expect(server.status(of: other.session)?.phase == .recalling)
    }
}
