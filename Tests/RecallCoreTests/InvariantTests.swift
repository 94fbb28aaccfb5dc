import RecallCore
import RecallCrypto
import RecallTesting
import Synchronization
import Testing

/// Invariants that no other test shows by itself; docs/testing.md says which test shows which.
@Suite struct InvariantTests {
    /// Counts what is computed; everything else is as it is.
    final class Counts: Sendable {
        private let counts = Mutex((hashes: 0, codes: 0, keys: 0))

        var cryptography: Cryptography {
            let real = Cryptography.swiftCrypto
            return Cryptography(
                sha256: { [self] in
                    counts.withLock { $0.hashes += 1 }
                    return real.sha256($0, $1)
                },
                hmac: { [self] in
                    counts.withLock { $0.codes += 1 }
                    return real.hmac($0, $1)
                },
                hkdf: { [self] in
                    counts.withLock { $0.keys += 1 }
                    return real.hkdf($0, $1, $2)
                }, encrypt: real.encrypt, decrypt: real.decrypt)
        }

        /// What a body has computed.
        func of(_ body: () -> Void) -> (hashes: Int, codes: Int, keys: Int) {
            counts.withLock { $0 = (0, 0, 0) }
            body()
            return counts.withLock { $0 }
        }
    }

    /// 6: whatever asks for a session, and however often, one recall of it runs.
    @Test func manyTriggersOneRecall() {
        var limits = ClientLimits()
        (limits.rideAlong, limits.receiptInterval) = (0, 0)
        let network = CoreNetwork(servers: 1)
        let (client, server) = (network.client(limits: limits), network.servers[0])
        let checker = CoreChecker(network)
        network.connect(client, to: server)
        for text in ["a@", "b@", "c@"] { client.send(text) }
        network.settle()
        server.crash()
        for round in 0..<4 {
            let connection = network.connect(client, to: server)
            client.send("d\(round)")
            client.read()
            // The history stays under way until the last of them.
            while network.deliverToClient(connection) {}
            for _ in 0..<3 {
                client.work()
                while let frame = connection.toServer.first, frame.first != FrameType.historyStart.rawValue {
                    network.deliverToServer(connection)
                }
                server.pump()
                while network.deliverToClient(connection) {}
            }
            #expect(server.recallCount == 1 && server.waitingRecallCount == 0 && server.sessionCount == 1)
            #expect(server.host.applied == 0)
            connection.holdsToServer = true
        }
        for connection in network.connections where connection.clientIsOpen { connection.holdsToServer = false }
        network.settle()
        #expect(server.recallCount == 0)
        #expect(server.host.applied == 3 + 4)
        checker.finish(client, final: nil)
        #expect(checker.violations == [])
    }

    /// 15: an attach that is not sealed costs its identity's and its vector's derivation and one hash over the claim; a
    /// receipt that does not verify costs the session's keys and one code more. Neither costs an update or a slot.
    @Test func whatAnInvalidAttachCosts() {
        let counts = Counts()
        func cost(spoilLeaf: Bool = false, spoilReceipt: Bool = false, count: Int) -> (Int, Int, Int) {
            let network = CoreNetwork(servers: 1, cryptography: counts.cryptography)
            let peer = Peer(network)
            var story = Story()
            story.lines = (0..<count).map { Story.Line(text: "m\($0)", clock: 1) }
            var said: [String] = []
            peer.attach(story, acknowledged: count, spoilLeaf: spoilLeaf, spoilReceipt: spoilReceipt, deliver: false)
            let cost = counts.of {
                peer.deliver()
                said = peer.hear()
            }
            #expect(said == [spoilLeaf ? "refused brokenChain" : "refused badReceipt"])
            #expect(network.servers[0].sessionCount == 0 && network.servers[0].host.applied == 0)
            return cost
        }
        for count in [1, 50] {
            #expect(cost(spoilLeaf: true, count: count) == (2, 1, 0))
            #expect(cost(spoilReceipt: true, count: count) == (2, 2, 4))
        }
    }

    /// 11, trace 11: a client that changes determinants between two receipts gets nothing of the chunk applied.
    @Test func forgedDeterminantsAreNotApplied() {
        let network = CoreNetwork(servers: 2)
        let client = network.client()
        let connection = network.connect(client, to: network.servers[0])
        for text in ["a@", "b@", "c@"] { client.send(text) }
        network.settle()
        client.log.tamper { messages, _, _ in
            messages[1].determinants = Determinants(clock: WallTime(nanoseconds: 42)).encoded
        }
        network.cut(connection)
        network.connect(client, to: network.servers[1])
        client.read()
        network.settle()
        #expect(client.failure?.code == .brokenChain)
        #expect(network.servers[1].host.applied == 0 && network.servers[1].sessionCount == 0)
    }

    /// 16: whatever became of the newest checkpoint, the one before and the messages since lead to the same state.
    @Test func theOlderCheckpointIsEnough() {
        var compared = 0
        for count in 2...12 {
            let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 6))
            let network = CoreNetwork(servers: 1, terms: terms)
            let client = network.client()
            let connection = network.connect(client, to: network.servers[0])
            for number in 0..<count {
                client.send("m\(number)@+")
                network.settle()
            }
            guard client.log.checkpoints.count == 2 else { continue }
            network.cut(connection)
            network.servers[0].crash()
            client.log.tamper { _, _, checkpoints in checkpoints[0].segments[0][20] ^= 1 }
            network.connect(client, to: network.servers[0])
            let read = client.read()
            network.settle()
            #expect(read.reply == client.log.acknowledgedState.description, "\(count) updates")
            #expect(client.log.acknowledgedState.items.count == count)
            compared += 1
        }
        #expect(compared > 5)
    }

    /// 19: the same seed gives the same run, frame by frame.
    @Test func sameSeedSameTrace() {
        func trace(_ seed: UInt64) -> (frames: [[UInt8]], actions: [String]) {
            let schedule = Schedule(seed: seed, Schedule.Profile(losesUnacknowledged: true))
            let check = schedule.network.onFrame
            var frames: [[UInt8]] = []
            schedule.network.onFrame = {
                check($0, $1, $2)
                frames.append($2)
            }
            _ = schedule.run()
            return (frames, schedule.actions)
        }
        for seed in 60_000..<60_050 as Range<UInt64> {
            let (first, second) = (trace(seed), trace(seed))
            #expect(first.actions == second.actions && first.frames == second.frames, "seed \(seed)")
            #expect(first.frames.count > 10 && first.frames != trace(seed + 1000).frames)
        }
    }
}
