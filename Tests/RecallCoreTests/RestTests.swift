import RecallCore
import RecallTesting
import Testing

/// A live session that nobody uses keeps little, and goes on as if it had kept all.
@Suite struct RestTests {
    private let network: CoreNetwork
    private let client: CoreClient
    private var server: CoreServer { network.servers[0] }

    init() {
        network = CoreNetwork(
            servers: 1, terms: CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 40)))
        client = network.client()
        network.connect(client, to: network.servers[0])
    }

    private func send(_ texts: String...) {
        for text in texts { client.send(text) }
        network.settle()
    }

    private func rest() { server.rest() }

    /// Replies, clocks and outcomes have digests of their own, which the next acknowledgement builds on.
    @Test func itGoesOn() throws {
        for (round, text) in ["a", "b+", "c@", "d!", "e!+"].enumerated() {
            send(text)
            let session = try #require(client.session)
            let (before, memory) = (server.status(of: session), server.memoryInUse)
            rest()
            #expect(server.restingCount == 1)
            #expect(server.status(of: session) == before)
            #expect(server.memoryInUse < memory)
            #expect(server.recountedMemory == server.memoryInUse)
            #expect(client.acknowledged == SequenceNumber(UInt64(round + 1)))
        }
        let read = client.read()
        network.settle()
        #expect(server.recountedMemory == server.memoryInUse)
        #expect(read.result != nil)
        // The log proves all of it: another server gets to the same state.
        let state = try server.state(of: #require(client.session))
        server.crash()
        network.connect(client, to: server)
        send("f")
        #expect(server.recallsStarted == 1)
        #expect(try server.state(of: #require(client.session)).map { $0.items.count } == (state?.items.count ?? 0) + 1)
    }

    /// What a recall would replay is still known: a checkpoint is offered when it was due, and not later.
    @Test func itsDebtStays() {
        for _ in 0..<4 {
            send("0123456789")
            #expect(client.log.checkpoints.isEmpty)
            rest()
        }
        send("0123456789")
        #expect(client.log.checkpoints.first != nil)
    }

    @Test func oneInTheMiddleOfSomethingDoesNot() {
        client.send("slow!")
        network.settle(endingEffects: false)
        rest()
        #expect(server.restingCount == 0)
        network.settle()
        send("then")
        rest()
        #expect(server.restingCount == 1)
    }

    /// An attach that does not verify costs a hash or two; the keys of a session that rests are derived behind it.
    @Test func anInvalidAttachDoesNotWakeIt() throws {
        send("a")
        rest()
        let other = network.client("d", log: client.log.copy())
        network.alters = { _, toServer, body in if toServer, body.count > 60 { body[body.count - 1] ^= 1 } }
        network.connect(other, to: server)
        other.send("x")
        network.settle()
        #expect(server.restingCount == 1)
        // The same unaltered does.
        network.alters = { _, _, _ in }
        let another = network.client("e", log: client.log.copy())
        network.connect(another, to: server)
        another.send("x")
        network.settle()
        #expect(server.restingCount == 0)
    }

    @Test func itsClientMayLeaveAndComeBack() throws {
        send("a@")
        rest()
        network.cut(try #require(client.connection))
        #expect(server.restingCount == 1)
        #expect(try server.status(of: #require(client.session))?.route == nil)
        network.connect(client, to: server)
        send("b")
        #expect(client.acknowledged == SequenceNumber(2))
        #expect(server.recallsStarted == 0)
    }

    @Test func itCanBeDeletedEvictedAndRetired() throws {
        for end in 0..<3 {
            send("a")
            rest()
            #expect(server.restingCount == 1)
            switch end {
            case 0: server.delete(try #require(client.session))
            case 1:
                network.advance(nanoseconds: 1_000_000)
                server.evictIdle(since: network.now)
            default: server.use(KeyRing(id: KeyID(9), secret: CoreNetwork.rootSecret))
            }
            #expect(server.sessionCount == 0)
            #expect(server.memoryInUse == 0)
        }
    }

    /// The least recently used leave first, whether they rest or not.
    @Test func theOrderOfLeavingStays() {
        var clients = [client]
        for name in ["d", "e", "f"] {
            let other = network.client(name)
            network.connect(other, to: server)
            clients.append(other)
        }
        for other in clients {
            network.advance(nanoseconds: 1000)
            other.send("a")
            network.settle()
        }
        rest()
        #expect(server.restingCount == 4)
        network.advance(nanoseconds: 1000)
        let since = network.now
        clients[0].send("b")
        clients[2].send("b")
        network.settle()
        server.evictIdle(since: since)
        #expect(server.sessionCount == 2)
        #expect(clients[0].session.flatMap { server.status(of: $0) } != nil)
        #expect(clients[2].session.flatMap { server.status(of: $0) } != nil)
        rest()
        #expect(server.restingCount == 2)
    }
}
