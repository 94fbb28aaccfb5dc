internal import ArgumentParser

/// `recall-torture all`
struct AllCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "all",
        abstract: "All of it, one after the other, and one report.")

    @OptionGroup var options: Options
    @OptionGroup(title: "Kills") var kills: Extent
    @OptionGroup(title: "Flood") var flood: FloodExtent
    @OptionGroup(title: "Disks") var disks: DisksExtent

    func run() async throws {
        let (kills, flood, disks) = (kills, flood, disks)
        try await Rig.run(options, "all") { workspace in
            try await Campaign(workspace, kills).run()
            try await Flood(workspace, flood.extent, vectors: flood.vectors).run()
            try await Disks(workspace: workspace, rounds: disks.rounds).run()
        }
    }
}
