import RecallCore
import RecallTesting
import Testing

/// Chunks of a history that are verified elsewhere, and end in another order than they came in.
@Suite struct VerificationTests {
    /// A client with so many acknowledged updates, each a chunk of its own, whose history the second server has got
    /// as much of as it gave credit for.
    func recalling(
        _ texts: [String], tamper: (CoreLog) -> Void = { _ in }
    ) -> (network: CoreNetwork, client: CoreClient, server: CoreServer) {
        let network = CoreNetwork(servers: 2)
        var limits = ClientLimits()
        (limits.rideAlong, limits.receiptInterval) = (0, 0)
        let client = network.client(limits: limits)
        client.log.sliceBytes = 1
        let first = network.connect(client, to: network.servers[0])
        for text in texts {
            client.send(text)
            network.settle()
        }
        network.cut(first)
        tamper(client.log)
        let server = network.servers[1]
        server.host.verifiesLater = true
        network.connect(client, to: server)
        client.read()
        for _ in 0..<20 { network.round(false) }
        return (network, client, server)
    }

    @Test func nothingIsAppliedBeforeAllThatLiesBeforeIsVerified() {
        let (network, client, server) = recalling(["a", "b", "c", "d"])
        for _ in 0..<3 {
            #expect(server.endVerification())
            network.round(false)
            #expect(server.host.applied == 0)
        }
        #expect(server.endVerification())
        network.settle()
        #expect(server.host.applied == 4 && client.calls.last?.reply == "a b c d" && client.breach == nil)
    }

    /// A chunk that does not verify is named, whatever became of those behind it, and what lies before it is applied.
    @Test(arguments: 0..<4) func theFirstFaultCounts(_ index: Int) {
        let (network, client, server) = recalling(["a", "b", "c", "d"]) { log in
            log.tamper { messages, _, _ in messages[index].content = Array("z".utf8) }
        }
        network.settle()
        #expect(client.failure?.code == .brokenChain && server.host.applied == index)
        #expect(client.failure?.text.contains("\(index + 1)") == true, "\(client.failure?.text ?? "")")
    }

    /// A receipt that is false is found out, though the chunk behind it begins there.
    @Test func aFalseReceiptIsNotBuiltOn() {
        let (network, client, server) = recalling(["a", "b", "c"]) { log in
            log.tamper { _, receipts, _ in receipts[1].mac = Digest() }
        }
        network.settle()
        #expect(client.failure?.code == .badReceipt && server.host.applied == 1)
    }

    /// What was verified for a recall that is over is late, whoever has its place now.
    @Test func aLateVerificationIsForgotten() throws {
        let (network, client, server) = recalling(["a", "b", "c"])
        server.delete(try #require(client.session))
        #expect(server.sessionCount == 0)
        let other = network.client("other")
        network.connect(other, to: server)
        other.send("x")
        for _ in 0..<20 { network.round(false) }
        network.settle()
        #expect(client.calls.last?.reply == "a b c" && other.calls.last?.reply != nil)
        #expect(server.memoryInUse == server.recountedMemory)
    }

    /// Threads that never come to it hold no recall up: after a while the handler verifies what is next itself.
    @Test func whatIsOverdueIsVerifiedHere() {
        let (network, client, server) = recalling(["a", "b", "c", "d", "e", "f"])
        for _ in 0..<12 {
            server.verifyOverdue(since: network.now)
            #expect(server.memoryInUse == server.recountedMemory)
            network.advance(nanoseconds: 1000)
            for _ in 0..<3 { network.round(false) }
        }
        #expect(client.calls.last?.reply == "a b c d e f" && server.host.applied == 6)
        while server.endVerification() {}
        network.settle()
        #expect(server.host.applied == 6 && server.memoryInUse == server.recountedMemory)
    }
}
