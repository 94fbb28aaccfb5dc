internal import Recall
internal import RecallClient
internal import RecallSQLite
internal import Synchronization

extension Suite {
    /// The client's log in SQLite beside bare appends to a table.
    func measureLogs() async throws {
        say("logs: the client's log beside bare appends")
        let server = try Child.role("serve", "recall")
        defer { server.end() }
        let port = try await server.port()
        for full in [false, true] {
            let name = full ? "disk" : "process"
            try await compare(
                "log", "durability \(name)",
                [
                    Contender("bare SQLite") { [folder] in
                        try SQLiteAppends.measure(bytes: 64, batch: 256, full: full, seconds: $0, folder: folder)
                    },
                    Contender("Recall, SQLite log", server: server) { [self] in
                        try await sendToFile(port, RecallLoad(), full: full, seconds: $0)
                    },
                ])
        }
        try await compare(
            "log", "memory",
            [
                Contender("Recall, memory log", server: server) {
                    var load = RecallLoad()
                    load.seconds = $0
                    return try await load.measure(port: port)
                }
            ])
    }

    private func sendToFile(_ port: Int, _ load: RecallLoad, full: Bool, seconds: Double) async throws -> Rate {
        let logs = try Workspace(inside: folder)
        defer { logs.remove() }
        var load = load
        load.seconds = seconds
        load.log = { .sqlite(logs.path + "/\($0).db", durability: full ? .disk : .process) }
        return try await load.measure(port: port)
    }

    /// What one would otherwise put every update into: Redis and PostgreSQL, by a client as good as ours.
    func measureAlternatives() async throws {
        say("alternatives: 256-byte updates into Recall, Redis and PostgreSQL")
        let recall = try Child.role("serve", "recall")
        defer { recall.end() }
        let recallPort = try await recall.port()
        let sealing = try Child.role("serve", "sealed")
        defer { sealing.end() }
        let sealingPort = try await sealing.port()
        let everysec = try await optional("Redis") {
            try await Redis(folder: self.folder + "/everysec", fsync: "everysec")
        }
        let always = try await optional("Redis") { try await Redis(folder: self.folder + "/always", fsync: "always") }
        let postgres = try await optional("PostgreSQL") { try await Postgres(folder: self.folder + "/postgres") }
        defer {
            everysec?.end()
            always?.end()
            postgres?.end()
        }
        for (connections, window) in [(1, 1), (1, 16), (16, 1), (16, 256), (50, 1), (50, 16)] {
            let run = Pipelined.Run(connections: connections, window: window)
            let byHand = Contender("chain by hand", server: sealing) {
                try await Pipelined.measure({ .sealed(bytes: 256) }, port: sealingPort, run.lasting($0))
            }
            let contenders =
                recallContenders(recall, recallPort, run) + [byHand]
                + Self.contenders([("Redis, everysec", everysec), ("Redis, always", always)], postgres, run)
            try await compare("alternatives", "\(connections) connections, window \(window)", contenders)
        }
        if let postgres {
            var rates: [Double] = []
            for _ in 0..<pace.rounds { rates.append(try await postgres.readBack().perSecond) }
            report.figures.append(
                Figure(
                    group: "replay", setting: "reading back", contender: "PostgreSQL, SELECT", unit: "1/s",
                    rounds: rates))
            say("  replay, reading back: PostgreSQL, SELECT \(Int(rates.median))")
        }
    }

    private func recallContenders(_ server: Child, _ port: Int, _ run: Pipelined.Run) -> [Contender] {
        var contenders = [
            Contender("Recall, memory log", server: server) { try await Self.load(run, $0).measure(port: port) }
        ]
        if run.window > 1 {
            // Each message followed, as those of the others are.
            contenders.append(
                Contender("Recall, memory log, one by one", server: server) {
                    var load = Self.load(run, $0)
                    load.way = .onLoop
                    return try await load.measure(port: port)
                })
        }
        for full in [false, true] {
            contenders.append(
                Contender("Recall, SQLite log (\(full ? "disk" : "process"))", server: server) { [self] in
                    try await sendToFile(port, Self.load(run, $0), full: full, seconds: $0)
                })
        }
        return contenders
    }

    private static func contenders(
        _ servers: [(String, Redis?)], _ postgres: Postgres?, _ run: Pipelined.Run
    ) -> [Contender] {
        var contenders: [Contender] = []
        for case (let name, let redis?) in servers {
            contenders.append(
                Contender(name, server: redis.child) {
                    try await Pipelined.measure({ .redisSet(bytes: 256) }, port: redis.port, run.lasting($0))
                })
        }
        guard let postgres else { return contenders }
        for durable in [false, true] {
            contenders.append(
                Contender("PostgreSQL, \(durable ? "durable" : "synchronous_commit off")") {
                    try await Pipelined.measure(
                        { .postgresInsert(user: Postgres.user, database: "postgres", bytes: 256, durable: durable) },
                        port: postgres.port, run.lasting($0))
                })
        }
        return contenders
    }

    private static func load(_ run: Pipelined.Run, _ seconds: Double) -> RecallLoad {
        var load = RecallLoad()
        (load.sessions, load.connections) = (run.connections, run.connections)
        (load.window, load.bytes, load.seconds) = (run.window, 256, seconds)
        if run.window == 1 { load.way = .onLoop }
        return load
    }

    /// Says so, and goes on without it, if a program is not installed.
    private func optional<T>(_ name: String, _ start: () async throws -> T) async throws -> T? {
        do { return try await start() } catch let error as BenchError {
            say("  without \(name): \(error)")
            return nil
        }
    }
}

extension Pipelined.Run {
    func lasting(_ seconds: Double) -> Self {
        var run = self
        run.seconds = seconds
        return run
    }
}
