internal import Foundation

extension Suite {
    /// What sessions and connections cost a server that has nothing to do.
    func measureMemory() async throws {
        say("memory: connections, evicted sessions, idle sessions")
        try await measureConnections()
        try await measureEvicted()
        try await measureIdle()
    }

    private static let withSession = "connection, with a session that idles"

    private func measureConnections() async throws {
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let port = try await server.port()
        var crowds = [try await Crowd.open(1000, connections: 1000, port: port, updates: 1)]
        var each: [Double] = []
        try await Self.rest()
        for _ in 0..<pace.rounds {
            let before = try server.residentBytes
            crowds.append(try await Crowd.open(1000, connections: 1000, port: port, updates: 1))
            try await Self.rest()
            each.append(Double(try server.residentBytes - before) / 1000)
        }
        take("memory", 1000, Self.withSession, "bytes", each)
        for crowd in crowds { await crowd.close() }
    }

    /// A server that deletes its sessions after a second without use. What the allocator keeps for the next ones is
    /// there after the first crowd; each later one shows what is kept of a session.
    private func measureEvicted() async throws {
        let server = try Child.role("serve", "recall", "--idle-milliseconds", "1000")
        defer { server.end() }
        let port = try await server.port()
        let count = pace.idleSessions / 10
        var crowds: [Crowd] = [], resident: [Double] = []
        for _ in 0...pace.rounds {
            crowds.append(try await Crowd.open(count, connections: 1, port: port, updates: 1))
            try await server.evicted()
            resident.append(Double(try server.residentBytes))
        }
        let each = zip(resident.dropFirst(), resident).map { ($0 - $1) / Double(count) }
        take("memory", count, "evicted session, its client still connected", "bytes", each)
        withExtendedLifetime(crowds) {}
    }

    private func measureIdle() async throws {
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let port = try await server.port()
        let warm = try await Crowd.open(1000, connections: 64, port: port, updates: 1)
        let before = try server.residentBytes
        let crowd = try await Crowd.open(pace.idleSessions, connections: 64, port: port, updates: 1)
        try await Self.rest()
        let after = try server.residentBytes
        let each = Double(after - before) / Double(pace.idleSessions)
        take("memory", pace.idleSessions, "live session, idle", "bytes", [each], notes: ["process": Double(after)])
        if let both = report.figures.first(where: { $0.contender == Self.withSession }) {
            take("memory", 1000, "connection alone: the same less a session", "bytes", both.rounds.map { $0 - each })
        }
        // The last group of a run: that many sessions are left to the end of the process.
        withExtendedLifetime((crowd, warm)) {}
    }

    /// What waits for a quiet moment, as confirmations do, comes; and sessions rest after a second.
    static func rest() async throws { try await Task.sleep(for: .seconds(4)) }
}

extension Child {
    /// Waits until the server has no session left.
    fileprivate func evicted() async throws {
        for _ in 0..<600 {
            if try await ask("sessions") == "0" { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw BenchError("sessions were not deleted within a minute")
    }
}
