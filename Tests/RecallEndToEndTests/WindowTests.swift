import NIOCore
import Recall
import RecallClient
import RecallCore
import RecallTesting
import Synchronization
import Testing

/// A client keeps to the window that its server announces.
@Suite struct WindowTests {
    /// A server that greets, gives a session its name, and then only counts.
    private final class Counting: Connector {
        let window: UInt32
        private let writes = Mutex<[Int]>([])
        let description = "a server that only counts"

        init(window: UInt32) { self.window = window }

        /// Updates that came, write by write.
        var parts: [Int] { writes.withLock { $0 } }
        var updates: Int { parts.reduce(0, +) }
        func add(_ updates: Int) { if updates > 0 { writes.withLock { $0.append(updates) } } }

        func connect(
            _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
        ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
            let connection = Connection(self, receiver, on: eventLoop)
            return eventLoop.makeSucceededFuture(NIOLoopBound(connection, eventLoop: eventLoop))
        }
    }

    /// On its loop.
    private final class Connection: ByteConnection {
        private let server: Counting
        private let receiver: NIOLoopBound<any ByteReceiver>
        private let eventLoop: any EventLoop
        private var splitter = FrameSplitter()

        init(_ server: Counting, _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop) {
            (self.server, self.receiver, self.eventLoop) = (server, receiver, eventLoop)
        }

        func setReading(_ isReading: Bool) {}
        func close() {}

        func send(_ bytes: ByteBuffer) {
            splitter.feed(Array(bytes.readableBytesView).span.bytes)
            var bodies: [[UInt8]] = []
            let take: (RawSpan) throws(WireError) -> Void = { bodies.append($0.array) }
            while (try? splitter.next(take, invalid: { $0 })) == true {}
            server.add(bodies.reduce(0) { $0 + ((try? answer($1)) ?? 0) })
        }

        /// How many updates it has.
        private func answer(_ body: [UInt8]) throws(WireError) -> Int {
            var updates = 0
            var reader = ByteReader(body.span.bytes)
            var writer = ByteWriter()
            switch try reader.frameType() {
            case .clientHello:
                writer.frame(ServerHello(windowMessages: server.window, windowBytes: 1 << 20, nonce: Digest()))
            case .initiate:
                let stream = try Initiate(reading: &reader).stream
                writer.frame(Initiated(stream: stream, session: SessionID(high: 1, low: 2), vector: Digest()))
            case .update:
                _ = try UpdateRun(reading: &reader)
                while reader.remaining > 0 {
                    _ = try reader.block(limit: WireLimits.message)
                    updates += 1
                }
            default: break
            }
            let (answer, receiver) = (writer.bytes, receiver)
            eventLoop.execute {
                receiver.value.received(ByteBuffer(bytes: answer))
                receiver.value.batchEnded()
            }
            return updates
        }
    }

    /// A session that had just been initiated knew nothing of its first server's window.
    @Test(.timeLimit(.minutes(1))) func aNewSessionKeepsToItsFirstServersWindow() async throws {
        let server = Counting(window: 3)
        let client = try await SessionClient<Counter>.open(
            at: [Endpoint(server)], log: MemoryLog(), mode: .initiate, .quick, .silent)
        let sending = Task { try await client.send(contentsOf: (0..<10).map { Counter.Add(amount: $0) }) }
        try await eventually("the window is full") { server.updates >= 3 }
        // Whatever else is sent is on the loop before this is answered.
        for _ in 0..<10 { _ = await client.head }
        #expect(server.updates == 3)
        #expect(await client.head == SequenceNumber(3))
        await client.close()
        _ = await sending.result
    }

    /// The server is to work on the first of a window while the client seals the rest.
    @Test(.timeLimit(.minutes(1)), arguments: [(bytes: 10, part: 64), (bytes: 4 << 10, part: 4)])
    func aWindowGoesOutInParts(bytes: Int, part: Int) async throws {
        let server = Counting(window: 150)
        let client = try await SessionClient<Blob>.open(
            at: [Endpoint(server)], log: MemoryLog(), mode: .initiate, .quick, .silent)
        let put = Blob.Put([UInt8](repeating: 1, count: bytes))
        let sending = Task { try await client.send(contentsOf: repeatElement(put, count: 200)) }
        try await eventually("the window is full") { server.updates >= 150 }
        #expect(server.parts.dropLast().allSatisfy { $0 == part })
        #expect(server.parts.last == 150 % part)
        await client.close()
        _ = await sending.result
    }
}
