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

    enum Work: String, ExpressibleByArgument, CaseIterable { case batch, single, recall, json, file }

    @Argument(help: "batch, single, recall, json or file") var work: Work
    @Option(help: "How many messages.") var messages = 10_000
    @Option(help: "How many are handed over at once.") var atOnce = 256

    func validate() throws {
        guard messages > 0, atOnce > 0 else { throw ValidationError("--messages and --at-once must be positive") }
    }

    func run() async throws {
        var logger = Logger(label: "exercise")
        logger.logLevel = .error
        let log = MemoryLog()
        var server = try await Host(logger)
        switch work {
        case .batch: try await updates(server.port, log, Tally.self)
        case .file:
            let folder = try Workspace(inside: FileManager.default.temporaryDirectory.path)
            defer { folder.remove() }
            try await updates(server.port, .sqlite(folder.path + "/log.db"), Tally.self)
        case .single: try await singly(server.port, log)
        case .json:
            let note = Tally.Note(amount: 12345, account: 42, text: "a note of some length")
            try await batches(of: note, server.port, log, Tally.self)
        case .recall:
            try await updates(server.port, log, EndlessTally.self)
            await server.end()
            server = try await Host(logger)
            let client = try await SessionClient<EndlessTally>.open(at: .tcp("127.0.0.1", server.port), log: log)
            let count = try await client.send(Tally.Count())
            guard count == UInt64(messages) else { throw BenchError("\(count) messages were recalled") }
            await client.close()
        }
        await server.end()
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
