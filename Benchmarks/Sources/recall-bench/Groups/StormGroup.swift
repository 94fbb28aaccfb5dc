internal import Foundation
internal import Recall
internal import RecallClient

extension Suite {
    /// A server dies with all its sessions, and their clients come to the next one at once. Then that one dies.
    func measureStorms() async throws {
        say("storms: a restart with so many sessions")
        for count in pace.storms {
            var stands: [StormStand] = []
            defer { for stand in stands { stand.server.end() } }
            stands.append(try await StormStand("with admission control", count, freely: false))
            stands.append(try await StormStand("without", count, freely: true))
            let aof = Redis.path == nil ? nil : try await RedisAOF(count * StormStand.updates, in: folder)
            defer { aof?.remove() }
            var loads: [Double] = []
            // A large one takes its time.
            for _ in 0..<(pace.isQuick ? 1 : count > 10_000 ? 3 : pace.rounds) {
                for index in stands.indices { try await stands[index].storm() }
                if let load = try await aof?.load() { loads.append(load) }
            }
            for stand in stands {
                await stand.crowd.close()
                report(stand)
            }
            take("storm", count, "Redis, loading its AOF of as many updates", "s", loads)
        }
    }

    private func report(_ stand: StormStand) {
        let (figure, growth) = (stand.figure, stand.growth)
        report.figures.append(figure)
        take("storm memory", stand.count, stand.figure.contender + ": peak over steady", "x", growth)
        say(
            String(
                format:
                    "  storm, %d: %@: all back after %.2f s, p99 %.2f s, peak memory %.2f x steady, %.0f waited long",
                stand.count, figure.contender, figure.median, (figure.latency?["p99"] ?? 0) / 1e6, growth.median,
                figure.notes?["longer than patience"] ?? 0))
    }
}

/// Sessions and a server that dies, again and again.
private struct StormStand {
    /// Of each session.
    static let updates = 10

    let count: Int
    let crowd: Crowd
    private(set) var server: Child
    private(set) var figure: Figure
    /// Peak memory of the server that they come to, over that of the first one with all of them at rest.
    private(set) var growth: [Double] = []
    private var steady: Double?
    private var impatient = 0.0
    private let port: Int
    private let isFree: Bool

    init(_ name: String, _ count: Int, freely: Bool) async throws {
        self.count = count
        isFree = freely
        port = try FreePort.find()
        server = try Self.start(port, freely)
        figure = Figure(group: "storm", setting: "\(count)", contender: name, unit: "s", rounds: [])
        do {
            _ = try await server.port()
            crowd = try await Crowd.open(count, connections: 64, port: port, updates: Self.updates)
        } catch {
            server.end()
            throw error
        }
    }

    private static func start(_ port: Int, _ freely: Bool) throws -> Child {
        try freely
            ? Child.role("serve", "recall", "--port", "\(port)", "--freely")
            : Child.role("serve", "recall", "--port", "\(port)")
    }

    /// One restart.
    mutating func storm() async throws {
        try await Suite.rest()
        let steady = try steady ?? Double(server.residentBytes)
        self.steady = steady
        server.kill()
        server = try Self.start(port, isFree)
        _ = try await server.port()
        let started = ContinuousClock.now
        let waits = try await crowd.askAll(expecting: UInt64(Self.updates)).sorted()
        figure.rounds.append((ContinuousClock.now - started).seconds)
        figure.follow([
            "p50": waits[count / 2] * 1e6, "p99": waits[count * 99 / 100] * 1e6, "last": waits[count - 1] * 1e6,
        ])
        // That of a server which has seen no storm: the others keep some of theirs.
        growth.append(Double(try server.peakBytes) / steady)
        // After so long a silence a client attaches anew.
        let patience = ClientConfiguration().silenceLimit.seconds
        impatient = max(impatient, Double(waits.count { $0 > patience }))
        figure.notes = ["steady bytes": steady, "longer than patience": impatient]
    }
}

/// Many sessions on a few connections.
final class Crowd: Sendable {
    private let clients: [SessionClient<Tally>]

    private init(_ clients: [SessionClient<Tally>]) { self.clients = clients }

    /// Opens them, and sends so many updates of 64 bytes to each.
    static func open(_ count: Int, connections: Int, port: Int, updates: Int) async throws -> Crowd {
        let connectors = (0..<connections).map { _ in
            SessionConnector(to: .tcp("127.0.0.1", port), logger: RecallLoad.logger)
        }
        let put = Tally.Put(bytes: [UInt8](repeating: 7, count: 64))
        let clients = try await withThrowingTaskGroup(of: [SessionClient<Tally>].self) { tasks in
            for (index, connector) in connectors.enumerated() {
                let share = count / connections + (index < count % connections ? 1 : 0)
                tasks.addTask {
                    var clients: [SessionClient<Tally>] = []
                    for _ in 0..<share {
                        let client = try await connector.open(Tally.self, log: .memory)
                        try await client.send(contentsOf: repeatElement(put, count: updates))
                        clients.append(client)
                    }
                    return clients
                }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        return Crowd(clients)
    }

    /// Asks each for its count, all at once; seconds until each answered.
    ///
    /// In groups of groups: the end of a task takes a walk over all others of its group.
    func askAll(expecting count: UInt64) async throws -> [Double] {
        let started = ContinuousClock.now
        return try await withThrowingTaskGroup(of: [Double].self) { groups in
            for start in stride(from: 0, to: clients.count, by: 256) {
                let some = clients[start..<min(start + 256, clients.count)]
                groups.addTask {
                    try await withThrowingTaskGroup(of: Double.self) { tasks in
                        for client in some {
                            tasks.addTask {
                                guard try await client.send(Tally.Count()) == count else {
                                    throw BenchError("a false recall")
                                }
                                return (ContinuousClock.now - started).seconds
                            }
                        }
                        return try await tasks.reduce(into: []) { $0.append($1) }
                    }
                }
            }
            return try await groups.reduce(into: []) { $0 += $1 }
        }
    }

    func close() async { for client in clients { await client.close() } }
}
