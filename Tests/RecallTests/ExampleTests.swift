import FoundationEssentials
import Recall
import RecallCore
import RecallExamples
import Synchronization
import Testing

@Suite struct ExampleTests {
    /// Sends money once for each key.
    final class Ledger: Gateway {
        private let sent = Mutex<[String: String]>([:])
        private let calls = Mutex(0)
        var count: Int { calls.withLock { $0 } }

        func wire(_ amount: Int, to iban: String, idempotencyKey: String) async throws -> String {
            calls.withLock { $0 += 1 }
            return sent.withLock { sent in
                let receipt = sent[idempotencyKey] ?? "#\(sent.count + 1) \(amount) to \(iban)"
                sent[idempotencyKey] = receipt
                return receipt
            }
        }
    }

    struct Parrot: LanguageModel {
        func answer(to turns: [Chat.Turn], requestID: String) async throws -> String {
            "\(turns.last?.text ?? "")? (\(turns.count))"
        }
    }

    /// On a replay nothing outside may be reached.
    struct Forbidden: Gateway, LanguageModel {
        func wire(_ amount: Int, to iban: String, idempotencyKey: String) async throws -> String {
            throw LabError(description: "replayed")
        }
        func answer(to turns: [Chat.Turn], requestID: String) async throws -> String {
            throw LabError(description: "replayed")
        }
    }

    @Test func notebookAsPlainFunctions() {
        var notebook = Notebook.State()
        #expect(Notebook.Edit(at: 0, insert: "Hello").update(&notebook) == 5)
        #expect(Notebook.Edit(at: 1, delete: 3, insert: "éy").update(&notebook) == 4)
        #expect(Notebook.Read().reply(from: notebook) == "Héyo")
        #expect(throws: Notebook.Refusal.outOfRange(length: 4)) { try Notebook.Edit(at: 5).validate(against: notebook) }
        #expect(throws: Notebook.Refusal.outOfRange(length: 4)) {
            try Notebook.Edit(at: 2, delete: 3).validate(against: notebook)
        }
        #expect(throws: Never.self) { try Notebook.Edit(at: 4).validate(against: notebook) }
        let long = String(repeating: "x", count: Notebook.Edit.limit)
        #expect(throws: Notebook.Refusal.full(limit: Notebook.Edit.limit)) {
            try Notebook.Edit(at: 0, insert: long).validate(against: notebook)
        }
    }

    @Test func notebookHosted() async throws {
        let notebook = Harness(Notebook())
        #expect(try await notebook.send(Notebook.Edit(at: 0, insert: "e\u{301}")) == 2)
        #expect(try await notebook.send(Notebook.Edit(at: 1, delete: 1)) == 1)
        await #expect(throws: Notebook.Refusal.outOfRange(length: 1)) { try await notebook.send(Notebook.Edit(at: 9)) }
        #expect(try await notebook.send(Notebook.Read()) == "e")
        #expect(try notebook.content(Notebook.Edit(at: 1, delete: 2, insert: "a")).count == 1 + 8 + 8 + 4 + 1)
        #expect(try await notebook.replay().send(Notebook.Read()) == "e")
    }

    @Test func bankAsPlainFunctions() throws {
        var account = Bank.State()
        Bank.Deposit(amount: 100).update(&account)
        #expect(throws: Bank.Refusal.notPositive) { try Bank.Deposit(amount: 0).validate(against: account) }
        #expect(throws: Bank.Refusal.tooMuch(limit: Bank.ceiling - 100)) {
            try Bank.Deposit(amount: .max).validate(against: account)
        }
        #expect(throws: Bank.Refusal.insufficient(missing: 1)) {
            try Bank.Transfer(amount: 101, to: "CH93").validate(against: account)
        }
        #expect(throws: Bank.Refusal.notPositive) {
            try Bank.Transfer(amount: .min, to: "CH93").validate(against: account)
        }
        #expect(Bank.Transfer(amount: 30, to: "CH93").update(&account, outcome: "#1") == "#1")
        #expect(Bank.Balance().reply(from: account) == 70)
        #expect(account.isConsistent && account.receipts == ["#1"])
    }

    @Test func bankPerformsAsAPlainFunction() async throws {
        let bank = Bank(gateway: Ledger())
        let context = EffectContext(host: bank, idempotencyKey: "k")
        let transfer = Bank.Transfer(amount: 30, to: "CH93")
        let first = try await transfer.perform(on: Bank.State(), in: context)
        #expect(try await transfer.perform(on: Bank.State(), in: context) == first)
    }

    @Test func bankHosted() async throws {
        let ledger = Ledger()
        let bank = Harness(Bank(gateway: ledger))
        try await bank.send(Bank.Deposit(amount: 100))
        #expect(try await bank.send(Bank.Transfer(amount: 30, to: "CH93")) == "#1 30 to CH93")
        await #expect(throws: Bank.Refusal.insufficient(missing: 30)) {
            try await bank.send(Bank.Transfer(amount: 100, to: "CH93"))
        }
        #expect(try await bank.send(Bank.Balance()) == 70)
        let copy = try bank.replay(on: Bank(gateway: Forbidden()))
        #expect(try copy.state == bank.state)
        #expect(ledger.count == 1)
        await #expect(throws: RecallError.self) { try await copy.send(Bank.Transfer(amount: 1, to: "CH93")) }
        #expect(try copy.state == bank.state)
    }

    @Test func chatHosted() async throws {
        let chat = Harness(Chat(model: Parrot()))
        #expect(try await chat.send(Chat.Say("hi")) == "hi? (1)")
        await #expect(throws: Chat.Refusal.empty) { try await chat.send(Chat.Say("")) }
        let mark = try await chat.send(Chat.Mark("start"))
        #expect(mark.turn == 2)
        #expect(mark.madeAt == Date(WallTime(nanoseconds: 1_700_000_001_123_456_789)))
        #expect(try await chat.send(Chat.Mark("again")).id != mark.id)
        #expect(try await chat.send(Chat.History(last: 1)) == [Chat.Turn(speaker: "model", text: "hi? (1)")])
        #expect(try await chat.send(Chat.History(last: -1)).isEmpty)
        #expect(try chat.replay(on: Chat(model: Forbidden())).state == chat.state)
    }

    @Test func aStateGoesOnFromItsCheckpoint() async throws {
        let chat = Harness(Chat(model: Parrot()))
        try await chat.send(Chat.Say("hi"))
        try await chat.send(Chat.Mark("start"))
        let other = Harness(Chat(model: Parrot())), bytes = try chat.state
        try other.hosted.restoreState(bytes.span.bytes)
        #expect(try await other.send(Chat.Say("ho")) == chat.send(Chat.Say("ho")))
        #expect(try other.state == chat.state)
    }
}
