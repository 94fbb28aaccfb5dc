import Recall
import RecallClient
import RecallCore
import RecallServer
import Testing

/// `recallSession`: a sequence of messages replayed where no client is, with all that updates take from outside.
@Suite struct LocalRecallTests {
    /// A state that can be written and not read.
    struct Hollow: Session {
        struct State: SessionState {
            struct Unreadable: Error {}
            init() {}
            init(from decoder: any Decoder) throws { throw Unreadable() }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(1)
            }
        }
        struct Touch: UpdateMessage { func update(_ hollow: inout State) {} }
        static let kind = SessionKind<Hollow>("hollow", [1: Touch.self])
    }

    /// Another type that says it is the journal.
    struct Impostor: Session {
        typealias State = JournalState
        struct Touch: UpdateMessage { func update(_ journal: inout JournalState) {} }
        static let kind = SessionKind<Impostor>("journal", [1: Touch.self])
    }

    struct Played {
        let handler: SessionHandler
        let session: SessionID
        /// Note, stamp, refusal, payment.
        let messages: [SealedMessage]

        /// Recalls from the last message, with other determinants at one.
        func recall(_ number: Int, _ determinants: [UInt8]) async throws -> JournalState {
            var previous = SealedMessage.Previous.none
            for message in messages {
                let isOther = message.number == SequenceNumber(UInt64(number))
                let link = SealedMessage(
                    number: message.number, seal: message.seal, content: message.content,
                    determinants: isOther ? determinants : message.determinants, previous: previous)
                previous = .carried(link)
            }
            guard case .carried(let last) = previous else { return JournalState() }
            return try await handler.recallSession(Journal.self, session: session, from: last)
        }
    }

    func play(_ body: (Played) async throws -> Void) async throws {
        try await withServer(TestServer(Journal(Outside("A")), Hollow(), clock: 1)) { server in
            let client = try await SessionClient<Journal>.open(at: server.endpoint, log: .memory)
            try await client.send(Journal.Note("a"))
            #expect(try await client.send(Journal.Stamp("b")) == "b@1")
            await #expect(throws: Journal.Refused.self) { try await client.send(Journal.Refuse()) }
            #expect(try await client.send(Journal.Pay("c")) == "c#A")
            var messages = [try #require(try await client.lastMessage())]
            while let previous = try await messages[0].previousMessage() { messages.insert(previous, at: 0) }
            let session = try #require(await client.session)
            let handler = try #require(server.handler)
            try await body(Played(handler: handler, session: session, messages: messages))
            await client.close()
        }
    }

    /// The clock and the effect's outcome are those of the first run, and what was refused is not asked again.
    @Test(.timeLimit(.minutes(1))) func whatWasTakenFromOutsideIsTakenFromTheRecord() async throws {
        try await play { played in
            #expect(played.messages.count == 4)
            let last = try #require(played.messages.last)
            let state = try await played.handler.recallSession(Journal.self, session: played.session, from: last)
            #expect(state.lines == ["a", "b@1", "c#A"])
            let stamp = Determinants(clock: WallTime(nanoseconds: 7_000_000_000)).encoded
            #expect(try await played.recall(2, stamp).lines == ["a", "b@7", "c#A"])
        }
    }

    @Test(.timeLimit(.minutes(1))) func whatDoesNotReplayIsRefused() async throws {
        try await play { played in
            let malformed = await #expect(throws: RecallError.self) { try await played.recall(1, [9]) }
            #expect(malformed?.code == .brokenChain)
            #expect(malformed?.message == "the determinants of update 1 are malformed")
            let clock = Determinants(clock: WallTime(nanoseconds: 1)).encoded
            let undecodable = Determinants(ending: .outcome([0xff])).encoded
            // A clock that nobody reads, one that is read and was not recorded, an effect without its outcome or with
            // what is none.
            let records: [(number: Int, determinants: [UInt8])] = [(1, clock), (2, []), (4, []), (4, undecodable)]
            for (number, determinants) in records {
                let error = await #expect(throws: RecallError.self) { try await played.recall(number, determinants) }
                #expect(error?.code == .diverged)
                #expect(error?.message.hasPrefix("update \(number) does not replay as it ran") == true)
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func whatIsNotHostedIsRefused() async throws {
        try await play { played in
            let last = try #require(played.messages.last)
            let (handler, session) = (played.handler, played.session)
            let kind = await #expect(throws: RecallError.self) {
                try await handler.recallSession(Counter.self, session: session, from: last)
            }
            #expect(kind?.code == .unknownKind)
            let stranger = SessionID(key: KeyID(99), issuer: 1, counter: 1)
            let key = await #expect(throws: RecallError.self) {
                try await handler.recallSession(Journal.self, session: stranger, from: last)
            }
            #expect(key?.code == .unknownKey)
            let impostor = await #expect(throws: RecallError.self) {
                try await handler.recallSession(Impostor.self, session: session, from: last)
            }
            #expect(impostor?.code == .unknownKind)
        }
    }

    @Test(.timeLimit(.minutes(1))) func aStateThatIsWrittenAndNotReadIsRefused() async throws {
        try await withServer(TestServer(Hollow())) { server in
            let client = try await SessionClient<Hollow>.open(at: server.endpoint, log: .memory)
            try await client.send(Hollow.Touch())
            let last = try #require(try await client.lastMessage())
            let session = try #require(await client.session)
            let handler = try #require(server.handler)
            let error = await #expect(throws: RecallError.self) {
                try await handler.recallSession(Hollow.self, session: session, from: last)
            }
            #expect(error?.code == .badCheckpoint)
            await client.close()
        }
    }
}
