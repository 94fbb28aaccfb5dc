internal import ArgumentParser

/// What every command takes.
struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("The tool to torment.", valueName: "file"), completion: .file())
    var recall = ".build/release/recall"

    @Option(help: ArgumentHelp("Decides which faults come, and in what order; random without it.", valueName: "number"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("The first port for servers; chosen by the process id without it.", valueName: "number"))
    var ports: Int?

    @Flag(help: "Print one JSON object at the end and nothing else.")
    var json = false

    @Flag(help: "Leave logs and journal behind, also if nothing is wrong, and say where.")
    var keep = false

    func validate() throws {
        guard (1024...31_999).contains(ports ?? 1024) else { throw ValidationError("--ports must be 1024 to 31999") }
    }
}
