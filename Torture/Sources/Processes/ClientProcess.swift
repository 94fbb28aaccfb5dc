internal import Foundation

/// A `recall send` on a session's log.
struct ClientProcess: Sendable {
    /// How to start it, each time.
    struct Plan: Sendable {
        var servers: [Int]
        var durability = "process"
        var window = 64
        /// Gives up after so many seconds without an answer.
        var patience: Int?
        var wrapper: [String] = []
    }

    let child: Child

    /// Starts it, and gives it the session's updates from the first one on.
    static func start(_ workspace: Workspace, _ record: SessionRecord, _ plan: Plan) async throws(TortureError)
        -> ClientProcess
    {
        var arguments = [
            "send", "--kind", record.kind.rawValue, "--log", record.log, "--durability", plan.durability, "--window",
            "\(plan.window)", "--resume", "--events",
        ]
        for port in plan.servers { arguments += ["--server", "127.0.0.1:\(port)"] }
        if let patience = plan.patience { arguments += ["--patience", "\(patience)"] }
        let lines = record.restart()
        let child = try await workspace.spawner.start(
            Spawner.Plan(
                program: workspace.tool, arguments: arguments, directory: workspace.folder, wrapper: plan.wrapper)
        ) {
            record.take(answers: $0)
        } errors: {
            record.take(errors: $0)
        }
        child.write(lines)
        return ClientProcess(child: child)
    }
}
