internal import Foundation
internal import Recall
internal import RecallClient

extension Suite {
    /// How long a session takes to come back, against the length of its history.
    func measureRecovery() async throws {
        say("recovery: recalls against the length of the history")
        for count in pace.histories {
            try await recover(EndlessTally.self, "without checkpoints", count)
            try await recover(Tally.self, "with checkpoints", count)
            try replayByHand(count)
            if count >= 1000, Redis.path != nil { try await loadRedis(count) }
        }
    }

    private func recover<S: Session>(
        _ kind: S.Type, _ name: String, _ count: Int
    ) async throws where S.State == TallyState {
        let log = MemoryLog()
        try await Self.fill(kind, log, count)
        var whole: [Double] = [], inside: [Double] = [], peaks: [Double] = [], wire: [Double] = []
        for _ in 0..<(count > 100_000 ? min(3, pace.rounds) : pace.rounds) {
            let server = try Child.role("serve", "recall")
            defer { server.end() }
            let port = try await server.port()
            let (resident, carried) = (try server.residentBytes, try Self.loopbackBytes())
            let client = try await SessionClient<S>.resume(
                at: .tcp("127.0.0.1", port), log: log, logger: RecallLoad.logger)
            let started = ContinuousClock.now
            guard try await client.send(Tally.Count()) == UInt64(count) else { throw BenchError("a false recall") }
            whole.append((ContinuousClock.now - started).seconds)
            wire.append(Double(try Self.loopbackBytes() - carried))
            for await notice in client.notices {
                if case .recalled(_, let duration) = notice {
                    inside.append(duration.seconds)
                    break
                }
            }
            peaks.append(Double(try server.peakBytes - resident))
            await client.close()
        }
        take("recovery", count, name, "s", whole)
        take("recall cost", count, name + ": on the wire", "bytes", wire)
        take("recall cost", count, name + ": server's growth at its peak", "bytes", peaks)
        take("recovery", count, name + ", inside the server", "s", inside)
        take("replay", count, name, "1/s", inside.map { Double(count) / max($0, 1e-6) })
    }

    /// What the loopback interface has carried: a machine at rest carries nothing else meanwhile.
    private static func loopbackBytes() throws -> Int {
        let lines = try String(contentsOfFile: "/proc/net/dev", encoding: .utf8).split(separator: "\n")
        let fields = lines.first { $0.contains("lo:") }?.split { $0 == " " || $0 == ":" } ?? []
        guard fields.count > 1, let bytes = Int(fields[1]) else { throw BenchError("/proc/net/dev has no lo") }
        return bytes
    }

    static func fill<S: Session>(
        _ kind: S.Type, _ log: MemoryLog, _ count: Int
    ) async throws where S.State == TallyState {
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let client = try await SessionClient<S>.open(
            at: .tcp("127.0.0.1", try await server.port()), log: log, logger: RecallLoad.logger)
        let put = Tally.Put(bytes: [UInt8](repeating: 7, count: 64))
        var left = count
        while left > 0 {
            try await client.send(contentsOf: repeatElement(put, count: min(left, 4096)))
            left -= 4096
        }
        await client.close()
    }

    private func replayByHand(_ count: Int) throws {
        let history = HandLoop.history(messages: count, bytes: 65)
        let rates = try (0..<pace.rounds).map { _ in try HandLoop.replay(history) }
        take("recovery", count, "hand-written loop", "s", rates.map(\.seconds))
        take("replay", count, "hand-written loop", "1/s", rates.map(\.perSecond))
    }

    /// A Redis that starts with as many updates in its append-only file.
    private func loadRedis(_ count: Int) async throws {
        let folder = folder + "/aof-\(count)"
        var redis = try await Redis(folder: folder, fsync: "everysec")
        let exchange: @Sendable () -> Exchange = {
            var exchange = Exchange.redisSet(bytes: 64)
            exchange.limit = count
            return exchange
        }
        _ = try await Pipelined.measure(exchange, port: redis.port, .init(connections: 1, window: 256, seconds: 600))
        redis.end()
        var seconds: [Double] = []
        for _ in 0..<min(3, pace.rounds) {
            let started = ContinuousClock.now
            redis = try await Redis(folder: folder, fsync: "everysec")
            seconds.append((ContinuousClock.now - started).seconds)
            redis.end()
        }
        try? FileManager.default.removeItem(atPath: folder)
        take("recovery", count, "Redis, loading its AOF", "s", seconds)
    }

    func take(
        _ group: String, _ count: Int, _ contender: String, _ unit: String, _ rounds: [Double],
        notes: [String: Double]? = nil
    ) {
        guard !rounds.isEmpty else { return }
        report.figures.append(
            Figure(
                group: group, setting: "\(count)", contender: contender, unit: unit, rounds: rounds, notes: notes))
        let value = rounds.median
        let text = value < 100 ? String(format: "%.4f", value) : "\(Int(value))"
        say("  \(group), \(count): \(contender) \(text) \(unit)")
    }
}
