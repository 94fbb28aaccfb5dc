internal import Foundation
internal import Synchronization

/// A `recall serve`, in an empty directory with nothing but the key.
final class ServerProcess: Sendable {
    let child: Child
    let port: Int
    /// Opens with true when it listens, with false when it has ended before.
    let listening: Gate<Bool>
    private let words: Words
    private let directory: String
    private let workspace: Workspace

    private init(
        _ child: Child, port: Int, _ listening: Gate<Bool>, _ words: Words, _ directory: String, _ workspace: Workspace
    ) {
        (self.child, self.port, self.listening, self.words) = (child, port, listening, words)
        (self.directory, self.workspace) = (directory, workspace)
    }

    /// - Parameter descriptors: how many files it may have open.
    static func start(
        _ workspace: Workspace, port: Int, descriptors: Int? = nil, options: [String] = []
    ) async throws(TortureError) -> ServerProcess {
        let directory = "\(workspace.folder)/servers/\(workspace.fresh("server"))"
        try makeFolder(directory)
        guard link(workspace.key, directory + "/key") == 0 else {
            throw .system(call: "link \(workspace.key)", reason: errorText(errno))
        }
        let (listening, words) = (Gate<Bool>(), Words())
        let arguments =
            ["serve", "--host", "127.0.0.1", "--port", "\(port)", "--key-file", "key", "--log-level", "error"] + options
        let plan = Spawner.Plan(
            program: workspace.tool, arguments: arguments, directory: directory,
            wrapper: descriptors.map { shell("ulimit -n \($0)") } ?? [])
        let child = try await workspace.spawner.start(plan) { lines in
            if lines.contains(where: { $0.hasPrefix("listening on ") }) { listening.open(true) }
        } errors: { lines in
            words.add(lines)
        }
        return ServerProcess(child, port: port, listening, words, directory, workspace)
    }

    /// Starts one, and throws if it does not listen soon.
    static func listening(
        _ workspace: Workspace, port: Int? = nil, descriptors: Int? = nil, options: [String] = []
    ) async throws(TortureError) -> ServerProcess {
        let free = if let port { port } else { try workspace.port() }
        let server = try await start(workspace, port: free, descriptors: descriptors, options: options)
        guard await server.waitToListen(within: 30) else {
            let said = server.said
            _ = await server.kill()
            throw .silentServer(reason: said)
        }
        return server
    }

    /// What it said on standard error, or how it ended.
    var said: String {
        let words = words.all.joined(separator: "; ")
        return words.isEmpty ? child.ended.value.map { "\($0)" } ?? "it said nothing" : words
    }

    func waitToListen(within seconds: Double) async -> Bool {
        let task = Task { [child, listening] in
            if await child.ended.wait(within: seconds) != nil { listening.open(false) }
        }
        defer { task.cancel() }
        return await listening.wait(within: seconds) ?? false
    }

    /// SIGKILL: no goodbye, no flush. False if it had ended before by itself.
    func kill() async -> Bool {
        let end = await child.killed()
        let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let left = files.filter { $0 != "key" }
        if !left.isEmpty { workspace.tally.problem("a server left files behind: \(left)", .filesLeft) }
        try? FileManager.default.removeItem(atPath: directory)
        return end == .signal(SIGKILL)
    }
}

/// Lines that somebody may want to read later, and not too many of them.
final class Words: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ more: [String]) { lines.withLock { if $0.count < 100 { $0 += more } } }
}

/// A wrapper that runs `command` and becomes the program.
func shell(_ command: String) -> [String] { ["/bin/sh", "-c", "\(command) && exec \"$@\"", "sh"] }
