internal import Foundation
internal import Synchronization

/// One line of progress, on standard error: over and over on a terminal, else now and then.
final class Screen: Sendable {
    private let workspace: Workspace
    private let isShown: Bool
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ workspace: Workspace, isShown: Bool) { (self.workspace, self.isShown) = (workspace, isShown) }

    func begin(_ name: String) {
        guard isShown else { return }
        let began = now()
        let task = Task { [workspace, isTerminal] in
            while true {
                do { try await Task.sleep(for: .seconds(isTerminal ? 0.5 : 30)) } catch { return }
                let line = Self.line(workspace.tally.now, seconds: Int(now() - began))
                Self.write(isTerminal ? "\r\u{1b}[K\(name): \(line)" : "\(name): \(line)\n")
            }
        }
        self.task.withLock { $0 = task }
    }

    func end() {
        task.withLock { $0 }?.cancel()
        if isShown, isTerminal { Self.write("\r\u{1b}[K") }
    }

    private static func line(_ counts: Tally.Counts, seconds: Int) -> String {
        let bad = counts.items.filter { $0.key.isFailure }.values.reduce(0, +)
        return [
            "\(seconds) s", "server kills \(counts[.serverKills])", "client kills \(counts[.clientKills])",
            "acknowledged \(counts[.acknowledged])", "recalls \(counts[.recalls])",
            "frames \(counts[.malformedFrames])",
            "sessions compared \(counts[.comparisons])", "wrong \(bad)",
        ].filter { !$0.hasSuffix(" 0") || $0.hasPrefix("wrong") }.joined(separator: ", ")
    }

    private static func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
