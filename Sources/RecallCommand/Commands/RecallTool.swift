public import ArgumentParser
internal import Foundation

/// The `recall` tool.
public struct RecallTool: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "recall",
        abstract: "Stateful sessions that survive the death of their server.",
        discussion: """
            The client keeps a log of what it sent; a server that does not know a session rebuilds it from there. \
            Servers store nothing but a key file.

              recall demo                          watch servers die and nothing get lost
              recall serve --key-file key          host sessions
              recall send --kind text --log my.db  send updates, one JSON value a line
              recall request --log my.db           read what the session holds
              recall log show my.db                look into a log
              recall simulate                      run all of it in a world full of faults
            """,
        version: "0.1.0",
        subcommands: [Serve.self, Send.self, Request.self, LogCommand.self, Demo.self, Simulate.self])

    public init() {}

    /// What the executable calls.
    public static func start() async {
        // A reader that goes away (`recall send … | head -1`) is an error of that write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        ProcessLimits.openStandardFiles()
        await main()
    }
}

/// Why a command failed, in words for whoever ran it: what is wrong, with what, and what to do.
struct CommandError: Error, Hashable, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }

    /// As `what: why`, with the reason of the system's last error.
    init(_ what: String, errno code: Int32) { self.init("\(what): \(String(cString: strerror(code)))") }
}
