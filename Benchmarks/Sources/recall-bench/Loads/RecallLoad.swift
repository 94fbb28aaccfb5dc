internal import Logging
internal import NIOSSL
internal import Recall
internal import RecallClient
internal import Synchronization

/// Updates sent by clients of ours.
struct RecallLoad: Sendable {
    var sessions = 1
    var connections = 1
    var window = 256
    var seconds = 1.0
    var bytes = 64
    var content = Content.bytes
    var tls: TLSConfiguration?
    var way = Way.batches

    /// What its messages are.
    enum Content: Sendable {
        /// So many bytes.
        case bytes
        /// Two numbers and a text: in the default codec 60 bytes, and in the compact one 37.
        case json, compact
    }

    /// How an application sends.
    enum Way: Sendable {
        /// Batches, two of them at a time, so that the window is always full.
        case batches
        /// One `send` after the other, by as many tasks as the window allows.
        case single
        /// The same, by tasks that run where the client does.
        case onLoop
    }

    /// Makes each session's log.
    var log: @Sendable (Int) -> any MessageLog = { _ in MemoryLog() }

    func measure(port: Int) async throws -> Rate {
        let clients = try await open(port: port)
        let rate = try await way == .batches ? sendBatches(clients) : sendSingly(clients)
        for client in clients { await client.close() }
        return rate
    }

    private func open(port: Int) async throws -> [SessionClient<Tally>] {
        var configuration = ClientConfiguration()
        configuration.windowMessages = window
        let connectors = (0..<connections).map { _ in
            SessionConnector(
                to: .tcp("127.0.0.1", port, tls: tls), configuration: configuration, logger: Self.logger)
        }
        var clients: [SessionClient<Tally>] = []
        for number in 0..<sessions {
            clients.append(try await connectors[number % connections].openErased(Tally.self, log: log(number)))
        }
        return clients
    }

    static let logger: Logger = {
        var logger = Logger(label: "recall.client")
        logger.logLevel = .error
        return logger
    }()

    private func sendBatches(_ clients: [SessionClient<Tally>]) async throws -> Rate {
        let note = Tally.Note(amount: 12345, account: 42, text: "a note of some length")
        switch content {
        case .bytes: return try await sendBatches(of: Tally.Put(bytes: [UInt8](repeating: 7, count: bytes)), clients)
        case .json: return try await sendBatches(of: note, clients)
        case .compact: return try await sendBatches(of: Tally.CompactNote(note), clients)
        }
    }

    private func sendBatches<M: UpdateMessage>(
        of message: M, _ clients: [SessionClient<Tally>]
    ) async throws -> Rate where M.State == TallyState {
        let size = max(window * 4, 64)
        let started = ContinuousClock.now
        let end = started + .nanoseconds(Int64(seconds * 1e9))
        let count = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for client in clients {
                for _ in 0..<2 {
                    tasks.addTask {
                        var count = 0
                        while ContinuousClock.now < end {
                            _ = try await client.send(contentsOf: repeatElement(message, count: size))
                            count += size
                        }
                        return count
                    }
                }
            }
            return try await tasks.reduce(0, +)
        }
        return Rate(count: count, seconds: (ContinuousClock.now - started).seconds)
    }

    private func sendSingly(_ clients: [SessionClient<Tally>]) async throws -> Rate {
        let put = Tally.Put(bytes: [UInt8](repeating: 7, count: bytes))
        let started = ContinuousClock.now
        let end = started + .nanoseconds(Int64(seconds * 1e9))
        let latencies = try await withThrowingTaskGroup(of: [UInt32].self) { tasks in
            for client in clients {
                for _ in 0..<window {
                    tasks.addTask(executorPreference: way == .onLoop ? client.loopExecutor : nil) {
                        var latencies: [UInt32] = []
                        var now = ContinuousClock.now
                        while now < end {
                            try await client.send(put)
                            let then = ContinuousClock.now
                            latencies.append(UInt32(clamping: Int64((then - now).seconds * 1e9)))
                            now = then
                        }
                        return latencies
                    }
                }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        return Rate(latencies: latencies, seconds: (ContinuousClock.now - started).seconds)
    }
}

extension SessionConnector {
    fileprivate func openErased<S: Session>(_ kind: S.Type, log: any MessageLog) async throws -> SessionClient<S> {
        try await open(kind, log: log)
    }
}
