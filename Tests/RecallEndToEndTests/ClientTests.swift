import InMemoryLogging
import Logging
import NIOCore
import NIOPosix
import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

/// Greets as an SSH server does.
private final class Stranger: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    func channelActive(context: ChannelHandlerContext) {
        context.channel.writeAndFlush(ByteBuffer(string: "SSH-2.0-other\r\n"), promise: nil)
    }
}

/// Endpoints, endings, cancellation and windows.
@Suite struct ClientTests {
    private func open(
        _ server: TestServer, _ log: any MessageLog = .memory, configuration: ClientConfiguration = .quick
    ) async throws -> SessionClient<Counter> {
        try await .open(at: [server.endpoint], log: log, mode: .either, configuration, .silent)
    }

    // MARK: Threads

    /// Replies and errors are the same for a task on the client's loop.
    @Test(.timeLimit(.minutes(1))) func sendingFromTheClientsLoop() async throws {
        try await withServer(TestServer(Counter())) { server in
            let client = try await open(server)
            try await withTaskExecutorPreference(client.loopExecutor) {
                for number in 1...100 {
                    let sum = try await client.send(Counter.Add(amount: 1))
                    #expect(sum == number)
                }
                let sums = try await client.send(contentsOf: (1...5).map { Counter.Add(amount: $0) })
                #expect(sums.last == 115)
            }
            await client.close()
            await #expect(throws: RecallError.self) {
                try await withTaskExecutorPreference(client.loopExecutor) { try await client.send(Counter.Total()) }
            }
        }
    }

    // MARK: Endpoints

    @Test(.timeLimit(.minutes(1))) func deadEndpointAmongSeveral() async throws {
        try await withServer(TestServer(Counter())) { server in
            for _ in 0..<5 {
                let client = try await SessionClient<Counter>.open(
                    at: .tcp("127.0.0.1", 1), server.endpoint, log: .memory, configuration: .quick, logger: .silent)
                #expect(try await client.send(Counter.Add(amount: 1)) == 1)
                await client.close()
            }
        }
    }

    /// A session that waits for its server says so, once, and says when the wait is over.
    @Test(.timeLimit(.minutes(1))) func aWaitForTheServerIsLogged() async throws {
        let handler = InMemoryLogHandler()
        let logger = Logger(label: "test") { _ in handler }
        @Sendable func count(_ level: Logger.Level, _ text: String) -> Int {
            handler.entries.count { $0.level == level && "\($0.message)".contains(text) }
        }
        try await withServer(TestServer(Counter())) { server in
            let client = try await SessionClient<Counter>.open(
                at: server.endpoint, log: .memory, configuration: .quick, logger: logger)
            #expect(try await client.send(Counter.Add(amount: 1)) == 1)
            await server.stop()
            async let reply = client.send(Counter.Add(amount: 1))
            try await eventually("the wait is logged") { count(.warning, "no server answers") == 1 }
            try await server.start()
            #expect(try await reply == 2)
            #expect(count(.info, "a server answers again") == 1)
            #expect(count(.warning, "no server answers") == 1)
            await client.close()
        }
    }

    /// Something else listens there.
    @Test(.timeLimit(.minutes(1))) func aStrangerIsToldFromAServer() async throws {
        let stranger = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Stranger()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        var configuration = ClientConfiguration.quick
        configuration.openTimeout = .milliseconds(300)
        do {
            _ = try await SessionClient<Counter>.open(
                at: .tcp("127.0.0.1", stranger.localAddress?.port ?? 0), log: .memory, configuration: configuration,
                logger: .silent)
            Issue.record("opened")
        } catch let error as RecallError {
            #expect(error.code == .unreachable && error.message.contains("no server of Recall"), "\(error)")
        }
        try await stranger.close()
    }

    @Test(.timeLimit(.minutes(1))) func unreachableServer() async throws {
        var configuration = ClientConfiguration.quick
        configuration.openTimeout = .milliseconds(200)
        let log = MemoryLog()
        do {
            _ = try await SessionClient<Counter>.open(
                at: .tcp("127.0.0.1", 1), log: log, configuration: configuration, logger: .silent)
            Issue.record("opened")
        } catch let error as RecallError {
            #expect(error.code == .unreachable)
            #expect(error.message.contains("127.0.0.1:1"))
        }
        // The log was let go, and is still empty.
        try await withServer(TestServer(Counter())) { server in
            let client = try await SessionClient<Counter>.initiate(
                at: server.endpoint, log: log, configuration: .quick, logger: .silent)
            #expect(try await client.send(Counter.Add(amount: 1)) == 1)
            await client.close()
            #expect(
                await code { _ = try await SessionClient<Counter>.initiate(at: server.endpoint, log: log) }
                    == .logMismatch)
            #expect(
                await code { _ = try await SessionClient<Counter>.resume(at: server.endpoint, log: MemoryLog()) }
                    == .logMismatch)
            // An unknown kind is refused, and not tried again.
            #expect(
                await code { _ = try await SessionClient<Journal>.open(at: server.endpoint, log: .memory) }
                    == .unknownKind)
        }
        // A session that was begun opens without a server.
        let resumed = try await SessionClient<Counter>.open(
            at: .tcp("127.0.0.1", 1), log: log, configuration: .quick, logger: .silent)
        #expect(await resumed.acknowledged == SequenceNumber(1))
        // The log is this client's alone, and stays so when another is turned away.
        for _ in 0..<2 {
            #expect(
                await code { _ = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", 1), log: log) }
                    == .logInUse)
        }
        await resumed.close()
        await resumed.close()
    }

    /// A log whose client closed may be another's at once; closing the first again does not take it away.
    @Test(.timeLimit(.minutes(1))) func closingTwice() async throws {
        try await withServer(TestServer(Counter())) { server in
            let log = MemoryLog()
            let first = try await open(server, log)
            try await first.send(Counter.Add(amount: 1))
            await first.close()
            let second = try await open(server, log)
            await first.close()
            #expect(try await second.send(Counter.Add(amount: 1)) == 2)
            #expect(await code { try await first.send(Counter.Total()) } == .closed)
            await second.close()
        }
    }

    /// A client that is dropped gives its log and its connection back.
    @Test(.timeLimit(.minutes(1))) func droppedClient() async throws {
        try await withServer(TestServer(Counter())) { server in
            let log = MemoryLog()
            do {
                let client = try await open(server, log)
                try await client.send(Counter.Add(amount: 1))
            }
            try await eventually("the connection ends") { await server.statistics.connections == 0 }
            try await eventually("the log is free") {
                guard (try? await log.open()) != nil else { return false }
                await log.close()
                return true
            }
        }
    }

    // MARK: Drain

    @Test(.timeLimit(.minutes(1))) func gracefulDrainMovesClients() async throws {
        let first = InMemoryServer { try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter()) }
        let second = InMemoryServer { try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter()) }
        try await first.start()
        try await second.start()
        let connector = SessionConnector(to: first.endpoint, second.endpoint, configuration: .quick, logger: .silent)
        var clients: [SessionClient<Counter>] = []
        for _ in 0..<20 { clients.append(try await connector.open(Counter.self, log: .memory)) }
        for round in 1...6 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        let total = try await client.send(contentsOf: (0..<10).map { _ in Counter.Add(amount: 1) }).last
                        #expect(total == round * 10)
                    }
                }
                let leaving = round % 2 == 1 ? first : second
                await leaving.shutDown(within: .seconds(5))
                try await group.waitForAll()
                try await leaving.start()
            }
        }
        for client in clients { await client.close() }
        await first.crash()
        await second.crash()
    }

    // MARK: Cancellation and windows

    /// A cancelled `send` ends at once, whatever stage its message is in and wherever its task runs, and the log stays
    /// sound.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true]) func cancellation(onLoop: Bool) async throws {
        try await withServer(TestServer(Counter())) { server in
            let log = MemoryLog()
            var configuration = ClientConfiguration.quick
            configuration.windowMessages = 4
            let client = try await open(server, log, configuration: configuration)
            let executor = onLoop ? client.loopExecutor : nil
            try await client.send(Counter.Add(amount: 1))
            await server.stop()
            // Four fit the window and are in the log; the others wait. One is cancelled before it begins.
            let sends = (0..<10).map { _ in
                Task(executorPreference: executor) { try await client.send(Counter.Add(amount: 1)) }
            }
            try await eventually("the window is full") { await client.head == SequenceNumber(5) }
            let early = Task(executorPreference: executor) {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await client.send(Counter.Add(amount: 1000))
            }
            await #expect(throws: CancellationError.self) { try await early.value }
            for send in sends { send.cancel() }
            for send in sends { await #expect(throws: CancellationError.self) { try await send.value } }
            try await server.start()
            // What was in the log is delivered; what was not is as if it had never been sent.
            #expect(try await client.send(Counter.Add(amount: 1)) == 6)
            #expect(await client.head == SequenceNumber(6))
            await client.close()
            let next = try await open(server, log)
            #expect(try await next.send(Counter.Total()) == 6)
            await next.close()
        }
    }

    /// Of many messages sent at once each has its own ending.
    @Test(.timeLimit(.minutes(1))) func resultsOfMany() async throws {
        try await withServer(TestServer(Journal())) { server in
            let client = try await SessionClient<Journal>.open(
                at: server.endpoint, log: .memory, configuration: .quick, logger: .silent)
            try await client.send(Journal.Note("a"))
            // The first is applied and makes the number of lines even, which refuses the others.
            let results = try await client.results(of: [Journal.Refuse(), Journal.Refuse(), Journal.Refuse()])
            #expect(results.count == 3)
            #expect(throws: Never.self) { try results[0].get() }
            for result in results.dropFirst() {
                #expect(throws: Journal.Refused(lines: 2)) { try result.get() }
            }
            #expect(await client.head == SequenceNumber(4))
            await server.stop()
            let waiting = Task { try await client.results(of: (0..<20).map { Journal.Note("\($0)") }) }
            try await eventually("they are in the log") { await client.head == SequenceNumber(24) }
            waiting.cancel()
            for result in try await waiting.value { #expect(throws: CancellationError.self) { try result.get() } }
            try await server.start()
            #expect(try await client.send(Journal.Read()).count == 22)
            await client.close()
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [false, true]) func cancelledAtRandom(onLoop: Bool) async throws {
        try await withServer(TestServer(Counter())) { server in
            let client = try await open(server, MemoryLog())
            let executor = onLoop ? client.loopExecutor : nil
            let delivered = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<600 {
                    let send = Task(executorPreference: executor) { try await client.send(Counter.Add(amount: 1)) }
                    group.addTask { if (try? await send.value) != nil { delivered.add() } }
                    if number % 3 == 0 { send.cancel() }
                    if number % 150 == 149 { try await server.restart() }
                }
                try await group.waitForAll()
            }
            let total = try await client.send(Counter.Total())
            #expect(total >= delivered.value && total <= 600)
            #expect(delivered.value >= 400)
            #expect(await client.head == SequenceNumber(UInt64(total)))
            await client.close()
        }
    }

    /// Thousands of cancelled calls ahead in the queue are passed over.
    @Test(.timeLimit(.minutes(1))) func manyCancelledInTheQueue() async throws {
        try await withServer(TestServer(Counter())) { server in
            var configuration = ClientConfiguration.quick
            configuration.windowMessages = 1
            let client = try await open(server, configuration: configuration)
            await server.stop()
            let first = Task { try await client.send(Counter.Add(amount: 1)) }
            try await eventually("the window is full") { await client.head == SequenceNumber(1) }
            let rest = (0..<20_000).map { _ in Task { try await client.send(Counter.Add(amount: 1)) } }
            for send in rest { send.cancel() }
            for send in rest { _ = await send.result }
            try await server.start()
            #expect(try await first.value == 1)
            #expect(try await client.send(Counter.Add(amount: 1)) == 2)
            await client.close()
        }
    }

    @Test(.timeLimit(.minutes(1))) func windowHoldsSendersBack() async throws {
        try await Ground.run { ground in
            var configuration = ClientConfiguration.quick
            configuration.windowMessages = 16
            let client = try await ground.open(.memory, configuration: configuration)
            ground.proxy.rule { $0.type == .acknowledgement ? .hold : .pass }
            let sending = Task { try await client.send(contentsOf: (0..<100).map { Journal.Note("\($0)") }) }
            try await ground.applied(16, by: ground.a)
            #expect(await client.head == SequenceNumber(16))
            #expect(await ground.a.statistics.updates == 16)
            ground.proxy.pass()
            ground.proxy.release()
            _ = try await sending.value
            #expect(try await client.send(Journal.Read()).count == 100)
            await client.close()
        }
    }

    /// Frames that arrive twice change nothing that a caller sees.
    @Test(.timeLimit(.minutes(1))) func duplicatedFramesFromTheServer() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(.memory)
            ground.proxy.rule { $0.isFromServer && $0.type != .serverHello ? .twice : .pass }
            for number in 0..<50 {
                #expect(try await client.send(Journal.Stamp("\(number)")) == "\(number)@1")
                if number % 10 == 0 { await ground.a.delete(client) }
            }
            #expect(try await client.send(Journal.Read()).count == 50)
            await client.close()
        }
    }

    /// The connection is cut at every kind of frame, before and after it passed.
    @Test(.timeLimit(.minutes(2))) func cutAtEveryFrame() async throws {
        try await Ground.run { ground in
            let client = try await ground.open(Diary.self, .memory)
            let cuts = Tally()
            var count = 0
            for type in FrameType.allCases {
                for action in [FrameProxy.Action.cut, .passAndCut] {
                    let once = Tally()
                    ground.proxy.rule { frame in
                        guard frame.type == type, once.value == 0 else { return .pass }
                        once.add()
                        cuts.add()
                        return action
                    }
                    for number in 0..<6 {
                        #expect(try await client.send(Diary.Write("\(count)")) == "\(count)@1")
                        if number == 3 { await ground.a.delete(client) }
                        count += 1
                        #expect(try await client.send(Diary.Read()).count == count)
                    }
                }
            }
            #expect(cuts.value >= 20)
            await client.close()
        }
    }
}
