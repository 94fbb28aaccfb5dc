/// A conversation as a text: steps that somebody takes, each with what came of it, and comments.
///
/// Lines that begin with `#` are comments, lines that begin with `> ` are steps, all others say what came of the step
/// above them. The steps say only what clients, networks and servers do, so that the same script can be played on a
/// network in memory or on real connections.
package struct CoreScript: Sendable {
    /// What somebody does. A server is named by its letter, a client by its name (`c` where none is given).
    package enum Step: Sendable, Hashable {
        /// `servers 2 adopts checkpoint 64 sessions 1`
        case servers(count: Int, adopts: Bool, checkpointBytes: Int?, sessions: Int?)
        /// `client d ride 0 window 2 receipts 0 slices 1 principal eve copies c`; options as needed.
        case client(name: String, options: [String: String])
        /// `connect A`, `d connect A`
        case connect(client: String, server: String)
        /// `send a@+ b!`, `read`
        case send(client: String, texts: [String])
        case read(client: String, text: String)
        /// Nothing reaches a client, or a server, until `pass`: `hold client`, `hold server`.
        case hold(client: String, toServer: Bool)
        case pass(client: String)
        /// The next frame of a type to the client is lost: `lose acknowledgement`.
        case lose(client: String, type: String)
        /// Both sides lose the connection; or the client alone, while what it sent is still under way: `leave`.
        case cut(client: String)
        case leave(client: String)
        /// What was under way on connections that the client has left arrives.
        case late
        /// `die`, `die losing 1`, `die rewound 1`: the client's process ends, its log loses so many messages that were
        /// not acknowledged, or ends at an acknowledged one. It starts anew at once.
        case die(client: String, losing: Int, rewound: Int?)
        /// `forge 2`: what an update took from outside is changed in the client's log, while it runs.
        case forge(client: String, number: Int)
        /// Nothing was heard for too long.
        case stall(client: String)
        case crash(server: String)
        /// A detector deletes the client's session.
        case delete(server: String, client: String)
        /// Effects end only when told: `effects wait`, then `end A`, `end A refused`, `end A failed`.
        case effectsWait
        case end(server: String, how: String)
        /// Changed code: replies are others.
        case change(server: String)
        case drain(server: String)
    }

    package struct Fault: Error, CustomStringConvertible {
        package let description: String
    }

    /// A line of the text: a step, or something that stays as it is.
    package enum Line: Sendable {
        case remark(String)
        case step(String, Step)
    }

    package let lines: [Line]

    package init(_ text: String) throws(Fault) {
        var lines: [Line] = []
        var isOutcome = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("> ") {
                lines.append(.step(line, try Self.step(line)))
                isOutcome = true
            } else if line.hasPrefix("#") || line.isEmpty {
                lines.append(.remark(line))
                isOutcome = false
            } else if !isOutcome {
                throw Fault(description: "'\(line)' is neither a comment nor a step nor what came of one")
            }
        }
        self.lines = lines
    }

    private static let verbs: Set<String> = [
        "servers", "client", "connect", "send", "read", "hold", "pass", "lose", "cut", "leave", "late", "die", "forge",
        "stall", "crash", "delete", "effects", "end", "change", "drain",
    ]

    private static func step(_ line: String) throws(Fault) -> Step {
        var words = line.dropFirst(2).split(separator: " ").map(String.init)
        var client = "c"
        if let first = words.first, !verbs.contains(first) { client = words.removeFirst() }
        guard let verb = words.first else { throw Fault(description: "'\(line)' has no verb") }
        let rest = Array(words.dropFirst())
        if let step = clientStep(verb, rest, client) ?? serverStep(verb, rest, client) { return step }
        throw Fault(description: "'\(line)' is no step")
    }

    private static func clientStep(_ verb: String, _ rest: [String], _ client: String) -> Step? {
        switch (verb, rest.count) {
        case ("client", 1...): .client(name: rest[0], options: options(rest.dropFirst()))
        case ("connect", 1): .connect(client: client, server: rest[0])
        case ("send", 1...): .send(client: client, texts: rest)
        case ("read", 0...1): .read(client: client, text: rest.first ?? "get")
        case ("hold", 1): .hold(client: client, toServer: rest[0] == "server")
        case ("pass", 0): .pass(client: client)
        case ("lose", 1): .lose(client: client, type: rest[0])
        case ("cut", 0): .cut(client: client)
        case ("leave", 0): .leave(client: client)
        case ("late", 0): .late
        case ("die", _):
            .die(
                client: client, losing: options(rest[...])["losing"].flatMap(Int.init) ?? 0,
                rewound: options(rest[...])["rewound"].flatMap(Int.init))
        case ("forge", 1): Int(rest[0]).map { .forge(client: client, number: $0) }
        case ("stall", 0): .stall(client: client)
        default: nil
        }
    }

    private static func serverStep(_ verb: String, _ rest: [String], _ client: String) -> Step? {
        switch (verb, rest.count) {
        case ("servers", 1...):
            .servers(
                count: Int(rest[0]) ?? 1, adopts: rest.contains("adopts"),
                checkpointBytes: options(rest.filter { $0 != "adopts" }.dropFirst())["checkpoint"].flatMap(Int.init),
                sessions: options(rest.filter { $0 != "adopts" }.dropFirst())["sessions"].flatMap(Int.init))
        case ("crash", 1): .crash(server: rest[0])
        case ("delete", 1): .delete(server: rest[0], client: client)
        case ("effects", 1): .effectsWait
        case ("end", 1...2): .end(server: rest[0], how: rest.count > 1 ? rest[1] : "")
        case ("change", 1): .change(server: rest[0])
        case ("drain", 1): .drain(server: rest[0])
        default: nil
        }
    }

    /// Pairs of a word and its value.
    private static func options(_ words: ArraySlice<String>) -> [String: String] {
        var options: [String: String] = [:]
        var rest = words
        while rest.count >= 2, let key = rest.popFirst(), let value = rest.popFirst() { options[key] = value }
        return options
    }
}
