internal import Foundation
internal import Recall
internal import RecallClient

/// A session that comes back on a server that does not know it.
struct Comeback {
    /// Seconds: for the caller, and as the server counts them.
    let whole: Double
    let inside: Double
    /// Bytes on the loopback interface, both ways.
    let wire: Double
    /// Bytes by which the server's resident memory had grown at its peak.
    let growth: Double

    /// - Parameter ask: sends something, and sees to it that the answer is right.
    init<S: Session>(
        _ kind: S.Type, _ log: MemoryLog, _ ask: (SessionClient<S>) async throws -> Void
    ) async throws {
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let port = try await server.port()
        let (resident, carried) = (try server.residentBytes, try Self.loopbackBytes())
        let client = try await SessionClient<S>.resume(
            at: .tcp("127.0.0.1", port), log: log, logger: RecallLoad.logger)
        let started = ContinuousClock.now
        try await ask(client)
        whole = (ContinuousClock.now - started).seconds
        wire = Double(try Self.loopbackBytes() - carried)
        var inside = 0.0
        for await notice in client.notices {
            if case .recalled(_, let duration) = notice {
                inside = duration.seconds
                break
            }
        }
        self.inside = inside
        growth = Double(try server.peakBytes - resident)
        await client.close()
    }

    /// What the loopback interface has carried: a machine at rest carries nothing else meanwhile.
    private static func loopbackBytes() throws -> Int {
        let lines = try String(contentsOfFile: "/proc/net/dev", encoding: .utf8).split(separator: "\n")
        let fields = lines.first { $0.contains("lo:") }?.split { $0 == " " || $0 == ":" } ?? []
        guard fields.count > 1, let bytes = Int(fields[1]) else { throw BenchError("/proc/net/dev has no lo") }
        return bytes
    }
}
