internal import ArgumentParser

/// `recall-torture flood`
struct FloodCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flood",
        abstract: "Malformed frames and silent connections against a server in use; its memory must not grow.",
        discussion: """
            Memory is the resident set of the server's process. Ten seconds after each of two floods it is compared \
            with what it was before them, when a tenth as many connections had said hello and left. Honest sessions go \
            on meanwhile, and are compared at the end.
            """)

    @OptionGroup var options: Options
    @OptionGroup(title: "Extent") var extent: FloodExtent

    func run() async throws {
        let extent = extent
        try await Rig.run(options, "flood") { workspace in
            try await Flood(workspace, extent.extent, vectors: extent.vectors).run()
        }
    }
}

struct FloodExtent: ParsableArguments {
    @Option(help: ArgumentHelp("Malformed frames, each on a connection of its own.", valueName: "number"))
    var frames = 100_000

    @Option(help: ArgumentHelp("Connections that never say hello, at once.", valueName: "number"))
    var connections = 1000

    @Option(help: ArgumentHelp("Percent by which the server's memory may be larger afterwards.", valueName: "number"))
    var growth = 10

    @Option(help: ArgumentHelp("Frames to alter.", valueName: "file"), completion: .file())
    var vectors = "Tests/Vectors/frames.json"

    func validate() throws {
        guard (10...10_000_000).contains(frames), (10...10_000).contains(connections), (0...1000).contains(growth)
        else {
            throw ValidationError("--frames must be 10 to 10000000, --connections 10 to 10000, --growth 0 to 1000")
        }
    }

    var extent: Flood.Extent {
        var extent = Flood.Extent()
        (extent.frames, extent.connections, extent.growth) = (frames, connections, growth)
        return extent
    }
}
