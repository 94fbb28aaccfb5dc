import Logging
import Recall
import RecallClient
import RecallCore
import RecallExamples
import RecallServer
import RecallTesting
import Testing

@Suite struct InMemoryTests {
    @Test(.timeLimit(.minutes(1)), arguments: TransportConformance.rules)
    func inMemory(rule: String) async throws {
        try await TransportConformance { handler in
            let server = InMemoryServer(logger: .silent) { handler }
            try await server.start()
            return .init(endpoint: server.endpoint) { await server.crash() }
        }.run(rule: rule)
    }

    @Test(.timeLimit(.minutes(1)), arguments: TransportConformance.rules)
    func tcp(rule: String) async throws {
        try await TransportConformance { handler in
            let server = SessionServer(handler, listen: .tcp(port: 0), logger: .silent)
            let running = Task { try await server.run() }
            return .init(endpoint: .tcp("127.0.0.1", try await server.port)) {
                running.cancel()
                _ = await running.result
            }
        }.run(rule: rule)
    }

    // MARK: TestSession

    @Test(.timeLimit(.minutes(1))) func testSessionSurvivesCrashes() async throws {
        let session = TestSession(Journal(Outside("A")))
        session.now = 7_000_000_000
        #expect(try await session.send(Journal.Stamp("a")) == "a@7")
        await session.crashServer()
        session.now = 8_000_000_000
        #expect(try await session.send(Journal.Pay("b")) == "b#A")
        await session.deleteCopy()
        #expect(try await session.send(Journal.Read()) == ["a@7", "b#A"])
        #expect(await session.recalls == 2)
        await #expect(throws: Journal.Refused.self) { try await session.send(Journal.Refuse()) }
    }

    @Test(.timeLimit(.minutes(1))) func testSessionTakesOverlappingSends() async throws {
        let session = TestSession(Counter())
        let sends = (0..<200).map { _ in Task { try await session.send(Counter.Add(amount: 1)) } }
        for _ in 0..<5 { await session.crashServer() }
        var replies: Set<Int> = []
        for send in sends { replies.insert(try await send.value) }
        #expect(replies == Set(1...200))
        #expect(try await session.send(Counter.Total()) == 200)
    }

    // MARK: The examples, through crashes

    /// Wires once for each key, whatever it is asked.
    actor FakeGateway: Gateway {
        private(set) var sent: [String: String] = [:]
        private(set) var asked = 0
        func wire(_ amount: Int, to iban: String, idempotencyKey: String) async throws -> String {
            asked += 1
            if let receipt = sent[idempotencyKey] { return receipt }
            sent[idempotencyKey] = "receipt \(sent.count + 1)"
            return sent[idempotencyKey] ?? ""
        }
    }

    @Test(.timeLimit(.minutes(1))) func bank() async throws {
        let gateway = FakeGateway()
        let account = TestSession(Bank(gateway: gateway))
        try await account.send(Bank.Deposit(amount: 100))
        await account.crashServer()
        #expect(try await account.send(Bank.Transfer(amount: 30, to: "CH93")) == "receipt 1")
        await account.crashServer()
        await #expect(throws: Bank.Refusal.insufficient(missing: 10)) {
            try await account.send(Bank.Transfer(amount: 80, to: "CH93"))
        }
        // Transfers are under way while servers die: each moves money once.
        let transfers = (0..<20).map { _ in Task { try await account.send(Bank.Transfer(amount: 1, to: "CH93")) } }
        for _ in 0..<5 { await account.crashServer() }
        for transfer in transfers { _ = try await transfer.value }
        #expect(try await account.send(Bank.Balance()) == 50)
        #expect(await gateway.sent.count == 21)
    }

    struct Echo: LanguageModel {
        func answer(to turns: [Chat.Turn], requestID: String) async throws -> String {
            "\(turns.count): \(turns.last?.text ?? "")"
        }
    }

    @Test(.timeLimit(.minutes(1))) func chat() async throws {
        let chat = TestSession(Chat(model: Echo()))
        #expect(try await chat.send(Chat.Say("hello")) == "1: hello")
        let bookmark = try await chat.send(Chat.Mark("here"))
        await chat.crashServer()
        #expect(try await chat.send(Chat.Say("again")) == "3: again")
        await chat.crashServer()
        #expect(bookmark.turn == 2)
        #expect(try await chat.send(Chat.History(last: 2)).map(\.text) == ["again", "3: again"])
        await #expect(throws: Chat.Refusal.empty) { try await chat.send(Chat.Say("")) }
    }

    @Test(.timeLimit(.minutes(1))) func notebook() async throws {
        let notebook = TestSession(Notebook())
        for (index, letter) in "hello, world".enumerated() {
            #expect(try await notebook.send(Notebook.Edit(at: index, insert: String(letter))) == index + 1)
            if index % 4 == 3 { await notebook.crashServer() }
        }
        await #expect(throws: Notebook.Refusal.outOfRange(length: 12)) {
            try await notebook.send(Notebook.Edit(at: 13, insert: "x"))
        }
        #expect(try await notebook.send(Notebook.Read()) == "hello, world")
        #expect(await notebook.recalls == 3)
    }
}
