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
            Reads updates from standard input and answers each with a line on standard output, in order. The number is \
            the update's place in the session:

              {"number":1,"reply":5}            applied
              {"number":2,"rejected":"reason"}  refused by its kind; it changed nothing
              {"number":3,"failed":"reason"}    given up by the server; it changed nothing
              {"number":4,"unknown":"reason"}   in the log, and applied or yet to be: do not send it again

            Run the command again with the same log, and --resume or no input, to learn what became of an "unknown" \
            update: each update that an earlier run left in the log without an answer gets its line first. An answer \
            is in the log before it is printed: if this command is killed in between, no run prints it again. A line \
            that cannot be sent gets none, and a word on standard error.

            An update of a 'text' is [position, deleted, "inserted"], counted in Unicode code points; an update of a \
            'json' document is a merge patch (RFC 7396). What is sent is in the log before the server sees it: if this \
            command is killed, or the server, run it again with the same log and the session goes on.

              printf '[0,0,"hello"]\\n[5,0," world"]\\n' | recall send --kind text --log my.db
              recall request --log my.db

            Exits with 0 if every update was applied, else with 1. A session that has ended, or --patience, ends the \
            command at once.
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

    /// The process that is not to be outlived: a parent that is killed cannot stop its children.
    @Option(help: .hidden) var parent: Int32?

    func validate() throws {
        guard (1...1024).contains(window) else { throw ValidationError("--window must be 1 to 1024") }
        try patience.map(Patience.validate)
    }

    func run() async throws {
        if let parent { ParentWatch.begin(parent) }
        let known = try CommandError.advising(log: log) { try KindName.ofLog(at: log) }
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

    /// True if every update was applied.
    private func send<K: ToolKind>(_ kind: K.Type) async throws -> Bool {
        let reader = LineReader(STDIN_FILENO)
        // A session that ends while the input is silent ends the command all the same.
        let watch = NoticeWatch(
            events ? .json : quiet ? .none : .text,
            limit: patience.map { "giving up after \($0) s" } ?? "Ctrl-C ends, --patience N gives up"
        ) { reader.stop() }
        do {
            let tally = try await send(kind, reader, watch.stream)
            await watch.end()
            return tally.report(quiet: quiet)
        } catch let failure as SendFailure {
            await watch.end()
            if let gone = failure.reason as? Output.ReaderGone { throw gone.exitCode }
            _ = failure.tally.report(quiet: quiet)
            let error = CommandError.advising(failure.reason, log: log)
            guard failure.tally.unknown > 0 else { throw error }
            throw CommandError(
                """
                \(error)
                What is "unknown" stays in the log. Do not send it again: run this with the same --log, and --resume \
                or no input, to learn what became of it.
                """)
        } catch {
            await watch.end()
            throw CommandError.advising(error, log: log)
        }
    }

    private func send<K: ToolKind>(_ kind: K.Type, _ reader: LineReader, _ watch: NoticeStream) async throws
        -> SendTally
    {
        let client = try await SessionClient<K>.open(
            at: try servers.endpoints(), log: SQLiteLog(path: log, durability: durability.durability), mode: .either,
            servers.configuration(window: window, openTimeout: patience.map { .seconds($0) }), .quiet("recall.send"),
            watch: watch, following: true)
        if let damage = client.damage { Output.note("recall: the log was damaged: \(damage)") }
        do {
            var sender = LineSender(
                client, head: await client.head.rawValue, window: window, resume: resume,
                patience: patience.map { .seconds($0) })
            let tally = try await sender.sendAll(reader)
            await client.close()
            return tally
        } catch {
            await client.close()
            throw error
        }
    }
}

extension KindName {
    /// The kind of the session that a log holds; nil if there is no log, or nothing in it.
    static func ofLog(at path: String) throws -> KindName? {
        guard access(path, F_OK) == 0 else { return nil }
        let contents = try SQLiteLogReader(path: path).contents()
        guard let header = contents.header else {
            if let damage = contents.damage { throw RecallError(.logDamaged, "\(path): \(damage)") }
            return nil
        }
        return try KindName(ofLog: header, at: path)
    }
}
