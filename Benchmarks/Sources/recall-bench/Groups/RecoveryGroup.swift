internal import Foundation
internal import Recall
internal import RecallClient

extension Suite {
    /// How long a session takes to come back, against the length of its history.
    func measureRecovery() async throws {
        say("recovery: recalls against the length of the history")
        for count in pace.histories { try await measureRecovery(of: count) }
    }

    /// Rounds of all contenders alternate.
    private func measureRecovery(of count: Int) async throws {
        let (whole, kept) = (MemoryLog(), MemoryLog())
        try await Self.fill(EndlessTally.self, whole, count)
        try await Self.fill(Tally.self, kept, count)
        let history = HandLoop.history(messages: count, bytes: 65)
        let aof = count >= 10_000 && Redis.path != nil ? try await RedisAOF(count, in: folder) : nil
        defer { aof?.remove() }
        var (without, with): ([Comeback], [Comeback]) = ([], [])
        var byHand: [Rate] = [], loads: [Double] = []
        for _ in 0..<pace.rounds {
            without.append(try await Comeback(EndlessTally.self, whole) { try await Self.ask($0, expecting: count) })
            with.append(try await Comeback(Tally.self, kept) { try await Self.ask($0, expecting: count) })
            byHand.append(try HandLoop.replay(history))
            if let load = try await aof?.load() { loads.append(load) }
        }
        for (name, recalls) in [("without checkpoints", without), ("with checkpoints", with)] {
            take("recovery", count, name, "s", recalls.map(\.whole))
            take("recovery", count, name + ", inside the server", "s", recalls.map(\.inside))
            takeCost(of: recalls, count, name)
        }
        take("recovery", count, "hand-written loop", "s", byHand.map(\.seconds))
        take("replay", count, "hand-written loop", "1/s", byHand.map(\.perSecond))
        take("recovery", count, "Redis, loading its AOF", "s", loads)
    }

    /// What it cost, and how fast it was.
    func takeCost(of recalls: [Comeback], _ count: Int, _ name: String) {
        take("recall cost", count, name + ": on the wire", "bytes", recalls.map(\.wire))
        take("recall cost", count, name + ": server's growth at its peak", "bytes", recalls.map(\.growth))
        take("replay", count, name, "1/s", recalls.map { Double(count) / max($0.inside, 1e-6) })
    }

    private static func ask<S: Session>(
        _ client: SessionClient<S>, expecting count: Int
    ) async throws where S.State == TallyState {
        guard try await client.send(Tally.Count()) == UInt64(count) else { throw BenchError("a false recall") }
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

/// As many updates in Redis's append-only file, and a Redis that starts with it.
struct RedisAOF {
    private let folder: String

    init(_ count: Int, in parent: String) async throws {
        folder = parent + "/aof-\(count)"
        let redis = try await Redis(folder: folder, fsync: "everysec")
        defer { redis.end() }
        var exchange = Exchange.redisSet(bytes: 64)
        exchange.limit = count
        let updates = exchange
        _ = try await Pipelined.measure({ updates }, port: redis.port, .init(connections: 1, window: 256, seconds: 600))
    }

    /// Seconds that loading takes, by Redis's own account: its start is left out. Nil for less than a millisecond, in
    /// which it counts.
    func load() async throws -> Double? {
        let redis = try await Redis(folder: folder, fsync: "everysec")
        redis.end()
        return redis.loading > 0 ? redis.loading : nil
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }
}
