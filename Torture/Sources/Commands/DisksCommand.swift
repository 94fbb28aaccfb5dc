internal import ArgumentParser

/// `recall-torture disks`
struct DisksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disks",
        abstract: "Logs on disks that are full, limited or fail to sync; servers without file descriptors.",
        discussion: """
            A client whose disk fails must say so and end, lose nothing that it acknowledged, and go on when the fault \
            is lifted. A full disk is a small tmpfs, which takes root; a failed fsync takes strace. What cannot be \
            done here is named at the end as not run.
            """)

    @OptionGroup var options: Options

    @OptionGroup(title: "Extent") var extent: DisksExtent

    func run() async throws {
        let rounds = extent.rounds
        try await Rig.run(options, "disks") { workspace in
            try await Disks(workspace: workspace, rounds: rounds).run()
        }
    }
}

struct DisksExtent: ParsableArguments {
    @Option(help: ArgumentHelp("Sessions for each kind of fault; each meets it three times.", valueName: "number"))
    var rounds = 9

    func validate() throws {
        guard (1...10_000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 10000") }
    }
}
