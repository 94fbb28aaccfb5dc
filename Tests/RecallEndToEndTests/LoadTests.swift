import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Synchronization
import Testing

/// Servers die while many clients are busy: nothing is lost, nothing happens twice, and every reply is the right one.
@Suite struct LoadTests {
    /// Sends `count` updates, `width` at a time, and checks that the replies are the running totals.
    private func work(_ client: SessionClient<Counter>, batches: Int, width: Int) async throws {
        var total = try await client.send(Counter.Total())
        for _ in 0..<batches {
            let replies = try await client.send(contentsOf: (0..<width).map { _ in Counter.Add(amount: 1) })
            #expect(replies == Array((total + 1)...(total + width)))
            total += width
            #expect(try await client.send(Counter.Total()) == total)
        }
    }

    @Test(.timeLimit(.minutes(2)), arguments: [false, true])
    func restartsUnderLoad(shared: Bool) async throws {
        try await withServer(TestServer(Counter())) { server in
            let (count, batches, width) = (60, 12, 20)
            let connector = SessionConnector(to: server.endpoint, configuration: .quick, logger: .silent)
            var clients: [SessionClient<Counter>] = []
            for _ in 0..<count {
                clients.append(
                    shared
                        ? try await connector.open(Counter.self, log: .memory)
                        : try await .open(at: server.endpoint, log: .memory, configuration: .quick, logger: .silent))
            }
            let done = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        try await work(client, batches: batches, width: width)
                        done.add()
                    }
                }
                for _ in 0..<6 {
                    let before = await server.statistics.updates
                    try await eventually("updates are applied") {
                        let updates = await server.statistics.updates
                        return updates > before + 400 || done.value == count
                    }
                    try await server.restart()
                }
                try await group.waitForAll()
            }
            for client in clients {
                #expect(try await client.send(Counter.Total()) == batches * width)
                #expect(await client.head == SequenceNumber(UInt64(batches * width)))
                await client.close()
            }
            if shared { #expect(await server.statistics.connections <= 1) }
        }
    }

    /// Invariant 13: while keys rotate, recalls go on under the old one; without it all are refused.
    @Test(.timeLimit(.minutes(2))) func keysRotateUnderLoad() async throws {
        try await withServer(TestServer(Counter())) { server in
            let connector = SessionConnector(to: server.endpoint, configuration: .quick, logger: .silent)
            var clients: [SessionClient<Counter>] = []
            for _ in 0..<20 { clients.append(try await connector.open(Counter.self, log: .memory)) }
            let done = Tally()
            var ring = KeyRing(secret: testSecret)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        try await work(client, batches: 20, width: 10)
                        done.add()
                    }
                }
                for key in 2...6 {
                    let before = await server.statistics.updates
                    try await eventually("updates are applied") {
                        let updates = await server.statistics.updates
                        return updates > before + 200 || done.value == 20
                    }
                    let secret = Digest([UInt8](repeating: UInt8(key), count: 32)) ?? Digest()
                    ring.rotate(to: KeyID(UInt16(key)), secret: secret)
                    server.handler?.keys = ring
                    for client in clients { await server.delete(client) }
                }
                try await group.waitForAll()
            }
            for client in clients { #expect(try await client.send(Counter.Total()) == 200) }
            #expect(await server.statistics.recalls >= 20)
            ring.retire(KeyID(1))
            server.handler?.keys = ring
            _ = await server.statistics  // comes to the server's loop behind the new keys
            for client in clients {
                #expect(await code { _ = try await client.send(Counter.Total()) } == .unknownKey)
                await client.close()
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func thousandSessionsOnOneConnection() async throws {
        try await withServer(TestServer(Counter())) { server in
            let connector = SessionConnector(to: server.endpoint, configuration: .quick, logger: .silent)
            let clients = try await withThrowingTaskGroup(of: SessionClient<Counter>.self) { group in
                for _ in 0..<1000 { group.addTask { try await connector.open(Counter.self, log: .memory) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients { group.addTask { try await work(client, batches: 2, width: 5) } }
                try await group.waitForAll()
            }
            let statistics = await server.statistics
            #expect(statistics.connections == 1)
            #expect(statistics.sessions == 1000)
            try await server.restart()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        let total = try await client.send(Counter.Add(amount: 1))
                        #expect(total == 11)
                    }
                }
                try await group.waitForAll()
            }
            #expect(await server.statistics.recalls == 1000)
            #expect(await server.statistics.connections == 1)
            await withTaskGroup(of: Void.self) { group in
                for client in clients { group.addTask { await client.close() } }
            }
            try await eventually("the connection ends with its last session") {
                await server.statistics.connections == 0
            }
        }
    }

    /// Deletes a session with some probability whenever it is asked (invariant 8).
    struct Whimsical: FailureDetector {
        private var random: SessionDice
        init(for session: SessionID, at now: Instant) {
            random = SessionDice(state: session.low ^ UInt64(now.nanoseconds))
        }
        mutating func observe(_ event: SessionEvent, at now: Instant) { random.roll() }
        func hasFailed(at now: Instant) -> Bool { random.state % 64 == 0 }
        func nextCheck(after now: Instant) -> Instant? { now }
    }

    /// SplitMix64.
    struct SessionDice {
        var state: UInt64
        mutating func roll() {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            state = mixed ^ (mixed >> 31)
        }
    }

    @Test(.timeLimit(.minutes(2))) func detectorThatDeletesAtRandom() async throws {
        var configuration = HandlerConfiguration()
        configuration.detection = FailureDetection(Whimsical.self)
        try await withServer(TestServer(Counter(), Journal(), configuration: configuration)) { server in
            let connector = SessionConnector(to: server.endpoint, configuration: .quick, logger: .silent)
            // Detectors are asked as time goes by: how often in one round depends on how long it takes.
            for _ in 0..<200 where await server.statistics.detected <= 50 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<30 {
                        group.addTask { try await count(connector) }
                        group.addTask { try await write(connector) }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(await server.statistics.detected > 50)
        }
    }

    private func count(_ connector: SessionConnector) async throws {
        let client = try await connector.open(Counter.self, log: .memory)
        try await work(client, batches: 20, width: 5)
        await client.close()
    }

    private func write(_ connector: SessionConnector) async throws {
        let client = try await connector.open(Journal.self, log: .memory)
        var lines: [String] = []
        for number in 0..<30 {
            lines.append(try await client.send(Journal.Stamp("\(number)")))
            if number % 5 == 0 { lines.append(try await client.send(Journal.Pay("p\(number)"))) }
            if number % 7 == 0 { #expect(try await client.send(Journal.Read()) == lines) }
        }
        #expect(try await client.send(Journal.Read()) == lines)
        await client.close()
    }
}
