import NIOCore
import NIOPosix
import Recall
import RecallClient
import RecallTesting
import Synchronization
import Testing

@testable import RecallServer

/// What a connection leaves behind in the server after its end.
@Suite struct LingerTests {
    /// The channel of a connection, as long as something holds it.
    private final class Watch: Sendable {
        private struct Reference: Sendable { weak let channel: (any Channel)? }
        private let reference = Mutex(Reference(channel: nil))

        func see(_ channel: any Channel) { reference.withLock { $0 = Reference(channel: channel) } }
        var isHeld: Bool { reference.withLock { $0.channel != nil } }
    }

    /// A server that waits for the end of a peer that it has refused keeps nothing once that has come: a flood of such
    /// connections took 18 KB of memory each for two seconds more.
    @Test(.timeLimit(.minutes(1))) func nothingIsHeldAfterTheEnd() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let handler = try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter())
        let run = try await HandlerRun.start(handler, on: group.next(), logger: .silent)
        let watch = Watch()
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                watch.see(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PeerChannelHandler(run, logger: .silent))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let peer = try await RawPeer(.tcp("127.0.0.1", server.localAddress?.port ?? 0))
        peer.send([0, 0, 0, 1, 0xff])
        try await eventually("it is refused") { peer.refusal != nil }
        peer.close()
        let end = ContinuousClock.now
        try await eventually("its channel is let go") { !watch.isHeld }
        #expect(ContinuousClock.now - end < .seconds(1))
        try await server.close()
        await run.stop()
        try await group.shutdownGracefully()
    }
}
