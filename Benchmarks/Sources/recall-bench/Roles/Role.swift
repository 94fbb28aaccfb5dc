internal import Foundation

/// What this program does when the suite starts it as a child: says that it is ready, answers questions, and ends when
/// its standard input does.
enum Role {
    static func ready(port: Int) { say("ready \(port)") }

    static func say(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    static func untilInputEnds(_ answer: (String) async -> String) async {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        let reader = Thread {
            while let line = readLine() { continuation.yield(line) }
            continuation.finish()
        }
        reader.start()
        for await line in lines { say(await answer(line)) }
    }
}

extension Child {
    /// The port that a role says it listens on.
    func port() async throws -> Int {
        let line = try await line()
        guard line.hasPrefix("ready "), let port = Int(line.dropFirst(6)) else { throw BenchError("it said '\(line)'") }
        return port
    }
}
