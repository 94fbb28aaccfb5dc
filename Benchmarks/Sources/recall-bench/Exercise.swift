internal import ArgumentParser
internal import Foundation
internal import Logging
internal import Recall
internal import RecallClient
internal import RecallSQLite
internal import RecallServer

/// A fixed amount of work in one process, client and server, for tools that count instructions and allocations.
struct Exercise: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Does a fixed amount of work, to be counted by another program.", shouldDisplay: false)

    enum Work: String, ExpressibleByArgument, CaseIterable { case batch, single, recall, json, file, disk }

    @Argument(help: "batch, single, recall, json, file or disk") var work: Work
    @Option(help: "How many messages each client sends.") var messages = 10_000
    @Option(help: "How many are handed over at once.") var atOnce = 256
    @Option(help: "How many clients there are, each with a connection of its own; for batch, file and disk.")
    var clients = 1

    func validate() throws {
        guard messages > 0, atOnce > 0, clients > 0 else {
            throw ValidationError("--messages, --at-once and --clients must be positive")
        }
        guard clients == 1 || [.batch, .file, .disk].contains(work) else {
            throw ValidationError("--clients is for batch, file and disk")
        }
    }

    func run() async throws {
        var logger = Logger(label: "exercise")
        logger.logLevel = .error
        let log = MemoryLog()
        var server = try await Host(logger)
        let port = server.port
        switch work {
        case .batch: try await together { _ in try await updates(port, MemoryLog(), Tally.self) }
        case .file, .disk:
            let folder = try Workspace(inside: FileManager.default.temporaryDirectory.path)
            defer { folder.remove() }
            let durability: SQLiteLog.Durability = work == .disk ? .disk : .process
            try await together { client in
                let log = SQLiteLog(path: "\(folder.path)/log-\(client).db", durability: durability)
                try await updates(port, log, Tally.self)
            }
        case .single: try await singly(port, log)
        case .json:
            let note = Tally.Note(amount: 12345, account: 42, text: "a note of some length")
            try await batches(of: note, port, log, Tally.self)
        case .recall:
            try await updates(port, log, EndlessTally.self)
            await server.end()
            server = try await Host(logger)
            let client = try await SessionClient<EndlessTally>.open(at: .tcp("127.0.0.1", server.port), log: log)
            let count = try await client.send(Tally.Count())
            guard count == UInt64(messages) else { throw BenchError("\(count) messages were recalled") }
            await client.close()
        }
        await server.end()
    }

    /// Does the same for each client, at the same time.
    private func together(_ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        try await withThrowingTaskGroup { tasks in
            for client in 0..<clients { tasks.addTask { try await body(client) } }
            try await tasks.waitForAll()
        }
    }

    private func updates<S: Session>(
        _ port: Int, _ log: any MessageLog, _ kind: S.Type
    ) async throws where S.State == TallyState {
        try await batches(of: Tally.Put(bytes: [UInt8](repeating: 7, count: 64)), port, log, kind)
    }

    private func batches<S: Session, M: Message>(
        of message: M, _ port: Int, _ log: any MessageLog, _ kind: S.Type
    ) async throws where M.State == S.State {
        let client = try await SessionClient<S>.open(at: .tcp("127.0.0.1", port), log: log)
        var left = messages
        while left > 0 {
            try await client.send(contentsOf: repeatElement(message, count: min(left, atOnce)))
            left -= atOnce
        }
        await client.close()
    }

    private func singly(_ port: Int, _ log: MemoryLog) async throws {
        let client = try await SessionClient<Tally>.open(at: .tcp("127.0.0.1", port), log: log)
        let put = Tally.Put(bytes: [UInt8](repeating: 7, count: 64))
        for _ in 0..<messages { try await client.send(put) }
        await client.close()
    }

    /// A server in this process.
    private struct Host {
        let port: Int
        private let running: Task<Void, any Error>

        init(_ logger: Logger) async throws {
            let handler = try SessionHandler(
                keys: KeyRing(secret: RecallServerRole.secret), hosting: Tally(), EndlessTally())
            let server = SessionServer(handler, listen: .tcp(port: 0), logger: logger)
            running = Task { try await server.run() }
            port = try await server.port
        }

        func end() async {
            running.cancel()
            try? await running.value
        }
    }
}
