import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Synchronization
import Testing

/// Invariant 17 on real connections: what a client said arrives twice, on another connection, or late. Every update is
/// applied exactly once, in order, and every `send` returns.
@Suite struct DeliveryTests {
    private static var configuration: ClientConfiguration {
        var configuration = ClientConfiguration.quick
        configuration.silenceLimit = .seconds(1)
        configuration.heartbeat = .milliseconds(100)
        return configuration
    }

    /// A conversation in which clients say most of what they can: updates one by one and in runs, reads, checkpoints
    /// kept, a session deleted under way. Gives what its calls returned, in order.
    private func converse(_ ground: Ground, _ client: SessionClient<Diary>) async throws -> [String] {
        var replies: [String] = []
        for text in ["a", "b"] { replies.append(try await client.send(Diary.Write(text))) }
        #expect(try await client.send(Diary.Read()) == replies)
        replies += try await client.send(contentsOf: ["c", "d", "e", "f"].map { Diary.Write($0) })
        await ground.a.delete(client)
        replies += try await client.send(contentsOf: ["g", "h"].map { Diary.Write($0) })
        #expect(try await client.send(Diary.Read()) == replies)
        return replies
    }

    static let lines = ["a", "b", "c", "d", "e", "f", "g", "h"].map { "\($0)@1" }

    private static let history: Set<FrameType> = [.historyStart, .historySegment, .historyChunk]
    /// What a conversation has at least once, however its messages are batched.
    private static let certain: Set<FrameType> = [
        .clientHello, .initiate, .attach, .update, .confirm, .request, .historyStart, .historyChunk,
    ]

    /// The first frames of each type are sent twice, one at a time; then all that came along with them.
    ///
    /// No network does this within a connection. A history that repeats itself is refused as such, and goes on when its
    /// log is opened again; everything else goes on by itself.
    @Test(.timeLimit(.minutes(2)), arguments: [FrameProxy.Action.twice, .batchTwice])
    func framesTwice(action: FrameProxy.Action) async throws {
        try await Ground.run { ground in
            for type in Self.certain.union([.historySegment, .kept, .detach]).sorted(by: { $0.rawValue < $1.rawValue })
            {
                for turn in 0..<3 { try await converse(ground, doubling: type, turn, action) }
            }
        }
    }

    /// A whole conversation in which the so manieth frame of a type is doubled.
    private func converse(
        _ ground: Ground, doubling type: FrameType, _ turn: Int, _ action: FrameProxy.Action
    ) async throws {
        let (count, doubled) = (Tally(), Tally())
        ground.proxy.rule { frame in
            guard !frame.isFromServer, frame.type == type else { return .pass }
            defer { count.add() }
            guard count.value == turn else { return .pass }
            doubled.add()
            return action
        }
        let log = MemoryLog()
        let confirmations = ground.proxy.count(.confirm)
        let client = try await ground.open(Diary.self, log, configuration: Self.configuration)
        do {
            let replies = try await within(.seconds(30), "every send returns") { [ground] in
                try await converse(ground, client)
            }
            #expect(replies == Self.lines, "\(type) \(turn)")
            // A client that falls silent confirms by itself.
            try await eventually("it confirms") { ground.proxy.count(.confirm) > confirmations }
        } catch let error as RecallError {
            #expect([.unexpectedFrame, .malformedFrame].contains(error.code), "\(type) \(turn): \(error)")
            #expect(action == .batchTwice || Self.history.contains(type), "\(type) \(turn): \(error)")
        }
        await client.close()
        #expect(turn > 0 || doubled.value == 1 || !Self.certain.contains(type), "no \(type) was sent twice")
        ground.proxy.rule { _ in .pass }
        let again = try await ground.open(Diary.self, log, configuration: Self.configuration)
        #expect(try await again.send(Diary.Read()) == Self.lines, "\(type) \(turn)")
        await again.close()
    }

    /// Every frame of a dead connection is said once more on the one after it.
    @Test(.timeLimit(.minutes(2))) func framesOfADeadConnectionOnTheNext() async throws {
        try await Ground.run { ground in
            let said = Mutex<[FrameProxy.Frame]>([])
            let client = try await ground.open(Diary.self, .memory, configuration: Self.configuration)
            ground.proxy.rule { frame in
                if !frame.isFromServer { said.withLock { $0.append(frame) } }
                return .pass
            }
            var replies = try await converse(ground, client)
            ground.proxy.pass()
            let frames = said.withLock { $0 }
            #expect(frames.count > 10)
            for frame in frames where frame.type != .ping {
                let attaches = ground.proxy.count(.attached)
                ground.proxy.cut()
                // With something to say, so that it attaches.
                replies.append(try await client.send(Diary.Write("\(replies.count)")))
                try await eventually("the client attaches") { ground.proxy.count(.attached) > attaches }
                ground.proxy.say(frame.bytes)
                let next = Diary.Write("\(replies.count)")
                let reply = try await within(.seconds(30), "send returns after \(frame.type)") {
                    try await client.send(next)
                }
                replies.append(reply)
            }
            #expect(try await client.send(Diary.Read()) == replies)
            #expect(Set(replies).count == replies.count)
            await client.close()
        }
    }

    /// From each frame of the first connection on, all that the client says is held back, and arrives when the server
    /// has heard of the next connection, or when the conversation on that has ended.
    @Test(.timeLimit(.minutes(3)), arguments: [false, true])
    func framesOfADeadConnectionAfterThoseOfTheNext(atTheEnd: Bool) async throws {
        try await Ground.run { ground in
            for index in 0..<14 {
                let (said, held, hellos) = (Tally(), Tally(), Tally())
                ground.proxy.rule { frame in
                    guard !frame.isFromServer, frame.type != .ping else { return .pass }
                    if frame.type == .clientHello { hellos.add() }
                    defer { said.add() }
                    guard hellos.value == 1, said.value >= index else { return .pass }
                    held.add()
                    return .hold
                }
                let talking = Task { [ground] in
                    let client = try await ground.open(Diary.self, .memory, configuration: Self.configuration)
                    return (client, try await converse(ground, client))
                }
                try await eventually("frame \(index) is held back") { held.value > 0 }
                let attached = ground.proxy.count(.attached)
                ground.proxy.cut(clientSideOnly: true)
                if !atTheEnd {
                    try await eventually("the next connection attaches") { ground.proxy.count(.attached) > attached }
                    ground.proxy.release()
                }
                let (client, first) = try await within(.seconds(30), "every send returns, frame \(index)") {
                    try await talking.value
                }
                ground.proxy.release()
                var replies = first
                for text in ["i", "j"] {
                    replies.append(
                        try await within(.seconds(30), "send returns, frame \(index)") {
                            try await client.send(Diary.Write(text))
                        })
                }
                #expect(replies == Self.lines + ["i@1", "j@1"], "frame \(index)")
                #expect(try await client.send(Diary.Read()) == replies)
                await client.close()
                ground.proxy.pass()
                ground.proxy.cut()
            }
        }
    }
}
