import Recall
import RecallCore
import RecallExamples
import Testing

@Suite struct KindTests {
    /// Why the kind is unusable; nil if it is fine.
    func fault<S: Session>(_ kind: SessionKind<S>) -> String? {
        do throws(RecallError) {
            try kind.validate()
            return nil
        } catch {
            #expect(error.code == .misconfigured)
            return error.message
        }
    }

    @Test func examplesAreFine() {
        #expect(fault(Notebook.kind) == nil)
        #expect(fault(Bank.kind) == nil)
        #expect(fault(Chat.kind) == nil)
        #expect(fault(Lab.kind) == nil)
    }

    @Test func names() {
        let add: MessageList<Lab.State> = [1: Lab.Add.self]
        #expect(fault(SessionKind<Lab>("", add)) == "kind \"\": the name has 0 bytes, not 1 to 255")
        #expect(fault(SessionKind<Lab>("é", add)) == nil)
        #expect(fault(SessionKind<Lab>(String(repeating: "x", count: 255), add)) == nil)
        #expect(
            fault(SessionKind<Lab>(String(repeating: "é", count: 128), add))?.hasSuffix("256 bytes, not 1 to 255")
                == true)
    }

    @Test func lists() {
        #expect(fault(SessionKind<Lab>("lab", [:])) == "kind \"lab\": no message is listed")
        let twice = MessageList<Lab.State>([(1, Lab.Add.self), (1, Lab.Look.self)])
        #expect(fault(SessionKind<Lab>("lab", twice)) == "kind \"lab\": message number 1 is listed twice")
        #expect(
            fault(SessionKind<Lab>("lab", [1: Lab.Add.self, 2: Lab.Add.self])) == "kind \"lab\": Add is listed twice")
        #expect(fault(SessionKind<Lab>("lab", [0: Lab.Add.self, 255: Lab.Look.self])) == nil)
    }

    /// Another kind with the same state type: its list compiles with the other's messages.
    struct Twin: Session {
        typealias State = Lab.State
        static let kind = SessionKind<Twin>("twin", [1: Lab.Add.self, 2: Lab.Fetch.self])
    }

    @Test func effectsOfAnotherKind() async throws {
        #expect(fault(Twin.kind) == "kind \"twin\": Fetch is an effect of another kind")
        let twin = Harness(Twin())
        try await twin.send(Lab.Add(amount: 1))
        #expect(try twin.apply(Lab.Fetch(amount: 1)) == .effect)
        #expect(await twin.launch() == .failure(.failed("the effect is made for another kind")))
    }

    @Test func limits() {
        func fault(_ change: (inout SessionLimits) -> Void) -> String? {
            var limits = SessionLimits()
            change(&limits)
            return self.fault(SessionKind<Lab>("lab", limits: limits, [1: Lab.Add.self]))
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0.messageBytes = 0 } != nil)
        #expect(fault { $0.messageBytes = .max } != nil)
        #expect(fault { $0.replyBytes = -1 } != nil)
        #expect(fault { $0.maximumIdleAge = .seconds(-1) } != nil)
        #expect(fault { $0.maximumIdleAge = .seconds(1) } == nil)
        #expect(fault { $0.checkpoints.minimumBytes = 0 } != nil)
        #expect(fault { $0.checkpoints.growthFactor = 0 } != nil)
        #expect(fault { $0.checkpoints.maximumMessages = 0 } != nil)
        #expect(fault { $0.checkpoints.maximumReplayTime = .zero } != nil)
        #expect(fault { $0.checkpoints.refusalFactor = 1 } != nil)
    }

    @Test func describedWithoutItsTypes() {
        let sessions: [any Session] = [Notebook(), Lab()]
        #expect(sessions.map(\.hostedKind.name) == ["notebook", "lab"])
        #expect(sessions.map(\.hostedKind.version) == [1, 1])
        #expect(sessions[1].hostedKind.limits.messageBytes == 200)
        #expect(sessions[1].hostedKind.whenBehind == .refuse)
        #expect(sessions.allSatisfy { $0.hostedKind.fault == nil })
        #expect(Twin().hostedKind.fault?.code == .misconfigured)
    }

    @Test func routes() {
        let add = Lab.kind.route(of: Lab.Add.self), fetch = Lab.kind.route(of: Lab.Fetch.self)
        let look = Lab.kind.route(of: Lab.Look.self)
        #expect(add?.number == 1 && add?.isRequest == false)
        #expect(fetch?.number == 4 && fetch?.isRequest == false)
        #expect(look?.number == 5 && look?.isRequest == true)
        let short = SessionKind<Lab>("lab", [1: Lab.Add.self])
        #expect(short.route(of: Lab.Look.self) == nil)
    }

    /// An unnoticed `Never` here would mean that a message's `validate` is never asked.
    @Test func rejectionsAreInferred() {
        #expect(Lab.Add.Rejection.self == Lab.Refusal.self)
        #expect(Lab.Fetch.Rejection.self == Lab.Refusal.self)
        #expect(Lab.Look.Rejection.self == Lab.Refusal.self)
        #expect(Lab.Touchy.Rejection.self == Stubborn.self)
        #expect(Lab.Poke.Rejection.self == Never.self)
        #expect(Bank.Deposit.Rejection.self == Bank.Refusal.self)
        #expect(Notebook.Edit.Rejection.self == Notebook.Refusal.self)
        #expect(Chat.Say.Rejection.self == Chat.Refusal.self)
        #expect(Chat.Mark.Rejection.self == Never.self)
    }

    @Test func contentsThatCannotBeSent() throws {
        let short = SessionKind<Lab>("lab", limits: SessionLimits(messageBytes: 12), [1: Lab.Add.self])
        func code<M: Message<Lab.State>>(_ message: M) -> FaultCode? {
            do throws(RecallError) {
                _ = try short.coding(of: M.self).content(of: message)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(Lab.Add(amount: 1)) == nil)
        #expect(code(Lab.Add(amount: 12)) == .messageTooLarge)
        #expect(code(Lab.Look()) == .unknownMessage)
    }
}
