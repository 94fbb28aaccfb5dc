import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

/// Eviction, statistics, broken updates, authentication.
@Suite struct ServerTests {
    private func open<S: Session>(
        _ kind: S.Type, _ server: TestServer, configuration: ClientConfiguration = .quick
    ) async throws -> SessionClient<S> {
        try await .open(at: server.endpoint, log: .memory, configuration: configuration, logger: .silent)
    }

    /// Too large a number was taken modulo 65,536, and a port in use was an error of the socket alone.
    @Test(.timeLimit(.minutes(1))) func portsThatCannotBeListenedOn() async throws {
        let other = try await TestServer(Counter())
        try await withServer(other) { other in
            for port in [-1, 65_536, 70_000, other.port] {
                let handler = try SessionHandler(keys: KeyRing(secret: Digest()), hosting: Counter())
                let server = SessionServer(handler, listen: .tcp(port: port), logger: .silent)
                let error = await #expect(throws: RecallError.self) { try await server.run() }
                #expect(error?.code == .misconfigured)
                #expect(error?.message.contains("\(port)") == true, "\(error?.message ?? "no error")")
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func idleEviction() async throws {
        var configuration = HandlerConfiguration()
        configuration.idleLimit = .milliseconds(100)
        try await withServer(TestServer(Counter(), configuration: configuration)) { server in
            let client = try await open(Counter.self, server)
            for round in 1...3 {
                #expect(try await client.send(Counter.Add(amount: 1)) == round)
                try await eventually("the idle session goes") { await server.statistics.sessions == 0 }
            }
            #expect(await server.statistics.recalls == 2)
            #expect(await server.statistics.memory == 0)
            await client.close()
        }
    }

    @Test(.timeLimit(.minutes(1))) func evictionForWantOfRoom() async throws {
        var few = HandlerConfiguration()
        few.maximumSessions = 4
        var small = HandlerConfiguration()
        small.memoryBudget = 64 << 10
        for configuration in [few, small] {
            try await withServer(TestServer(Counter(), Blob(), configuration: configuration)) { server in
                let connector = SessionConnector(to: server.endpoint, configuration: .quick, logger: .silent)
                var clients: [SessionClient<Blob>] = []
                for _ in 0..<12 { clients.append(try await connector.open(Blob.self, log: .memory)) }
                for round in 1...4 {
                    for client in clients {
                        #expect(try await client.send(Blob.Put([UInt8](repeating: 0, count: 3000))) == round)
                    }
                }
                try await eventually("there is room again") {
                    let statistics = await server.statistics
                    return statistics.sessions < 12 && statistics.memory < 128 << 10
                }
                for client in clients { #expect(try await client.send(Blob.Count()) == 4) }
                #expect(await server.statistics.recalls > 0)
                for client in clients { await client.close() }
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func deadlineOfAnEffect() async throws {
        var configuration = HandlerConfiguration()
        configuration.detection = .deadline(.milliseconds(100))
        let outside = Outside("A") { _ in try await Task.sleep(for: .seconds(3600)) }
        try await withServer(TestServer(Journal(outside), Counter(), configuration: configuration)) { server in
            let client = try await open(Journal.self, server)
            let stuck = Task { try await client.send(Journal.Pay("x")) }
            try await eventually("the effect that hangs is found, and begun again") { outside.calls.count >= 3 }
            #expect(Set(outside.calls.map(\.key)).count == 1)
            #expect(await server.statistics.detected >= 2)
            await client.close()
            _ = await stuck.result
        }
    }

    @Test(.timeLimit(.minutes(1))) func statistics() async throws {
        try await withServer(TestServer(Counter(), Diary())) { server in
            let client = try await open(Counter.self, server)
            for _ in 0..<10 { try await client.send(Counter.Add(amount: 1)) }
            await server.delete(client)
            try await client.send(Counter.Add(amount: 1))
            let diary = try await open(Diary.self, server)
            for _ in 0..<20 { try await diary.send(Diary.Write("x")) }
            _ = try await diary.send(Diary.Read())
            let statistics = await server.statistics
            #expect(statistics.sessions == 2)
            #expect(statistics.connections == 2)
            #expect(statistics.recalls == 1)
            #expect(statistics.messagesReplayed == 10)
            #expect(statistics.updates == 31)
            #expect(statistics.recallsRunning == 0)
            #expect(statistics.recallsWaiting == 0)
            #expect(statistics.checkpoints >= 2)
            #expect(statistics.memory > 0)
            await client.close()
            await diary.close()
        }
    }

    // MARK: Updates that break their session

    struct Fragile: Session {
        struct State: SessionState {
            var sum = 0.0
            var isConsistent: Bool { sum < 100 }
        }
        /// Its reply may have no JSON.
        struct Divide: UpdateMessage, BinaryCodable {
            var divisor: Double
            init(by divisor: Double) { self.divisor = divisor }
            func update(_ fragile: inout State) -> Unwritable { Unwritable(isWritable: divisor != 0) }
            func write(to writer: inout ByteWriter) { writer.integer(divisor.bitPattern) }
            init(reading reader: inout ByteReader) throws(WireError) {
                divisor = Double(bitPattern: try reader.integer(UInt64.self))
            }
        }
        struct Unwritable: Codable, Sendable {
            var isWritable: Bool
            struct Failure: Error {}
            init(isWritable: Bool) { self.isWritable = isWritable }
            func encode(to encoder: any Encoder) throws {
                guard isWritable else { throw Failure() }
                var container = encoder.singleValueContainer()
                try container.encode(true)
            }
            init(from decoder: any Decoder) throws {
                isWritable = try decoder.singleValueContainer().decode(Bool.self)
            }
        }
        struct Add: UpdateMessage {
            var amount: Double
            func update(_ fragile: inout State) { fragile.sum += amount }
        }
        struct Sum: RequestMessage { func reply(from fragile: State) -> Double { fragile.sum } }
        static let kind = SessionKind<Fragile>("fragile", [1: Divide.self, 2: Add.self, 3: Sum.self])
    }

    /// An update that leaves its session useless is given up after a few tries and recorded as refused; the session
    /// goes on.
    @Test(.timeLimit(.minutes(1))) func updatesThatBreakTheirSession() async throws {
        try await withServer(TestServer(Fragile())) { server in
            let log = MemoryLog()
            let client = try await SessionClient<Fragile>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            try await client.send(Fragile.Add(amount: 1))
            #expect(await code { _ = try await client.send(Fragile.Divide(by: 0)) } == .poisonedMessage)
            #expect(try await client.send(Fragile.Divide(by: 1)).isWritable)
            #expect(await code { try await client.send(Fragile.Add(amount: 1000)) } == .poisonedMessage)
            try await client.send(Fragile.Add(amount: 2))
            #expect(try await client.send(Fragile.Sum()) == 3)
            await client.close()
            // Recorded: another server does not try them again.
            try await server.restart()
            let next = try await SessionClient<Fragile>.open(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            #expect(try await next.send(Fragile.Sum()) == 3)
            #expect(await server.statistics.detected == 0)
            await next.close()
        }
    }

    // MARK: Authentication

    struct Denied: Error {}

    @Test(.timeLimit(.minutes(1))) func authentication() async throws {
        let gate = Tally()
        let authenticate: Authentication = { credentials in
            let name = String(decoding: credentials, as: UTF8.self)
            if name == "slow" { try await eventually("the gate opens") { gate.value > 0 } }
            guard name != "bad" else { throw Denied() }
            return name.isEmpty ? nil : credentials
        }
        try await withServer(TestServer(Counter(), authenticate: authenticate)) { server in
            func configuration(_ name: String) -> ClientConfiguration {
                var configuration = ClientConfiguration.quick
                configuration.credentials = Array(name.utf8)
                return configuration
            }
            let nobody = try await open(Counter.self, server, configuration: configuration(""))
            #expect(try await nobody.send(Counter.Add(amount: 1)) == 1)
            await nobody.close()
            #expect(
                await code { _ = try await open(Counter.self, server, configuration: configuration("bad")) }
                    == .unauthenticated)
            // Others are served while a hook thinks.
            async let slow = open(Counter.self, server, configuration: configuration("slow"))
            let quick = try await open(Counter.self, server, configuration: configuration("quick"))
            #expect(try await quick.send(Counter.Add(amount: 1)) == 1)
            gate.add()
            let late = try await slow
            #expect(try await late.send(Counter.Add(amount: 1)) == 1)
            await late.close()
            await quick.close()
            // Too long to be sent.
            let long = configuration(String(repeating: "x", count: 17 << 10))
            #expect(await code { _ = try await open(Counter.self, server, configuration: long) } != nil)
        }
    }

    /// A session that was open when its credentials were withdrawn ends, and the client stops trying.
    @Test(.timeLimit(.minutes(1))) func withdrawnCredentials() async throws {
        let isWithdrawn = Tally()
        let asked = Tally()
        let authenticate: Authentication = { credentials in
            asked.add()
            guard isWithdrawn.value == 0 else { throw Denied() }
            return credentials
        }
        try await withServer(TestServer(Counter(), authenticate: authenticate)) { server in
            let client = try await open(Counter.self, server)
            try await client.send(Counter.Add(amount: 1))
            isWithdrawn.add()
            try await server.restart()
            #expect(await code { try await client.send(Counter.Add(amount: 1)) } == .unauthenticated)
            #expect(asked.value == 2)
            await client.close()
        }
    }

    // MARK: Keys

    @Test(.timeLimit(.minutes(1))) func keyRotation() async throws {
        try await withServer(TestServer(Counter())) { server in
            let old = try await open(Counter.self, server)
            try await old.send(Counter.Add(amount: 1))
            var ring = KeyRing(secret: testSecret)
            ring.rotate(to: KeyID(2), secret: Digest([UInt8](repeating: 9, count: 32)) ?? Digest())
            server.handler?.keys = ring
            let new = try await open(Counter.self, server)
            #expect(await new.session?.keyID == KeyID(2))
            await server.delete(old)
            #expect(try await old.send(Counter.Add(amount: 1)) == 2)
            ring.retire(KeyID(1))
            server.handler?.keys = ring
            _ = await server.statistics  // comes to the server's loop behind the new keys
            #expect(await code { try await old.send(Counter.Add(amount: 1)) } == .unknownKey)
            #expect(try await new.send(Counter.Add(amount: 1)) == 1)
            await old.close()
            await new.close()
        }
    }
}
