internal import ArgumentParser
internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallSQLite

/// `recall request`
struct Request: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read what a session holds, and print it.",
        discussion: """
            Of a 'text' the whole text, or with --length its length in code points; of a 'json' document the value \
            that a JSON Pointer (RFC 6901) names, the whole document if none is given. Nothing is changed.
            """)

    @Argument(help: "For a 'json' session: a JSON Pointer, such as /authors/0.")
    var pointer: String?

    @Option(help: ArgumentHelp("The session's log.", valueName: "file"), completion: .file())
    var log: String

    @OptionGroup(title: "Server") var servers: ServerOptions

    @Flag(help: "For a 'text' session: its length instead.")
    var length = false

    @Flag(help: "Print a text as a JSON string.")
    var json = false

    @Option(help: ArgumentHelp("Give up when no answer came for so long.", valueName: "seconds"))
    var patience = 30

    func validate() throws {
        try Patience.validate(patience)
    }

    func run() async throws {
        guard let kind = try CommandError.advising(log: log, { try KindName.ofLog(at: log) }) else {
            throw CommandError("\(log) holds no session; make one with: recall send --kind text --log \(log)")
        }
        switch kind {
        case .text:
            guard pointer == nil else { throw ValidationError("\(log) holds a text: there is no pointer into it") }
            try await within { client in try await print(client) }
        case .json:
            guard !length else { throw ValidationError("\(log) holds a JSON document: --length is for texts") }
            let pointer = pointer ?? ""
            try await within { (client: SessionClient<JSONSession>) in
                do {
                    try Output.line(try await client.send(ReadJSON(pointer)))
                } catch let error as JSONPointerError {
                    throw CommandError("\(error)")
                }
            }
        }
    }

    private func print(_ client: SessionClient<TextSession>) async throws {
        if length { return try Output.line("\(try await client.send(CountText()).codePoints)") }
        let text = try await client.wholeText()
        if json { return try Output.line(.string(JSONText(text))) }
        // The text as it is; on a terminal the prompt begins on a line of its own.
        try Output.bytes(Array(text.utf8) + (Output.isTerminal && !text.hasSuffix("\n") ? [0x0a] : []))
    }

    /// Opens the session, and gives up after the patience.
    private func within<K: ToolKind>(_ body: @escaping @Sendable (SessionClient<K>) async throws -> Void) async throws {
        let watch = NoticeWatch(.text, limit: "giving up after \(patience) s")
        do {
            try await attempt(body, watch.stream)
            await watch.end()
        } catch let gone as Output.ReaderGone {
            throw gone.exitCode
        } catch {
            await watch.end()
            throw CommandError.advising(error, log: log)
        }
    }

    private func attempt<K: ToolKind>(
        _ body: @escaping @Sendable (SessionClient<K>) async throws -> Void, _ watch: NoticeStream
    ) async throws {
        let client = try await SessionClient<K>.open(
            at: try servers.endpoints(), log: SQLiteLog(path: log), mode: .resume,
            servers.configuration(openTimeout: .seconds(patience)), .quiet("recall.request"), watch: watch)
        let limit = patience
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await body(client) }
                group.addTask {
                    try await Task.sleep(for: .seconds(limit))
                    throw RecallError(.unreachable, "no server answered within \(limit) s")
                }
                defer { group.cancelAll() }
                try await group.next()
            }
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }
}

extension SessionClient<TextSession> {
    /// The text, part by part: a long one does not fit a reply.
    func wholeText() async throws -> String {
        var (text, position) = ("", 0)
        let length = try await send(CountText()).codePoints
        while position < length {
            let part = try await send(ReadText(position: position))
            guard !part.isEmpty else { throw CommandError("the text became shorter while it was read") }
            text += part
            position += part.unicodeScalars.count
        }
        return text
    }
}
