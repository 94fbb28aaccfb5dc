internal import ArgumentParser

/// `recall-torture`
@main
struct TortureTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall-torture",
        abstract: "Torture the recall tool: real processes, real sockets, real disks.",
        discussion: """
            Shares no code with what it judges. Exits with 0 if nothing was wrong, with 1 if anything was (the folder \
            with logs and journal is kept then), with 2 if a run could not begin, with 64 for wrong usage.
            """,
        subcommands: [AllCommand.self, RunCommand.self, FloodCommand.self, DisksCommand.self])
}
