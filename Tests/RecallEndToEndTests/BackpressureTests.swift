import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

/// A server does no more work for a client than the client takes the results of.
@Suite struct BackpressureTests {
    /// Answers with much, and counts how often it did.
    struct Tome: Session {
        struct State: SessionState {}
        struct Page: UpdateMessage {
            func update(_ tome: inout State) -> String { Tome.page() }
        }
        struct Read: RequestMessage {
            func reply(from tome: State) -> String { Tome.page() }
        }
        static let kind = SessionKind<Tome>("tome", [1: Page.self, 2: Read.self])
        static let pages = Tally()
        static func page() -> String {
            pages.add()
            return String(repeating: "x", count: 1 << 18)
        }
    }

    /// 1,000 replies of 256 KiB to one that does not read: what is made is what sockets and limits hold, and the rest
    /// when it reads on.
    @Test(.timeLimit(.minutes(2))) func unreadReplies() async throws {
        try await withServer(TestServer(Tome())) { server in
            let proxy = try await FrameProxy(to: server.port)
            let client = try await SessionClient<Tome>.open(
                at: proxy.endpoint, log: .memory, configuration: .quick, logger: .silent)
            #expect(try await client.send(Tome.Page()).utf8.count == 1 << 18)
            proxy.holdServer(true)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<1000 {
                    if number % 100 == 0 {
                        group.addTask { try await client.send(Tome.Page()).utf8.count }
                    } else {
                        group.addTask { try await client.send(Tome.Read()).utf8.count }
                    }
                }
                try await eventually("nothing more is made") {
                    let made = Tome.pages.value
                    try await Task.sleep(for: .milliseconds(500))
                    return made > 1 && made == Tome.pages.value
                }
                #expect(Tome.pages.value < 200)
                proxy.holdServer(false)
                var count = 0
                for try await size in group {
                    #expect(size == 1 << 18)
                    count += 1
                }
                #expect(count == 1000)
            }
            await client.close()
            await proxy.stop()
        }
    }

    /// A client that stops in the middle of its history gives its place up, though it is alive.
    @Test(.timeLimit(.minutes(1))) func stalledRecallGivesWay() async throws {
        var configuration = HandlerConfiguration()
        configuration.concurrentRecalls = 1
        configuration.recallPatience = .milliseconds(300)
        try await withServer(TestServer(Counter(), configuration: configuration)) { server in
            let (stuck, other) = (try await FrameProxy(to: server.port), MemoryLog())
            let first = try await SessionClient<Counter>.open(
                at: stuck.endpoint, log: .memory, configuration: .quick, logger: .silent)
            let second = try await SessionClient<Counter>.open(
                at: server.endpoint, log: other, configuration: .quick, logger: .silent)
            for _ in 0..<300 { try await first.send(Counter.Add(amount: 1)) }
            for _ in 0..<300 { try await second.send(Counter.Add(amount: 1)) }
            await server.delete(first)
            await server.delete(second)
            // Its histories are lost, until it attaches again after that.
            let (released, passing) = (Tally(), Tally())
            stuck.rule { frame in
                if frame.type == .attach, released.value > 0 { passing.add() }
                return passing.value == 0 && [.historyStart, .historyChunk].contains(frame.type) ? .drop : .pass
            }
            let waiting = Task { try await first.send(Counter.Add(amount: 1)) }
            try await eventually("the recall has begun") { await server.statistics.recallsRunning == 1 }
            #expect(try await second.send(Counter.Add(amount: 1)) == 301)
            released.add()
            stuck.cut()
            #expect(try await waiting.value == 301)
            await first.close()
            await second.close()
            await stuck.stop()
        }
    }
}
