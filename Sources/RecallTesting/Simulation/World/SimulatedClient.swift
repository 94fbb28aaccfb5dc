internal import Recall
internal import RecallClient
internal import RecallServer

/// An open client of one of the simulation's kinds.
protocol SimulatedClient: OpenClient {
    func send(_ request: History.Request, id: UInt32) async throws -> History.Result
    /// Sends changes back to back.
    func send(_ changes: [Change]) async throws -> [Result<Answer, any Error>]
    func look() async throws -> View
    func inspect() async throws -> Inspection
}

struct KindClient<Terms: SimulatedTerms>: SimulatedClient {
    let client: SessionClient<SimulatedSession<Terms>>

    var notices: AsyncStream<SessionNotice> { client.notices }
    var situation: String { client.situation }

    func send(_ request: History.Request, id: UInt32) async throws -> History.Result {
        switch request {
        case .change(let operation): return .answered(try await client.send(Change(id: id, operation)))
        case .quiet(let operation):
            try await client.send(QuietChange(id: id, operation))
            return .done
        case .stamp: return .stamped(try await client.send(Stamp(id: id)))
        case .pay(let amount): return .paid(try await client.send(Pay<Terms>(id: id, amount: amount)))
        }
    }

    func send(_ changes: [Change]) async throws -> [Result<Answer, any Error>] { try await client.results(of: changes) }
    func look() async throws -> View { try await client.send(Look()) }
    func inspect() async throws -> Inspection { try await client.send(Inspect()) }
    func close() async { await client.close() }
}

/// A kind, chosen at run time.
enum SimulatedKindName: MemberKind {
    case adopting, refusing

    func open(_ connector: SessionConnector, _ log: any MessageLog) async throws -> any OpenClient {
        switch self {
        case .adopting:
            KindClient<AdoptingTerms>(
                client: try await connector.open(SimulatedSession<AdoptingTerms>.self, log: log))
        case .refusing:
            KindClient<RefusingTerms>(
                client: try await connector.open(SimulatedSession<RefusingTerms>.self, log: log))
        }
    }

    func replayed(_ view: LogView, _ handler: SessionHandler, principal: [UInt8]?) async throws -> [UInt8]? { nil }
}
