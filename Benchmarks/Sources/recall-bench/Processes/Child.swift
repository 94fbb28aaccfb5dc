internal import Foundation
internal import Synchronization

/// A process that this one started: it writes lines, and ends when its standard input does.
final class Child: Sendable {
    private let spawn: Spawn
    private let name: String
    private let lines: AsyncStream<String>
    private let hasEnded = Atomic(false)

    /// Starts a program. What it writes to its standard error goes to ours, or nowhere.
    init(_ path: String, _ arguments: [String], quiet: Bool = false) throws {
        name = URL(filePath: path).lastPathComponent
        let spawn = try Spawn(path, arguments, quiet: quiet)
        self.spawn = spawn
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        Thread {
            guard let output = fdopen(spawn.output, "r") else { return continuation.finish() }
            var line: UnsafeMutablePointer<CChar>?
            var capacity = 0
            while getline(&line, &capacity, output) > 0 {
                if let line { continuation.yield(String(String(cString: line).trimmingSuffix { $0 == "\n" })) }
            }
            free(line)
            fclose(output)
            continuation.finish()
        }.start()
    }

    /// Another role of this program.
    static func role(_ arguments: String...) throws -> Child {
        try Child(Bundle.main.executablePath ?? CommandLine.arguments[0], arguments)
    }

    var id: Int32 { spawn.id }

    /// The next line that it writes; throws if it ends before.
    func line() async throws -> String {
        for await line in lines { return line }
        throw BenchError("\(name) ended before it answered")
    }

    /// Writes a line to it, and returns the one that it answers with.
    func ask(_ question: String) async throws -> String {
        let bytes = Array((question + "\n").utf8)
        guard write(spawn.input, bytes, bytes.count) == bytes.count else { throw BenchError("\(name) does not listen") }
        return try await line()
    }

    /// Bytes of memory that are resident now.
    var residentBytes: Int { get throws { try bytes("VmRSS:") } }

    /// The most that was ever resident.
    var peakBytes: Int { get throws { try bytes("VmHWM:") } }

    private func bytes(_ field: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix(field) }
        guard let kilobytes = Int(line?.split(separator: " ").dropLast().last ?? "") else {
            throw BenchError("/proc/\(id)/status has no \(field)")
        }
        return kilobytes << 10
    }

    /// Ends it by closing its standard input, or by a signal if it does not listen to that, and waits.
    func end(signal: Int32? = nil) {
        guard !hasEnded.exchange(true, ordering: .relaxed) else { return }
        if let signal { Foundation.kill(id, signal) }
        close(spawn.input)
        spawn.wait(within: 20)
    }

    func kill() { end(signal: SIGKILL) }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(_ isSuperfluous: (Character) -> Bool) -> SubSequence {
        var end = endIndex
        while end > startIndex, isSuperfluous(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
