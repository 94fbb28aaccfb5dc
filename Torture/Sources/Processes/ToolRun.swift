internal import Foundation

/// A command of the tool that runs to its end.
struct ToolRun: Sendable {
    var end: Child.End?
    var output: [String]
    var errors: [String]

    var isGood: Bool { end == .code(0) }
    var text: String { output.joined(separator: "\n") }
    /// For a report.
    var failure: String { "\(end.map { "\($0)" } ?? "no end"): \(errors.joined(separator: " ").prefix(400))" }

    init(_ workspace: Workspace, _ arguments: [String], within seconds: Double) async throws(TortureError) {
        let (output, errors) = (Words(), Words())
        let plan = Spawner.Plan(program: workspace.tool, arguments: arguments, directory: workspace.folder)
        let child = try await workspace.spawner.start(plan) {
            output.add($0)
        } errors: {
            errors.add($0)
        }
        child.closeInput()
        end = await child.end(within: seconds)
        if end == nil { _ = await child.killed() }
        (self.output, self.errors) = (output.all, errors.all)
    }
}
