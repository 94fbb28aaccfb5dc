import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

// The shortest conversations that break a design in which one rule is missing, on real connections. A line "a@1" was
// made by server A, "a@2" by server B.
@Suite struct TraceTests {
    /// An honest client is not refused because its acknowledgement was lost and another server answered otherwise.
    @Test(.timeLimit(.minutes(1))) func trace1_orphanAfterALostAcknowledgement() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(.memory)
            ground.loseAcknowledgementsOfA()
            async let a = client.send(Journal.Stamp("a"))
            try await ground.applied(1, by: ground.a)
            ground.moveToB()
            #expect(try await a == "a@2")
            #expect(try await client.send(Journal.Stamp("b")) == "b@2")
            ground.proxy.pass()
            ground.moveToA()
            #expect(try await client.send(Journal.Stamp("c")) == "c@1")
            #expect(try await client.send(Journal.Read()) == ["a@2", "b@2", "c@1"])
            #expect(await ground.a.statistics.recalls == 1)
            await client.close()
        }
    }

    /// The late acknowledgement of a deleted copy does not count, though its number fits.
    @Test(.timeLimit(.minutes(1))) func trace2_acknowledgementOfADeletedCopy() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(log)
            // The successor is B, so that its determinants differ.
            let portA = ground.a.port
            ground.proxy.rule { $0.target == portA && $0.type == .acknowledgement ? .hold : .pass }
            async let a = client.send(Journal.Stamp("a"))
            try await eventually("A acknowledges") { ground.proxy.count(.acknowledgement) == 1 }
            await ground.a.delete(client)
            try await eventually("the copy is applied anew") { await ground.a.statistics.updates == 2 }
            ground.proxy.release()
            try await eventually("A acknowledges again") { ground.proxy.count(.acknowledgement) == 2 }
            ground.proxy.pass()
            ground.proxy.release()
            let first = try await a
            #expect(first == "a@1")
            #expect(try await client.send(Journal.Stamp("b")) == "b@1")
            ground.moveToB()
            #expect(try await client.send(Journal.Read()) == ["a@1", "b@1"])
            ground.moveToA()
            #expect(try await client.send(Journal.Read()) == ["a@1", "b@1"])
            await client.close()
        }
    }

    /// An effect does not start before everything it depends on is in the client's log.
    @Test(.timeLimit(.minutes(1))) func trace3_effectWaitsForConfirmation() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(.memory)
            ground.loseAcknowledgementsOfA()
            async let a = client.send(Journal.Stamp("a"))
            try await ground.applied(1, by: ground.a)
            async let b = client.send(Journal.Pay("b"))
            try await ground.applied(2, by: ground.a)
            #expect(ground.outsideA.calls.isEmpty)
            ground.moveToB()
            #expect(try await a == "a@2")
            #expect(try await b == "b#B")
            #expect(ground.outsideA.calls.isEmpty)
            #expect(ground.outsideB.calls.map(\.state) == [["a@2"]])
            await client.close()
        }
    }

    /// A reply to a read is shown only when the log holds what it saw.
    @Test(.timeLimit(.minutes(1))) func trace4_readBeforeItsAcknowledgement() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(.memory)
            ground.loseAcknowledgementsOfA()
            async let a = client.send(Journal.Stamp("a"))
            try await ground.applied(1, by: ground.a)
            async let read = client.send(Journal.Read())
            try await eventually("A replies") { ground.proxy.count(.reply) > 0 }
            ground.moveToB()
            #expect(try await a == "a@2")
            #expect(try await read == ["a@2"])
            await client.close()
        }
    }

    /// Beyond what was confirmed the client's log wins.
    @Test(.timeLimit(.minutes(1))) func trace5_clientLosesItsUnacknowledgedTail() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(log)
            let before = try await log.copy()
            ground.loseAcknowledgementsOfA()
            let a = Task { try await client.send(Journal.Stamp("a")) }
            try await ground.applied(1, by: ground.a)
            await client.close()
            #expect(await code { _ = try await a.value } == .closed)
            ground.proxy.pass()
            let next = try await ground.open(before)
            #expect(try await next.send(Journal.Stamp("b")) == "b@1")
            #expect(try await next.send(Journal.Read()) == ["b@1"])
            await next.close()
        }
    }

    /// What a server saw confirmed is not overwritten there: a log that lost it and went on elsewhere is refused.
    @Test(.timeLimit(.minutes(1))) func trace6_confirmedPositionIsContradicted() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(log)
            #expect(try await client.send(Journal.Stamp("a")) == "a@1")
            let confirms = ground.proxy.count(.confirm)
            let b = try await client.send(Journal.Stamp("b"))
            #expect(b == "b@1")
            try await eventually("the client confirms b") { ground.proxy.count(.confirm) > confirms }
            // A request behind the confirmation: once it is answered, A has the confirmation.
            _ = try await client.send(Journal.Read())
            await client.close()
            // The copy has message b, but not its acknowledgement.
            let count = log.operations.count
            let copy = try await log.copy(count - 1)
            ground.proxy.retarget(ground.b.port)
            let other = try await ground.open(copy)
            #expect(try await other.send(Journal.Stamp("c")) == "c@2")
            #expect(try await other.send(Journal.Read()) == ["a@1", "b@2", "c@2"])
            ground.moveToA()
            #expect(await code { try await other.send(Journal.Stamp("d")) } == .forked)
            await other.close()
        }
    }

    /// The whole window is under way when the session is deleted; and the hint that it is gone may itself be lost.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true])
    func trace7_deletedWithAFullWindow(hintIsLost: Bool) async throws {
        try await Ground.run { ground in
            var configuration = ClientConfiguration.quick
            configuration.windowMessages = 8
            configuration.silenceLimit = .seconds(1)
            configuration.heartbeat = .milliseconds(200)
            let client = try await ground.open(.memory, configuration: configuration)
            ground.proxy.rule {
                $0.type == .acknowledgement || (hintIsLost && $0.type == .gone) ? .drop : .pass
            }
            let sending = Task { try await client.send(contentsOf: (0..<20).map { Journal.Note("\($0)") }) }
            try await ground.applied(8, by: ground.a)
            await ground.a.delete(client)
            // On a busy machine the client may have come back by itself before.
            try await eventually("the hint is given") {
                ground.proxy.count(.gone) > 0 || ground.proxy.count(.attach) > 1
            }
            ground.proxy.pass()
            try await within(.seconds(20), "every send returns") { _ = try await sending.value }
            #expect(try await client.send(Journal.Read()) == (0..<20).map { "\($0)" })
            await client.close()
        }
    }

    /// A checkpoint is kept only at a position that the log holds.
    @Test(.timeLimit(.minutes(1))) func trace8_checkpointWithoutItsAcknowledgement() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(Diary.self, log)
            for name in ["a", "b", "c", "d"] { try await client.send(Diary.Write(name)) }
            ground.loseAcknowledgementsOfA()
            async let e = client.send(Diary.Write("e"))
            try await eventually("a checkpoint is offered") { ground.proxy.count(.offerSegment) > 0 }
            ground.moveToB()
            #expect(try await e == "e@2")
            #expect(try await client.send(Diary.Write("f")) == "f@2")
            let lines = ["a@1", "b@1", "c@1", "d@1", "e@2", "f@2"]
            #expect(try await client.send(Diary.Read()) == lines)
            ground.proxy.pass()
            ground.moveToA()
            #expect(try await client.send(Diary.Read()) == lines)
            await client.close()
            let kept = log.operations.compactMap { if case .keep(let checkpoint, _) = $0 { checkpoint } else { nil } }
            // Whatever was kept leads to the same state.
            #expect(!kept.contains { $0.position.number < SequenceNumber(5) })
            let again = try await ground.open(Diary.self, log)
            #expect(try await again.send(Diary.Read()) == lines)
            await again.close()
        }
    }

    /// What was sent and not acknowledged is not sent again after an adoption, since the adopted state may contain it.
    @Test(.timeLimit(.minutes(1))) func trace9_adoptionOfAStateThatHasTheMessage() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(Diary.self, log)
            #expect(try await client.send(Diary.Write("a")) == "a@1")
            _ = try await client.send(Diary.Read())  // A has a's confirmation once it answers this
            await client.close()
            // Message a, without its acknowledgement.
            let copy = try await log.copy(log.operations.count - 1)
            let portA = ground.a.port
            ground.proxy.retarget(1)  // nobody there: the next message is in the log before the adoption
            let other = try await ground.open(Diary.self, copy)
            let pending = Task { try await other.send(Diary.Write("x")) }
            try await eventually("x is in the log") { await other.head == SequenceNumber(2) }
            ground.proxy.retarget(portA)
            #expect(await code { _ = try await pending.value } == .outcomeUnknown)
            #expect(try await other.send(Diary.Write("b")) == "b@1")
            #expect(try await other.send(Diary.Read()) == ["a@1", "b@1"])
            ground.moveToB()
            #expect(try await other.send(Diary.Read()) == ["a@1", "b@1"])
            await other.close()
        }
    }

    /// A recall that was addressed to a dead connection moves to the one that attached last.
    @Test(.timeLimit(.minutes(1))) func trace12_recallMovesToTheNewConnection() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(.memory)
            // Too much to ride along with an attach, so that the server has to ask.
            try await client.send(
                contentsOf: (0..<300).map { Journal.Note("\($0) " + String(repeating: "x", count: 100)) })
            ground.proxy.rule { $0.type == .recall ? .drop : .pass }
            await ground.a.delete(client)
            async let next = client.send(Journal.Stamp("a"))
            try await eventually("the server asks") { ground.proxy.count(.recall) == 1 }
            ground.proxy.cut(clientSideOnly: true)
            try await eventually("the server asks again") { ground.proxy.count(.recall) >= 2 }
            ground.proxy.pass()
            ground.proxy.cut(clientSideOnly: true)
            #expect(try await next == "a@1")
            #expect(try await client.send(Journal.Read()).count == 301)
            await client.close()
        }
    }

    /// Full queues on both sides, and the server needs the history: no deadlock.
    @Test(.timeLimit(.minutes(1))) func trace13_fullQueues() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(Blob.self, .memory)
            let block = [UInt8](repeating: 7, count: 60_000)
            try await client.send(contentsOf: (0..<20).map { _ in Blob.Put(block) })
            ground.proxy.holdServer(true)
            let reading = Task {
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<40 { group.addTask { try await client.send(Blob.Get(count: 1 << 20)).bytes.count } }
                    return try await group.reduce(0, +)
                }
            }
            // A request waits behind the updates submitted before it, so all are out before the first update.
            try await eventually("the requests are sent") { ground.proxy.count(.request) >= 40 }
            let runs = ground.proxy.count(.update)
            let writing = Task { try await client.send(contentsOf: (0..<40).map { _ in Blob.Put(block) }) }
            try await eventually("what fits the window is sent") { ground.proxy.count(.update) > runs }
            await ground.a.delete(client)
            ground.proxy.holdServer(false)
            let read = try await within(.seconds(30), "all reads return") { try await reading.value }
            #expect(read == 40 << 20)
            let written = try await within(.seconds(30), "all updates return") { try await writing.value }
            #expect(written == Array(21...60))
            #expect(try await client.send(Blob.Count()) == 60)
            await client.close()
        }
    }
}
