internal import Foundation
internal import NIOCore
internal import NIOPosix

extension Suite {
    /// What sessions and connections cost a server that has nothing to do.
    func measureMemory() async throws {
        say("memory: idle sessions and connections")
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let port = try await server.port()
        let warm = try await Crowd.open(1000, connections: 64, port: port, updates: 1)
        let before = try server.residentBytes
        let crowd = try await Crowd.open(pace.idleSessions, connections: 64, port: port, updates: 1)
        // What waits for a quiet moment, as confirmations do, has come; and sessions rest after a second.
        try await Task.sleep(for: .seconds(4))
        let after = try server.residentBytes
        let each = Double(after - before) / Double(pace.idleSessions)
        take("memory", pace.idleSessions, "live session, idle", "bytes", [each], notes: ["process": Double(after)])

        let group = MultiThreadedEventLoopGroup.singleton
        let connections = try await server.connections(1000, port: port, on: group)
        let with = try server.residentBytes
        take("memory", 1000, "connection", "bytes", [Double(with - after) / 1000])
        for channel in connections { try? await channel.close() }
        // The last group of a run: that many sessions are left to the end of the process.
        withExtendedLifetime((crowd, warm)) {}
    }
}

extension Child {
    fileprivate func connections(
        _ count: Int, port: Int, on group: MultiThreadedEventLoopGroup
    ) async throws -> [any Channel] {
        var channels: [any Channel] = []
        for _ in 0..<count {
            channels.append(try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get())
        }
        try await Task.sleep(for: .seconds(1))
        return channels
    }
}
