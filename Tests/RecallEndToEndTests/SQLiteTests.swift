import Recall
import RecallClient
import RecallCore
import RecallSQLite
import RecallTesting
import Testing

/// Sessions whose log is a file: they outlive their clients too.
@Suite struct SQLiteTests {
    private func open<S: Session>(
        _ kind: S.Type, _ server: TestServer, _ path: String, _ durability: SQLiteLog.Durability = .process
    ) async throws -> SessionClient<S> {
        try await .open(
            at: server.endpoint, log: .sqlite(path, durability: durability), configuration: .quick, logger: .silent)
    }

    @Test(.timeLimit(.minutes(1)), arguments: [SQLiteLog.Durability.process, .disk])
    func outlivesClientAndServer(durability: SQLiteLog.Durability) async throws {
        let scratch = try Scratch()
        let path = scratch.file("diary.db")
        try await withServer(TestServer(Diary(), clock: 1)) { server in
            for round in 0..<4 {
                let client = try await open(Diary.self, server, path, durability)
                for number in 0..<7 { try await client.send(Diary.Write("\(round).\(number)")) }
                try await server.restart()
                #expect(try await client.send(Diary.Read()).count == (round + 1) * 7)
                await client.close()
            }
            let client = try await open(Diary.self, server, path, durability)
            let expected = (0..<4).flatMap { round in (0..<7).map { "\(round).\($0)@1" } }
            #expect(try await client.send(Diary.Read()) == expected)
            await client.close()
        }
    }

    /// The client dies at some moment of a busy run; its files as they were then lead on, and nothing that a caller was
    /// told is missing.
    @Test(.timeLimit(.minutes(1))) func clientCrashes() async throws {
        let scratch = try Scratch()
        try await withServer(TestServer(Counter())) { server in
            var name = "log-0.db"
            var client = try await open(Counter.self, server, scratch.file(name))
            var last = 0
            for round in 1...6 {
                let known = Tally()
                let crashing = client
                let sending = Task {
                    for _ in 0..<200 {
                        let total = try await crashing.send(Counter.Add(amount: 1))
                        known.add(total - known.value)
                    }
                }
                let goal = last + 10 * round
                try await eventually("some are acknowledged") { known.value >= goal }
                // Nobody writes while the files are copied: that would be no crash, but two moments in one copy.
                await server.stop()
                let all = last + 200
                try await eventually("the client can do no more") {
                    let (head, acknowledged) = (await crashing.head, await crashing.acknowledged)
                    return head > acknowledged || known.value == all
                }
                let told = known.value
                let next = "log-\(round).db"
                try scratch.copyLog(name, to: next)
                await crashing.close()
                _ = await sending.result
                name = next
                try await server.start()
                client = try await open(Counter.self, server, scratch.file(name))
                last = try await client.send(Counter.Total())
                #expect(last >= told)
                #expect(await client.head == SequenceNumber(UInt64(last)))
            }
            await client.close()
        }
    }

    /// A full disk ends the session for this client, with the reason; the log goes on when there is room again.
    @Test(.timeLimit(.minutes(1))) func fullDisk() async throws {
        let scratch = try Scratch()
        let path = scratch.file("blob.db")
        try await withServer(TestServer(Blob())) { server in
            let log = SQLiteLog(path: path)
            let client = try await SessionClient<Blob>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            #expect(try await client.send(Blob.Put([1])) == 1)
            try await log.limit(pages: 40)
            let failure = await code {
                for _ in 0..<100 { _ = try await client.send(Blob.Put([UInt8](repeating: 1, count: 20_000))) }
            }
            #expect(failure == .logFailed)
            #expect(await code { _ = try await client.send(Blob.Count()) } == .logFailed)
            await client.close()
            let next = try await open(Blob.self, server, path)
            let count = try await next.send(Blob.Count())
            #expect(try await next.send(Blob.Put([2])) == count + 1)
            await next.close()
        }
    }
}
