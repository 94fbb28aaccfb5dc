import RecallCore
import RecallTesting
import Testing

/// Recalls whose history comes along with the attach take no place among the others.
@Suite struct ShortRecallTests {
    private struct Ground {
        let network: CoreNetwork
        /// Has the only place, for it was asked for its history and does not read it from its log.
        let holder: CoreClient
        var server: CoreServer { network.servers[0] }

        init(offersCheckpoints: Bool = true) {
            var limits = HandlerLimits()
            limits.recalls.concurrent = 1
            var policy = CheckpointPolicy()
            policy.isEnabled = offersCheckpoints
            network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(checkpoints: policy), limits: limits)
            var asked = ClientLimits()
            asked.rideAlong = 0
            holder = network.client("holder", limits: asked)
        }

        func occupyThePlace(after prepare: () -> Void) {
            network.connect(holder, to: server)
            holder.send("a")
            prepare()
            network.settle()
            server.crash()
            holder.logIsImmediate = false
            network.connect(holder, to: server)
            network.settle()
            #expect(server.recallCount == 1)
        }
    }

    @Test func theyWaitForNoPlace() {
        let ground = Ground()
        let (network, server) = (ground.network, ground.server)
        let checker = CoreChecker(network)
        let client = network.client("client")
        ground.occupyThePlace {
            network.connect(client, to: server)
            client.send("b")
        }
        network.connect(client, to: server)
        client.send("c")
        network.settle()
        #expect(client.acknowledged == SequenceNumber(2))
        #expect(server.recallCount == 1 && server.waitingRecallCount == 0)
        #expect(checker.violations == [])
    }

    /// The client thinks its history short, the server does not: as messages, or as a checkpoint.
    @Test(arguments: [true, false])
    func aLongerHistoryIsAskedForWhenThereIsAPlace(offersCheckpoints: Bool) {
        let ground = Ground(offersCheckpoints: offersCheckpoints)
        let (network, server, holder) = (ground.network, ground.server, ground.holder)
        var generous = ClientLimits()
        generous.rideAlong = 1 << 20
        let checker = CoreChecker(network)
        let client = network.client("client", limits: generous)
        ground.occupyThePlace {
            network.connect(client, to: server)
            for _ in 0..<6 { client.send(String(repeating: "b", count: 30_000)) }
        }
        network.connect(client, to: server)
        client.send("c")
        network.settle()
        #expect(client.acknowledged == SequenceNumber(6))
        #expect(server.recallCount == 1 && server.waitingRecallCount == 1)
        holder.logIsImmediate = true
        network.settle()
        #expect(client.acknowledged == SequenceNumber(7) && holder.acknowledged == SequenceNumber(1))
        #expect(server.recallCount == 0 && server.waitingRecallCount == 0)
        #expect(checker.violations == [])
    }

    @Test func togetherTheyHaveAFourthOfTheMemory() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 400_000
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 160_000) == .admitted)
        for slot in [1, 2, 3] { #expect(admission.admitShort(SlotID(slot)) == true) }
        #expect(admission.holdShort(SlotID(1), bytes: 30_000) == true)
        #expect(admission.holdShort(SlotID(1), bytes: 40_000) == true)
        #expect(admission.holdShort(SlotID(2), bytes: 60_000) == true)
        #expect(admission.holdShort(SlotID(3), bytes: 1) == false)
        #expect(admission.holdShort(SlotID(0), bytes: 1_000_000) == true)  // which is none
        admission.finish(SlotID(3))
        #expect(admission.admitShort(SlotID(3)) == false)
        // One that has a place keeps it, and one that comes again is counted once.
        #expect(admission.admitShort(SlotID(0)) == false)
        #expect(admission.admitShort(SlotID(2)) == true)
        #expect(admission.holdShort(SlotID(2), bytes: 60_000) == true)
        #expect(admission.runningSlots == [SlotID(0), SlotID(1), SlotID(2)])
        // What they hold, others cannot.
        #expect(admission.request(SlotID(4), from: ConnectionID(1), bytes: 160_000) == .waiting)
        admission.finish(SlotID(0))
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 200_000) == .waiting)
        #expect(admission.next() == SlotID(4))
        #expect(admission.next() == nil)
        for slot in [1, 2, 4] { admission.finish(SlotID(slot)) }
        #expect(admission.next() == SlotID(0))
        #expect(admission.runningCount == 1)
    }

    @Test func theyAreBounded() {
        var limits = RecallAdmission.Limits()
        limits.short = 2
        var admission = RecallAdmission(limits)
        #expect(admission.admitShort(SlotID(0)) == true)
        #expect(admission.admitShort(SlotID(1)) == true)
        #expect(admission.admitShort(SlotID(2)) == false)
        #expect(admission.holdShort(SlotID(0), bytes: 2 * WireLimits.receiptInterval) == true)
        #expect(admission.holdShort(SlotID(0), bytes: 2 * WireLimits.receiptInterval + 1) == false)
        // Then it asks for a place, and is one of the others.
        #expect(admission.request(SlotID(0), from: ConnectionID(1), bytes: 1) == .admitted)
        #expect(admission.holdShort(SlotID(0), bytes: .max) == true)
        #expect(admission.runningCount == 2)
    }

    /// What is kept for each message shows when a chunk is verified: it is charged then, and others have the less.
    @Test func whatTheyTurnOutToHoldIsCharged() {
        var limits = RecallAdmission.Limits()
        limits.bytes = 400_000
        var admission = RecallAdmission(limits)
        #expect(admission.admitShort(SlotID(0)) == true)
        #expect(admission.admitShort(SlotID(1)) == true)
        #expect(admission.holdShort(SlotID(0), bytes: 60_000) == true)
        admission.hold(SlotID(0), bytes: 150_000)
        #expect(admission.holdShort(SlotID(1), bytes: 1) == false)
        admission.finish(SlotID(0))
        #expect(admission.holdShort(SlotID(1), bytes: 100_000) == true)
    }
}
