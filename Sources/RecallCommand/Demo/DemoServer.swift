internal import Foundation

/// The server of a demonstration: `recall serve` as a process of its own, started anew in an empty directory after each
/// death, with nothing but the key file.
actor DemoServer {
    private let tool: String
    private let folder: URL
    private let key: URL
    private let tally: DemoTally
    private var process: ChildProcess?
    private var directory: URL?
    private var starts = 0
    /// Where it listens: the same place after each start.
    private(set) var address: Address?

    init(tool: String, folder: URL, tally: DemoTally) {
        (self.tool, self.folder, self.tally) = (tool, folder, tally)
        key = folder.appending(path: "key")
    }

    var processID: Int32? { process?.id }

    func start() async throws {
        if let address { return try await start(port: address.port) }
        // Not a port that the system hands out: a client that tries to connect while the server is dead could be given
        // that very port for its own end, would then be connected to itself, and the server could not come back.
        for _ in 0..<20 {
            let port = Int.random(in: 15_000..<32_000)
            if (try? await start(port: port)) != nil { return }
        }
        try await start(port: 0)
    }

    private func start(port: Int) async throws {
        starts += 1
        let directory = folder.appending(path: "server-\(starts)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        let keyHere = directory.appending(path: "key")
        if isKeyMade { try FileManager.default.copyItem(at: key, to: keyHere) }
        let process = try ChildProcess(
            tool,
            [
                "serve", "--host", "127.0.0.1", "--port", "\(port)", "--key-file", "key", "--log-level", "error",
                "--until-input-closes",
            ], in: directory.path)
        (self.process, self.directory) = (process, directory)
        address = try await Self.firstLine(of: process, within: .seconds(20))
        if !isKeyMade { try FileManager.default.copyItem(at: keyHere, to: key) }
    }

    private var isKeyMade: Bool { FileManager.default.fileExists(atPath: key.path) }

    /// Reads `listening on HOST:PORT`.
    private static func firstLine(of process: ChildProcess, within limit: Duration) async throws -> Address {
        let line = try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask { try await process.output.next().first.map { String(decoding: $0.bytes, as: UTF8.self) } }
            group.addTask {
                // Ends the reading, too: the process's output is closed with it.
                if await process.end(within: limit) == nil, !Task.isCancelled { process.signal(SIGKILL) }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        if let line, let last = line.split(separator: " ").last, let address = try? Address(parsing: String(last)) {
            return address
        }
        process.signal(SIGKILL)
        let errors = (try? await process.errors.next()) ?? []
        let why = errors.map { String(decoding: $0.bytes, as: UTF8.self) }.joined(separator: "; ")
        throw CommandError("the server did not start: \(why.isEmpty ? "it said nothing" : why)")
    }

    /// SIGKILL: no goodbye, no flush.
    func kill() async throws {
        process?.signal(SIGKILL)
        try await gone(within: .seconds(10))
    }

    /// SIGTERM, as for a deploy: it says goodbye and ends.
    func drain() async throws {
        process?.signal(SIGTERM)
        try await gone(within: .seconds(20))
        guard process?.end == .code(0) else { throw CommandError("the server did not end well on SIGTERM") }
    }

    private func gone(within limit: Duration) async throws {
        guard let process, let directory else { return }
        guard await process.end(within: limit) != nil else {
            throw CommandError("the server, process \(process.id), does not end")
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0 != "key" }
        tally.change { $0.filesLeft += left.count }
    }

    /// For the end of a demonstration, however it ended.
    func stop() { process?.signal(SIGKILL) }
}
