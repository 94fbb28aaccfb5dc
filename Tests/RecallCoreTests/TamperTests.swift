import RecallCore
import RecallTesting
import Testing

/// Invariants 11 and 18: what is altered or made up reaches no user code and traps nobody. Single flipped bits are in
/// `FlipTests`.
@Suite struct TamperTests {
    /// A client's frames while a server recalls its session, checkpoint and all: the first is the hello.
    struct Recording {
        let frames: [[UInt8]]
        /// Every state that an honest server goes through.
        let states: Set<CoreState>
        let session: SessionID
    }

    static func record(rideAlong: Int = 16 << 10) -> Recording {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 12))
        var limits = ClientLimits()
        (limits.rideAlong, limits.receiptInterval) = (rideAlong, 0)
        let network = CoreNetwork(servers: 2, terms: terms)
        let client = network.client(limits: limits)
        let first = network.connect(client, to: network.servers[1])
        for text in ["aaaa+", "bbbb@", "cccc!+", "dddd-", "eeee@+"] {
            client.send(text)
            network.settle()
        }
        network.cut(first)
        client.send("ffff+")
        client.read()
        var frames: [[UInt8]] = []
        network.onFrame = { _, toServer, body in if toServer { frames.append(body) } }
        network.connect(client, to: network.servers[0])
        network.settle()
        let last = client.log.acknowledgedState
        let states = (0...last.items.count).map { CoreState(items: Array(last.items.prefix($0))) }
        return Recording(frames: frames, states: Set(states), session: client.session ?? SessionID(high: 0, low: 0))
    }

    /// Plays frames to a fresh server that the recorded nonce fits; gives it and its connection.
    static func play(_ frames: [[UInt8]]) -> (network: CoreNetwork, connection: CoreConnection) {
        let terms = CoreNetwork.terms(checkpoints: CoreNetwork.checkpoints(afterBytes: 12))
        let network = CoreNetwork(servers: 1, terms: terms)
        let connection = network.connect(network.client(), to: network.servers[0])
        connection.toServer = []
        for frame in frames {
            network.servers[0].receive(connection, frame)
            while network.servers[0].pump() {}
        }
        return (network, connection)
    }

    @Test func theRecordingItselfIsAccepted() {
        let recording = Self.record()
        let (network, _) = Self.play(recording.frames)
        #expect(network.servers[0].state(of: recording.session)?.items.count == 5)
        #expect(recording.frames.contains { $0.first == FrameType.historySegment.rawValue })
        #expect(recording.frames.contains { $0.first == FrameType.historyChunk.rawValue })
    }

    /// Whatever is cut off, left out, doubled or put elsewhere.
    @Test func whatIsMissingOrMovedReachesNoUserCode() {
        let recording = Self.record()
        var random = SeededGenerator(seed: 12)
        for round in 0..<600 {
            var frames = recording.frames
            let index = Int.random(in: 1..<frames.count, using: &random)
            switch round % 4 {
            case 0: frames[index].removeLast(Int.random(in: 0..<frames[index].count, using: &random))
            case 1: frames.remove(at: index)
            case 2: frames.insert(frames[index], at: Int.random(in: 1..<frames.count, using: &random))
            default: frames.swapAt(index, Int.random(in: 1..<frames.count, using: &random))
            }
            let (network, _) = Self.play(frames)
            let state = network.servers[0].state(of: recording.session) ?? CoreState()
            #expect(recording.states.contains(state), "round \(round): \(state)")
        }
    }

    // MARK: Fuzz

    /// Random and mutated frames, in the middle of conversations, to both sides.
    @Test func noBytesTrap() {
        var random = SeededGenerator(seed: 18)
        let recording = Self.record(rideAlong: 0)
        for round in 0..<300 {
            let count = Int.random(in: 1...recording.frames.count, using: &random)
            let (network, connection) = Self.play(Array(recording.frames.prefix(count)))
            for _ in 0..<10 {
                var frame = recording.frames.randomElement(using: &random) ?? []
                if round % 3 == 0 {
                    frame = (0..<Int.random(in: 0...200, using: &random)).map { _ in random.next() }
                    if let type = FrameType.allCases.randomElement(using: &random), !frame.isEmpty {
                        frame[0] = type.rawValue
                    }
                }
                for _ in 0..<Int.random(in: 0...4, using: &random) where !frame.isEmpty {
                    frame[Int.random(in: 0..<frame.count, using: &random)] = random.next()
                }
                network.servers[0].receive(connection, frame)
                network.servers[0].pump()
            }
        }
    }

    @Test func noBytesTrapAClient() {
        var random = SeededGenerator(seed: 19)
        for round in 0..<300 {
            let terms = CoreNetwork.terms(
                adoptsBehind: true, checkpoints: CoreNetwork.checkpoints(afterBytes: 4))
            let network = CoreNetwork(servers: 1, terms: terms)
            let client = network.client()
            var frames: [[UInt8]] = [[FrameType.gone.rawValue, 0, 0, 0, 1]]
            network.onFrame = { _, toServer, body in if !toServer { frames.append(body) } }
            let connection = network.connect(client, to: network.servers[0])
            for text in ["a@+", "bbbbbb!", "c-"].prefix(Int.random(in: 0...3, using: &random)) {
                client.send(text)
                network.settle()
            }
            client.send("waits@")
            client.read()
            client.work()
            for _ in 0..<10 {
                var frame = frames.randomElement(using: &random) ?? []
                if round % 3 == 0, let type = FrameType.allCases.randomElement(using: &random) {
                    frame = [type.rawValue] + (0..<Int.random(in: 0...200, using: &random)).map { _ in random.next() }
                }
                for _ in 0..<Int.random(in: 0...4, using: &random) {
                    frame[Int.random(in: 0..<frame.count, using: &random)] = random.next()
                }
                client.receive(connection, frame)
                client.work()
            }
            #expect(client.breach == nil, "round \(round)")
        }
    }

    @Test func noDecoderTraps() {
        var random = SeededGenerator(seed: 20)
        for _ in 0..<30_000 {
            let type = FrameType.allCases.randomElement(using: &random) ?? .ping
            var body: [UInt8] = [type.rawValue]
            let choices: [UInt8] = [0, 1, 2, 0xff]
            for _ in 0..<Int.random(in: 0...160, using: &random) {
                body.append(random.chance(50) ? choices.randomElement(using: &random) ?? 0 : random.next())
            }
            _ = try? VectorFrame.read(body, fromServer: type.rawValue & 0x40 != 0)
            _ = try? Determinants(body.span.bytes)
            _ = CoreState(encoded: body)
        }
    }
}
