import Recall
import RecallCore
import RecallExamples
import RecallTesting
import Testing

/// Bytes from a stranger: whatever they are, a verdict comes back, and the state changes only with `.applied`.
@Suite struct FuzzTests {
    struct NoGateway: Gateway {
        func wire(_ amount: Int, to iban: String, idempotencyKey: String) async throws -> String { "" }
    }
    struct NoModel: LanguageModel {
        func answer(to turns: [Chat.Turn], requestID: String) async throws -> String { "" }
    }

    static let seeds: [UInt64] = [1, 2, 0xdead_beef]

    /// Random bytes, cut or changed valid ones, and valid ones.
    func fuzz<S: Session>(_ session: S, seed: UInt64, rounds: Int = 400, valid: [[UInt8]]) throws {
        var random = SeededGenerator(seed: seed)
        let harness = Harness(session)
        for round in 0..<rounds {
            var bytes = valid.randomElement(using: &random) ?? []
            switch random.next() % 4 {
            case 0: bytes = random.bytes(Int(random.next() % 40))
            case 1: bytes = Array(bytes.prefix(Int(random.next() % 40)))
            case 2:
                for _ in 0...random.next() % 3 where !bytes.isEmpty {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
            default: break
            }
            let before = try harness.state
            let verdict = harness.apply(raw: bytes)
            let requested = harness.request(raw: bytes)
            let comment: Comment =
                "\(S.kind.name), seed \(seed), round \(round): \(bytes) gave \(verdict), \(requested)"
            if verdict != .applied { #expect(try harness.state == before, comment) }
            if case .broken = verdict { Issue.record(comment) }
            if case .broken = requested { Issue.record(comment) }
            harness.hosted.abandonEffect()
            #expect(throws: RecallError.self, comment) {
                let junk = random.bytes(9)
                try harness.hosted.restoreState(junk.span.bytes)
            }
        }
        #expect(try harness.replay().state == harness.state, "seed \(seed)")
    }

    @Test(arguments: seeds) func notebook(seed: UInt64) throws {
        let harness = Harness(Notebook())
        var valid = try [
            Notebook.Edit(at: 0, insert: "hé\u{301}llo"), Notebook.Edit(at: 2, delete: 1),
            Notebook.Edit(at: .max, delete: .max),
            Notebook.Edit(at: .min, delete: .min), Notebook.Edit(at: 1, delete: -1, insert: "x"),
        ].map { try harness.content($0) }
        valid.append(try harness.content(Notebook.Read()))
        try fuzz(Notebook(), seed: seed, valid: valid)
    }

    @Test(arguments: seeds) func bank(seed: UInt64) throws {
        let harness = Harness(Bank(gateway: NoGateway()))
        var valid = try [1, 5, 1_000_000_000_000, .max, .min].map { try harness.content(Bank.Deposit(amount: $0)) }
        valid += try [1, .max, .min].map { try harness.content(Bank.Transfer(amount: $0, to: "CH93")) }
        valid.append(try harness.content(Bank.Balance()))
        try fuzz(harness.session, seed: seed, valid: valid)
    }

    @Test(arguments: seeds) func chat(seed: UInt64) throws {
        let harness = Harness(Chat(model: NoModel()))
        var valid = try [.max, .min, 3].map { try harness.content(Chat.History(last: $0)) }
        valid.append(try harness.content(Chat.Say("hello")))
        valid.append(try harness.content(Chat.Mark("here")))
        try fuzz(harness.session, seed: seed, valid: valid)
    }

    @Test(arguments: seeds) func outcomes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let harness = Harness(Bank(gateway: NoGateway()))
        let content = try harness.content(Bank.Transfer(amount: 1, to: "CH93"))
        _ = try harness.apply(Bank.Deposit(amount: 10))
        for round in 0..<300 {
            let outcome = random.bytes(Int(random.next() % 12)), before = try harness.state
            guard harness.apply(raw: content) == .effect else { continue }
            let verdict = harness.finish(content, outcome)
            if verdict != .applied {
                #expect(try harness.state == before, "seed \(seed), round \(round): \(outcome) gave \(verdict)")
            }
        }
    }
}
