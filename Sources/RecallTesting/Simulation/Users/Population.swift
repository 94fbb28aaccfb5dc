internal import Recall
internal import RecallClient
internal import RecallCore
internal import RecallCrypto
internal import RecallServer

/// Whose sessions run in a world: the simulation's own, or a user's.
protocol Population: Sendable {
    /// What a server hosts.
    func hosts(_ door: OutsideDoor) -> [any Session]
    /// The kind of a new member's session.
    func kind(_ random: inout SeededGenerator) -> any MemberKind
    /// False if faults that need the simulation's own messages cannot happen.
    var isOwn: Bool { get }
}

/// A kind as a member opens it.
protocol MemberKind: Sendable {
    func open(_ connector: SessionConnector, _ log: any MessageLog) async throws -> any OpenClient
    /// The encoded state that a log leads to, replayed apart from any server; nil if the kind is judged otherwise.
    func replayed(_ view: LogView, _ handler: SessionHandler, principal: [UInt8]?) async throws -> [UInt8]?
}

/// An open client of any kind.
protocol OpenClient: Sendable {
    func close() async
    var notices: AsyncStream<SessionNotice> { get }
    /// Where it stands, for a report.
    var situation: String { get }
}

/// The simulation's own.
struct OwnPopulation: Population {
    var isOwn: Bool { true }

    func hosts(_ door: OutsideDoor) -> [any Session] {
        [SimulatedSession<AdoptingTerms>(outside: door), SimulatedSession<RefusingTerms>(outside: door)]
    }

    func kind(_ random: inout SeededGenerator) -> any MemberKind {
        random.chance(60) ? SimulatedKindName.adopting : SimulatedKindName.refusing
    }
}

/// A user's kind, and what a caller of it does.
struct UserPopulation<S: Session>: Population, MemberKind {
    let host: S
    let traffic: @Sendable (SessionClient<S>, inout SimulationRandom) async throws -> Void

    var isOwn: Bool { false }
    func hosts(_ door: OutsideDoor) -> [any Session] { [host] }
    func kind(_ random: inout SeededGenerator) -> any MemberKind { self }

    func open(_ connector: SessionConnector, _ log: any MessageLog) async throws -> any OpenClient {
        UserClient(client: try await connector.open(S.self, log: log), traffic: traffic)
    }

    func replayed(_ view: LogView, _ handler: SessionHandler, principal: [UInt8]?) async throws -> [UInt8]? {
        guard let header = view.header, view.isWhole, view.acknowledged == view.last, view.last > 0 else { return nil }
        let sealer = Sealer(vector: header.vector, .swiftCrypto)
        var last: SealedMessage?
        for number in 1...view.last {
            guard let message = view.message(number) else { return nil }
            let number = SequenceNumber(number)
            let seal = sealer.seal(
                .update, message.content.span.bytes, number: number, after: last?.seal ?? Digest())
            last = SealedMessage(
                number: number, seal: seal, content: message.content, determinants: message.determinants,
                previous: last.map { .carried($0) } ?? .none)
        }
        guard let last else { return nil }
        let state = try await handler.recallSession(S.self, session: header.session, from: last, principal: principal)
        var writer = ByteWriter()
        try Coder<S.State>.codable(S.kind.codec).encode(state, &writer)
        return writer.bytes
    }
}

struct UserClient<S: Session>: ActingClient {
    let client: SessionClient<S>
    let traffic: @Sendable (SessionClient<S>, inout SimulationRandom) async throws -> Void

    var notices: AsyncStream<SessionNotice> { client.notices }
    var situation: String { client.situation }
    func close() async { await client.close() }

    func act(seed: UInt64) async throws {
        var random = SimulationRandom(seed: seed)
        try await traffic(client, &random)
    }
}

/// A client whose caller is the user's own code.
protocol ActingClient: OpenClient {
    func act(seed: UInt64) async throws
}

/// Random numbers that follow from a simulation's seed.
public struct SimulationRandom: RandomNumberGenerator, Sendable {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    public mutating func next() -> UInt64 { generator.next() }
}
