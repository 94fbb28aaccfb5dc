import Foundation
@testable import RecallCommand
import Testing

/// What the README shows is the package in Examples/Counter, which is built with these tests, and does what it says.
@Suite struct ReadmeTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func file(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: Self.root.appending(path: path)), as: UTF8.self)
    }

    @Test func showsTheExample() throws {
        let blocks = try file("README.md").components(separatedBy: "```swift\n").dropFirst()
            .compactMap { $0.components(separatedBy: "```").first }
        #expect(
            blocks == [
                try file("Examples/Counter/Sources/counter/main.swift"), try file("Examples/Counter/Package.swift"),
            ])
    }

    @Test(.timeLimit(.minutes(1))) func theExampleCountsOverItsServersDeath() async throws {
        let path = try #require(Bundle.main.executablePath)
        let counter = URL(filePath: path).deletingLastPathComponent().appending(path: "recall-counter").path
        let folder = try TemporaryFolder()
        _ = try folder.write("counter.key", [UInt8](repeating: 5, count: 32))
        // Outside of what the system hands out by itself.
        let port = Int.random(in: 15_000..<32_000)
        func start(_ arguments: [String]) throws -> ChildProcess {
            try ChildProcess("/usr/bin/env", ["PORT=\(port)", counter] + arguments, in: folder.path)
        }
        for round in 0..<2 {
            let server = try start(["serve"])
            let client = try start([])
            let expected = (1...10).map { "\(round * 10 + $0)" } + ["total: \((round + 1) * 10)"]
            #expect(try await Tool.all(client.output).split(separator: "\n").map(String.init) == expected)
            #expect(await client.end(within: .seconds(10)) == .code(0))
            server.signal(SIGKILL)
            #expect(await server.end(within: .seconds(10)) == .signal(SIGKILL))
        }
    }
}
