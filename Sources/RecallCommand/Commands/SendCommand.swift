internal import ArgumentParser
internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallSQLite

/// `recall send`
struct Send: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send updates to a session, one JSON value a line.",
        discussion: """
            Reads updates from standard input and answers each with a line on standard output, in order: \
            {"number":1,"reply":…}, or "rejected" or "failed" with the reason in place of the reply. The number is the \
            update's place in the session.

            An update of a 'text' is [position, deleted, "inserted"], counted in Unicode code points; an update of a \
            'json' document is a merge patch (RFC 7396). What is sent is in the log before the server sees it: if this \
            command is killed, or the server, run it again with the same log and the session goes on.

              printf '[0,0,"hello"]\\n[5,0," world"]\\n' | recall send --kind text --log my.db
              recall request --log my.db

            Exits with 0 if every line was applied, else with 1.
            """)

    @Option(help: "What the session is: text or json. Needed for a new log only.")
    var kind: KindName?

    @Option(help: ArgumentHelp("The session's log; made if there is none.", valueName: "file"), completion: .file())
    var log: String

    @OptionGroup(title: "Server") var servers: ServerOptions

    @Option(
        help: ArgumentHelp(
            "What an update in the log survives: the end of this process, or a loss of power too (slower).",
            valueName: "process|disk"))
    var durability = DurabilityName.process

    @Option(help: ArgumentHelp("Updates that may be on their way unanswered.", valueName: "number"))
    var window = 256

    @Flag(help: "The input is the session's from its beginning: pass over the updates that the log holds already.")
    var resume = false

    @Option(help: ArgumentHelp("Give up when no answer came for so long; without it, wait.", valueName: "seconds"))
    var patience: Int?

    @Flag(help: "Print what happens to the connection, on standard error, as JSON lines.")
    var events = false

    @Flag(name: .shortAndLong, help: "Print nothing on standard error but errors.")
    var quiet = false

    func validate() throws {
        guard (1...1024).contains(window) else { throw ValidationError("--window must be 1 to 1024") }
        if let patience, patience < 1 { throw ValidationError("--patience must be at least 1") }
    }

    func run() async throws {
        let known = try KindName.ofLog(at: log)
        guard let kind = kind ?? known else {
            throw ValidationError("\(log) is a new log: say what the session is, with --kind text or --kind json")
        }
        if let known, known != kind {
            throw CommandError("\(log) holds a session of kind \(known.rawValue), not \(kind.rawValue)")
        }
        let isComplete =
            switch kind {
            case .text: try await send(TextSession.self)
            case .json: try await send(JSONSession.self)
            }
        if !isComplete { throw ExitCode.failure }
    }

    /// True if every line was applied.
    private func send<K: ToolKind>(_ kind: K.Type) async throws -> Bool {
        let client = try await SessionClient<K>.open(
            at: try servers.endpoints(), log: SQLiteLog(path: log, durability: durability.durability), mode: .either,
            servers.configuration(window: window, openTimeout: patience.map { .seconds($0) }), .quiet("recall.send"))
        if let damage = client.damage { Output.note("recall: the log was damaged: \(damage)") }
        let watch = NoticeWatch(client.notices, style: events ? .json : quiet ? .none : .text)
        defer { watch.end() }
        do {
            var sender = LineSender(
                client, head: await client.head.rawValue, window: window, resume: resume,
                patience: patience.map { .seconds($0) })
            try await sender.sendAll(LineReader(STDIN_FILENO))
            await client.close()
            return sender.report(quiet: quiet)
        } catch {
            await client.close()
            throw error
        }
    }
}

extension KindName {
    /// The kind of the session that a log holds; nil if there is no log, or nothing in it.
    static func ofLog(at path: String) throws -> KindName? {
        guard access(path, F_OK) == 0, let header = try SQLiteLogReader(path: path).contents().header else {
            return nil
        }
        return try KindName(ofLog: header, at: path)
    }
}
