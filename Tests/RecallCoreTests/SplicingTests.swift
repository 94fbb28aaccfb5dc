import RecallCore
import RecallTesting
import Testing

/// Invariants 12 and 13: a log opens nothing but its own session, for its own principal, under a key that is held.
@Suite struct SplicingTests {
    /// Attaches a copied log under other circumstances; gives what came of it.
    func attach(
        root: UInt8 = 7, principal: String? = nil, kind: String = "story", version: UInt32 = 1,
        header: (inout LogHeader) -> Void = { _ in }
    ) -> (code: FaultCode?, sessions: Int, applied: Int) {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 4))
        let network = CoreNetwork(servers: 1, terms: terms)
        let honest = network.client()
        let connection = network.connect(honest, to: network.servers[0])
        honest.send("secret@+")
        honest.send("more@")
        network.settle()
        network.cut(connection)
        var other = terms
        (other.name, other.version) = (Array(kind.utf8), version)
        let secret = Digest([UInt8](repeating: root, count: 32)) ?? Digest()
        let server = network.addServer(kinds: [terms, other], ring: KeyRing(secret: secret))
        let log = honest.log.copy()
        log.changeHeader(header)
        let thief = network.client("thief", log: log, kind: Array(kind.utf8), version: version)
        if let principal { thief.credentials = Array(principal.utf8) }
        network.connect(thief, to: server)
        thief.read()
        network.settle()
        return (thief.failure?.code, server.sessionCount, server.host.applied)
    }

    @Test func anUnalteredLogIsAccepted() {
        let (code, sessions, _) = attach()
        #expect(code == nil && sessions == 1)
    }

    @Test func ofAnotherPrincipal() {
        let (code, sessions, applied) = attach(principal: "mallory")
        #expect(code == .brokenChain && sessions == 0 && applied == 0)
    }

    @Test func ofAnotherKind() {
        let (code, sessions, applied) = attach(kind: "other") { $0.kindName = Array("other".utf8) }
        #expect(code == .brokenChain && sessions == 0 && applied == 0)
    }

    @Test func ofAnotherVersion() {
        let (code, sessions, applied) = attach(version: 2) { $0.kindVersion = 2 }
        #expect(code == .badReceipt && sessions == 0 && applied == 0)
    }

    @Test func ofAnotherSession() {
        let (code, sessions, applied) = attach {
            $0.session = SessionID(high: $0.session.high, low: $0.session.low + 1)
        }
        #expect(code == .brokenChain && sessions == 0 && applied == 0)
    }

    @Test func ofAnotherRoot() {
        let (code, sessions, applied) = attach(root: 8)
        #expect(code == .brokenChain && sessions == 0 && applied == 0)
    }

    @Test func keysRotateAndRetire() {
        let network = CoreNetwork(servers: 1)
        let server = network.servers[0]
        let old = network.client("old")
        network.connect(old, to: server)
        old.send("a@")
        network.settle()
        var ring = server.ring
        ring.rotate(to: KeyID(2), secret: Digest([UInt8](repeating: 9, count: 32)) ?? Digest())
        server.use(ring)
        server.crash()
        network.settle()
        let new = network.client("new")
        network.connect(new, to: server)
        network.connect(old, to: server)
        old.send("b@")
        new.send("a@")
        network.settle()
        #expect(old.acknowledged == SequenceNumber(2) && new.session?.keyID == KeyID(2))
        ring.retire(KeyID(1))
        server.use(ring)
        old.send("c@")
        new.send("b@")
        network.settle()
        #expect(old.failure?.code == .unknownKey)
        #expect(new.acknowledged == SequenceNumber(2))
        #expect(server.sessionCount == 1)
        // The same name for another secret is another key.
        ring.rotate(to: KeyID(2), secret: Digest([UInt8](repeating: 10, count: 32)) ?? Digest())
        server.use(ring)
        #expect(server.sessionCount == 0)
        new.send("c@")
        network.settle()
        #expect(new.failure?.code == .brokenChain)
    }

    /// Two servers change keys one after the other. If the first issued under the new one at once, the second would
    /// refuse its sessions; so each holds it first.
    @Test func keysRotateOverTwoServers() {
        let network = CoreNetwork(servers: 2)
        let secret = Digest([UInt8](repeating: 9, count: 32)) ?? Digest()
        var clients: [CoreClient] = []
        /// Begins a session on the first server and goes on with all of them on the second.
        func goOn() {
            let client = network.client("c\(clients.count)")
            clients.append(client)
            for server in network.servers {
                for client in clients {
                    network.connect(client, to: server)
                    client.send("a@")
                    network.settle()
                }
            }
        }
        goOn()
        for step in 0..<2 {
            for server in network.servers {
                var ring = server.ring
                if step == 0 { ring.hold(KeyID(2), secret: secret) } else { ring.rotate(to: KeyID(2), secret: secret) }
                #expect(ring.newest == KeyID(step == 0 ? 1 : 2))
                server.use(ring)
                goOn()
            }
        }
        #expect(clients.allSatisfy { $0.failure == nil && $0.log.acknowledged == $0.log.last })
        #expect(clients.map(\.session?.keyID) == [1, 1, 1, 2, 2].map { KeyID($0) })
    }

    @Test func aHeldKeyIssuesOnlyWhenItIsAlone() {
        let secrets = (1...3).map { Digest([UInt8](repeating: $0, count: 32)) ?? Digest() }
        var ring = KeyRing(id: KeyID(1), secret: secrets[0])
        ring.hold(KeyID(2), secret: secrets[1])
        #expect(ring.newest == KeyID(1) && ring.secret(KeyID(2)) == secrets[1])
        ring.hold(KeyID(2), secret: secrets[2])
        #expect(ring.newest == KeyID(1) && ring.secret(KeyID(2)) == secrets[2])
        ring.retire(KeyID(1))
        #expect(ring.newest == KeyID(2))
    }
}
