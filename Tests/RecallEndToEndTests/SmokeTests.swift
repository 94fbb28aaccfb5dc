import Logging
import Recall
import RecallClient
import RecallCore
import RecallServer
import ServiceLifecycle
import Testing

@Suite struct SmokeTests {
    static let secret = Digest([UInt8](repeating: 7, count: 32)) ?? Digest()

    func withServer<R: Sendable>(port: Int = 0, _ body: (Int, SessionHandler) async throws -> R) async throws -> R {
        let handler = try SessionHandler(keys: KeyRing(secret: Self.secret), hosting: Counter())
        let server = SessionServer(handler, listen: .tcp(port: port))
        let running = Task { try await server.run() }
        let result: R
        do { result = try await body(try await server.port, handler) } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        running.cancel()
        _ = await running.result
        return result
    }

    @Test(.timeLimit(.minutes(1))) func updatesAndReads() async throws {
        try await withServer { port, handler in
            let client = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", port), log: .memory)
            #expect(try await client.send(Counter.Add(amount: 2)) == 2)
            #expect(try await client.send(Counter.Add(amount: 3)) == 5)
            #expect(try await client.send(Counter.Total()) == 5)
            let replies = try await client.send(contentsOf: (1...3000).map { _ in Counter.Add(amount: 1) })
            #expect(replies.last == 3005)
            if let session = await client.session { handler.deleteSession(session) }
            _ = await handler.statistics()  // comes to the server's loop behind the deletion
            #expect(try await client.send(Counter.Add(amount: 1)) == 3006)
            #expect(await handler.statistics().recalls == 1)
            await client.close()
        }
    }

    @Test(.timeLimit(.minutes(1))) func survivesTheServer() async throws {
        let server = try await TestServer(Counter())
        let client = try await SessionClient<Counter>.open(at: server.endpoint, log: .memory)
        for _ in 0..<100 { try await client.send(Counter.Add(amount: 1)) }
        await server.stop()
        let next = Task { try await client.send(Counter.Add(amount: 1)) }
        try await server.start()
        let total = try await next.value
        #expect(total == 101)
        let statistics = await server.statistics
        #expect(statistics.recalls == 1)
        #expect(statistics.messagesReplayed == 100)
        await client.close()
        await server.stop()
    }
}
