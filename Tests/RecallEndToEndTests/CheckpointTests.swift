import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

@Suite struct CheckpointTests {
    /// The log and a replay stay within the policy's bound, however long the session lives.
    @Test(.timeLimit(.minutes(1))) func logStaysBounded() async throws {
        try await withServer(TestServer(Diary())) { server in
            let log = TapeLog()
            let client = try await SessionClient<Diary>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            for number in 0..<200 { try await client.send(Diary.Write("\(number)")) }
            try await server.restart()
            #expect(try await client.send(Diary.Read()).count == 200)
            let statistics = await server.statistics
            #expect(statistics.recalls == 1)
            #expect(statistics.messagesReplayed <= 10)
            await client.close()
            let contents = try await log.open()
            #expect(contents.checkpoints.count == 2)
            let held = contents.last.distance(from: contents.checkpoints.last?.position.number ?? .zero)
            #expect(held <= 25)
            await log.close()
            // The log's checkpoint and what follows are enough, also for a new client.
            let next = try await SessionClient<Diary>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            #expect(try await next.send(Diary.Read()).count == 200)
            await next.close()
        }
    }

    /// Should all that follows the newest checkpoint be damaged one day, the session goes on from there: the receipt at
    /// the checkpoint's position is not superseded by those after it.
    @Test(.timeLimit(.minutes(1))) func whatFollowsTheCheckpointIsLost() async throws {
        try await withServer(TestServer(Diary())) { server in
            let log = TapeLog()
            let client = try await SessionClient<Diary>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            for number in 0..<53 { try await client.send(Diary.Write("\(number)")) }
            await client.close()
            let contents = try await log.open()
            let checkpoint = try #require(contents.checkpoints.first)
            #expect(contents.last > checkpoint.position.number.next)
            #expect(try await log.receipt(atOrBefore: checkpoint.position.number)?.position == checkpoint.position)
            try await log.setAside(after: checkpoint.position.number, reason: "a test")
            await log.close()
            try await server.restart()
            let next = try await SessionClient<Diary>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            #expect(try await next.send(Diary.Read()).count == Int(checkpoint.position.number.rawValue))
            await next.close()
        }
    }

    /// A client that keeps what it is offered is never refused for want of a checkpoint, however fast it sends.
    @Test(.timeLimit(.minutes(1))) func fastClientIsNotRefused() async throws {
        try await withServer(TestServer(Diary(), Blob())) { server in
            let diary = try await SessionClient<Diary>.open(
                at: server.endpoint, log: TapeLog(), configuration: .quick, logger: .silent)
            try await diary.send(contentsOf: (0..<2000).map { Diary.Write("\($0)") })
            #expect(try await diary.send(Diary.Read()).count == 2000)
            await diary.close()
            let blob = try await SessionClient<Blob>.open(
                at: server.endpoint, log: TapeLog(), configuration: .quick, logger: .silent)
            let megabyte = [UInt8](repeating: 1, count: 1 << 20)
            for number in 1...20 { #expect(try await blob.send(Blob.Put(megabyte)) == number) }
            try await blob.send(contentsOf: (0..<20).map { _ in Blob.Put(megabyte) })
            try await blob.send(contentsOf: (0..<1000).map { _ in Blob.Put([UInt8](repeating: 2, count: 4000)) })
            #expect(try await blob.send(Blob.Count()) == 1040)
            await blob.close()
        }
    }

    /// One that keeps none is refused at a multiple of the bound.
    @Test(.timeLimit(.minutes(1))) func clientThatKeepsNoCheckpoint() async throws {
        try await Ground.run { ground in
            ground.proxy.rule { $0.type == .offer || $0.type == .offerSegment ? .drop : .pass }
            let client = try await ground.open(Diary.self, .memory)
            var sent = 0
            let refusal = await code {
                while sent < 20_000 {
                    try await client.send(contentsOf: (0..<50).map { Diary.Write("\($0)") })
                    sent += 50
                }
            }
            #expect(refusal == .checkpointRequired)
            #expect(sent >= 4 * 8)
            await client.close()
        }
    }

    @Test(.timeLimit(.minutes(1))) func logThatLostWhatItConfirmed() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(log)
            for name in ["a", "b", "c"] { try await client.send(Journal.Stamp(name)) }
            _ = try await client.send(Journal.Read())
            await client.close()
            // The journal refuses where the diary adopts.
            let old = try await log.copy(3)
            let behind = try await ground.open(old)
            #expect(await code { _ = try await behind.send(Journal.Read()) } == .clientBehind)
            await behind.close()
            // The whole log is still good.
            let whole = try await ground.open(log)
            #expect(try await whole.send(Journal.Read()) == ["a@1", "b@1", "c@1"])
            await whole.close()
        }
    }

    @Test(.timeLimit(.minutes(1))) func twoClientsWithCopiesOfOneLog() async throws {
        try await Ground.run { ground in
            let log = TapeLog()
            let client = try await ground.open(log)
            try await client.send(Journal.Stamp("a"))
            await client.close()
            let first = try await ground.open(log.copy())
            #expect(try await first.send(Journal.Stamp("b")) == "b@1")
            #expect(try await first.send(Journal.Stamp("c")) == "c@1")
            _ = try await first.send(Journal.Read())
            // The second has the same beginning, writes on another server, and comes back.
            ground.proxy.retarget(ground.b.port)
            let second = try await ground.open(log.copy())
            for name in ["x", "y", "z"] { try await second.send(Journal.Stamp(name)) }
            await first.close()
            ground.moveToA()
            #expect(await code { _ = try await second.send(Journal.Stamp("w")) } == .forked)
            await second.close()
        }
    }

    /// Of two clients with one log on one server, the later takes the session over.
    @Test(.timeLimit(.minutes(1))) func laterClientSupersedes() async throws {
        try await withServer(TestServer(Counter())) { server in
            let log = TapeLog()
            let first = try await SessionClient<Counter>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            try await first.send(Counter.Add(amount: 1))
            let second = try await SessionClient<Counter>.open(
                at: server.endpoint, log: log.copy(), configuration: .quick, logger: .silent)
            #expect(try await second.send(Counter.Add(amount: 1)) == 2)
            // This one says that the one before is in its log.
            #expect(try await second.send(Counter.Add(amount: 1)) == 3)
            let refusal = await code { _ = try await first.send(Counter.Total()) }
            #expect(refusal == .superseded || refusal == .clientBehind)
            await first.close()
            await second.close()
        }
    }
}
