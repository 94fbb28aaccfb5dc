import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

/// Logs that were tampered with, and logs in the hands of others.
@Suite struct ForgeryTests {
    /// Trace 10: what one principal's session holds is worth nothing to another, nor as another kind.
    @Test(.timeLimit(.minutes(1))) func trace10_logOfAnotherPrincipal() async throws {
        let authenticate: Authentication = { $0 }
        try await withServer(TestServer(Diary(), Journal(), authenticate: authenticate)) { server in
            func open<S: Session>(_ kind: S.Type, _ log: TapeLog, as name: String) async throws -> SessionClient<S> {
                var configuration = ClientConfiguration.quick
                configuration.credentials = Array(name.utf8)
                return try await SessionClient<S>.open(
                    at: server.endpoint, log: log, configuration: configuration, logger: .silent)
            }
            let log = TapeLog()
            let alice = try await open(Diary.self, log, as: "alice")
            for number in 0..<9 { try await alice.send(Diary.Write("\(number)")) }
            await alice.close()
            let bob = try await open(Diary.self, log.copy(), as: "bob")
            #expect(await code { _ = try await bob.send(Diary.Read()) } == .brokenChain)
            await bob.close()
            // As another kind: only the header is changed.
            var operations = log.operations
            guard case .begin(var header)? = operations.first else { return }
            header.kindName = Array("journal".utf8)
            operations[0] = .begin(header)
            let disguised = try await open(Journal.self, TapeLog(operations), as: "alice")
            #expect(await code { _ = try await disguised.send(Journal.Read()) } == .brokenChain)
            await disguised.close()
            let again = try await open(Diary.self, log, as: "alice")
            #expect(try await again.send(Diary.Read()).count == 9)
            await again.close()
        }
    }

    /// Trace 11: determinants are verified over a whole chunk before user code sees any of it.
    @Test(.timeLimit(.minutes(1))) func trace11_alteredDeterminants() async throws {
        let (outside, spared) = (Outside("A"), Outside("B"))
        let log = TapeLog()
        try await withServer(TestServer(Journal(outside), clock: 1)) { server in
            let client = try await SessionClient<Journal>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            for number in 0..<5 { try await client.send(Journal.Stamp("\(number)")) }
            await client.close()
        }
        for altered in 0..<5 {
            try await withServer(TestServer(Journal(spared), clock: 2)) { server in
                let liar = try await log.copy()
                liar.alter(after: 1) { slice in
                    var slice = slice
                    guard slice.messages.indices.contains(altered) else { return slice }
                    slice.messages[altered].determinants[slice.messages[altered].determinants.count - 1] ^= 1
                    return slice
                }
                let lying = try await SessionClient<Journal>.open(
                    at: server.endpoint, log: liar, configuration: .quick, logger: .silent)
                let found = await code { try await lying.send(Journal.Stamp("x")) }
                #expect(found != nil)
                await lying.close()
            }
        }
        #expect(spared.calls.isEmpty)
    }
}
