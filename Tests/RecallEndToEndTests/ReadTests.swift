import Logging
import NIOCore
import NIOPosix
import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Synchronization
import Testing

/// What comes in one read.
@Suite struct ReadTests {
    /// A connection within the process, which holds back what the server writes. Stays on its loop.
    private final class Pipe: Connector, PeerTransport, ByteConnection, @unchecked Sendable {
        let loop: any EventLoop
        let run: HandlerRun
        var receiver: (any ByteReceiver)?
        var peer: (any HandlerPeer)?
        /// What waits for `release`; nil while everything goes through.
        var held: ByteBuffer?

        init(_ run: HandlerRun) { (loop, self.run) = (run.eventLoop, run) }

        var description: String { "a pipe" }

        func connect(
            _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
        ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
            self.receiver = receiver.value
            peer = run.accept(self)
            return loop.makeSucceededFuture(NIOLoopBound(self, eventLoop: loop))
        }

        func write(_ bytes: ByteBuffer) {
            if held != nil {
                held?.writeImmutableBuffer(bytes)
                return
            }
            loop.execute { [self] in
                receiver?.received(bytes)
                receiver?.batchEnded()
            }
        }

        func release() {
            guard let bytes = held else { return }
            held = nil
            write(bytes)
        }

        func send(_ bytes: ByteBuffer) {
            loop.execute { [self] in
                peer?.received(bytes)
                peer?.batchEnded()
            }
        }

        func resumeReading() {}
        func setReading(_ isReading: Bool) {}
        func close() {}
    }

    /// An acknowledgement that nobody waits for, and behind it the word that the session is gone: a client whose log
    /// appends at once had nothing to tell anybody, and forgot to attach again. `recall simulate` found it.
    @Test(.timeLimit(.minutes(1))) func anAcknowledgementOfNobodysAndGone() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let handler = try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter())
        let run = try await HandlerRun.start(handler, on: loop, logger: .silent)
        let pipe = Pipe(run)
        var configuration = ClientConfiguration()
        configuration.eventLoop = loop
        let connector = SessionConnector(to: [Endpoint(pipe)], configuration: configuration, logger: .silent)
        let client = try await connector.open(Counter.self, log: .memory)
        try await loop.submit { pipe.held = ByteBuffer() }.get()
        let first = Task { try await client.send(Counter.Add(amount: 1)) }
        let session = try #require(await client.session)
        try await eventually("the update is applied") {
            try await loop.submit { run.status(of: session)?.head.number == SequenceNumber(1) }.get()
        }
        first.cancel()
        _ = await first.result
        handler.deleteSession(session)
        _ = try await loop.submit {}.get()
        let second = Task { try await client.send(Counter.Add(amount: 2)) }
        try await eventually("the second update is in the log") { await client.head == SequenceNumber(2) }
        _ = try await loop.submit {}.get()
        try await loop.submit { pipe.release() }.get()
        #expect(try await second.value == 3)
        await client.close()
        await run.stop()
    }
}
