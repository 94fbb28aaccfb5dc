import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import RecallServer

/// A server that has no file descriptor left for a connection.
@Suite struct AcceptPauseTests {
    /// It asked for the next connection without a pause, and took a core for it.
    @Test(.timeLimit(.minutes(1))) func restsAndGoesOn() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await ServerBootstrap(group: group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: .silent))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        server.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
        #expect(try await server.getOption(.autoRead).get() == false)
        try await eventually("it goes on") { try await server.getOption(.autoRead).get() }
        let client = try await ClientBootstrap(group: group)
            .connect(host: "127.0.0.1", port: server.localAddress?.port ?? 0).get()
        try await client.close()
        try await server.close()
        try await group.shutdownGracefully()
    }
}
