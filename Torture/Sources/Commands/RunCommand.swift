internal import ArgumentParser
internal import Foundation

/// `recall-torture run`
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Kill and stop servers and clients, break connections, and compare every session.",
        discussion: """
            Real 'recall serve' and 'recall send' processes. Ends when enough were killed, or after --minutes; then \
            there are no more faults, every session is brought to its end, and compared through a new server with what \
            was acknowledged. Sessions are compared on the way, too.
            """)

    @OptionGroup var options: Options
    @OptionGroup(title: "Extent") var extent: Extent

    func validate() throws { try extent.validate() }

    func run() async throws {
        let extent = extent
        try await Rig.run(options, "run") { workspace in try await Campaign(workspace, extent).run() }
    }
}

/// How much is to happen.
struct Extent: ParsableArguments {
    @Option(help: ArgumentHelp("Ends after so many; without --minutes 200.", valueName: "number"))
    var serverKills: Int?

    @Option(help: ArgumentHelp("And so many; a fifth of --server-kills.", valueName: "number"))
    var clientKills: Int?

    @Option(help: ArgumentHelp("Ends after so long at the latest; 60 if kills are given.", valueName: "number"))
    var minutes: Double?

    @Option(help: ArgumentHelp("Servers at once.", valueName: "number"))
    var servers = 32

    @Option(help: ArgumentHelp("Sessions at once.", valueName: "number"))
    var sessions = 32

    func validate() throws {
        guard (1...256).contains(servers), (1...256).contains(sessions) else {
            throw ValidationError("--servers and --sessions must be 1 to 256")
        }
        guard (1...1_000_000).contains(serverKills ?? 1), (0...1_000_000).contains(clientKills ?? 0) else {
            throw ValidationError("--server-kills must be 1 to 1000000, --client-kills 0 to 1000000")
        }
        guard minutes.map({ $0 > 0 && $0 <= 1440 }) ?? true else {
            throw ValidationError("--minutes must be more than 0, and 1440 at most")
        }
    }

    /// Nil: the time alone decides.
    var kills: (servers: Int, clients: Int)? {
        if serverKills == nil, clientKills == nil, minutes != nil { return nil }
        let servers = serverKills ?? 200
        return (servers, clientKills ?? servers / 5)
    }

    var seconds: Double { (minutes ?? 60) * 60 }
}
