import Recall
import RecallClient
import RecallServer
import RecallTesting
import Synchronization
import Testing

/// A server that goes away while effects are out.
@Suite struct DrainTests {
    /// Its effects that ran to their end.
    private final class Ended: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func add() { count.withLock { $0 += 1 } }
    }

    private func server(_ outside: Outside) -> InMemoryServer {
        InMemoryServer(logger: .silent) {
            try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Journal(outside))
        }
    }

    /// A client leaves as soon as it is asked to; its effect was cancelled then, and ran again elsewhere.
    @Test(.timeLimit(.minutes(1))) func effectsThatAreOutEndFirst() async throws {
        let ended = Ended()
        let outside = Outside("A") { _ in
            try await Task.sleep(for: .milliseconds(300))
            ended.add()
        }
        let server = server(outside)
        try await server.start()
        let client = try await SessionClient<Journal>.open(
            at: server.endpoint, log: .memory, configuration: .quick, logger: .silent)
        let sending = Task { try await client.send(Journal.Pay("a")) }
        try await eventually("the effect is out") { outside.calls.count == 1 }
        await server.shutDown()
        #expect(ended.value == 1)
        await client.close()
        _ = await sending.result
    }

    /// One that does not end is not waited for longer than the limit.
    @Test(.timeLimit(.minutes(1))) func effectsAreNotWaitedForBeyondTheLimit() async throws {
        let outside = Outside("A") { _ in try await Task.sleep(for: .seconds(3600)) }
        let server = server(outside)
        try await server.start()
        let client = try await SessionClient<Journal>.open(
            at: server.endpoint, log: .memory, configuration: .quick, logger: .silent)
        let sending = Task { try await client.send(Journal.Pay("a")) }
        try await eventually("the effect is out") { outside.calls.count == 1 }
        try await within(.seconds(20), "the server ends") { await server.shutDown(within: .milliseconds(100)) }
        await client.close()
        _ = await sending.result
    }
}
