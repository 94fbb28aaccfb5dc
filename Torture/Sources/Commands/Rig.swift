internal import ArgumentParser
internal import Foundation

/// A command's run: its workspace, its progress, its report, its exit code.
enum Rig {
    /// Exits with 1 if the run found anything wrong, with 2 if it could not be done.
    static func run(_ options: Options, _ name: String, _ body: @Sendable (Workspace) async throws -> Void) async throws
    {
        let began = now()
        let workspace: Workspace
        do {
            workspace = try Workspace(
                tool: options.recall, seed: options.seed ?? UInt64.random(in: 0..<1_000_000), name: name,
                ports: options.ports)
        } catch {
            throw fail(error)
        }
        let interruption = Interruption(workspace)
        let screen = Screen(workspace, isShown: !options.json)
        screen.begin(name)
        do {
            try await body(workspace)
        } catch let error as TortureError {
            workspace.tally.problem("the run ended early: \(error)")
        }
        screen.end()
        interruption.end()
        workspace.end()
        let counts = workspace.tally.now
        let isKept = options.keep || !counts.isGood
        let report = Report(
            name: name, seed: workspace.seed, seconds: now() - began, counts: counts,
            evidence: isKept ? workspace.folder : nil)
        print(options.json ? report.json : report.table)
        if isKept { workspace.writeProblems() } else { workspace.remove() }
        guard counts.isGood else { throw ExitCode(1) }
    }

    private static func fail(_ error: any Error) -> ExitCode {
        FileHandle.standardError.write(Data("recall-torture: \(error)\n".utf8))
        return ExitCode(2)
    }
}

/// On SIGINT and SIGTERM: ends all processes and removes what was made.
private final class Interruption {
    private let sources: [any DispatchSourceSignal]

    init(_ workspace: Workspace) {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler {
                workspace.end()
                workspace.remove()
                exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    func end() { for source in sources { source.cancel() } }
}
