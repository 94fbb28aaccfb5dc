import Foundation
@testable import RecallCommand
import Testing

/// Logs written by earlier versions are read, verified, recalled and continued: see Tests/Golden.
@Suite(.enabled(if: Tool.path != nil, "the recall executable is not built"), .serialized)
struct GoldenTests {
    static let source = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Golden")
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["key", "text.db", "json.db"] {
            try FileManager.default.copyItem(
                at: Self.source.appending(path: name), to: URL(filePath: folder.file(name)))
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder.file("key"))
    }

    private func expected(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: Self.source.appending(path: name)), as: UTF8.self)
    }

    @Test(.timeLimit(.minutes(1)), arguments: ["text", "json"])
    func isReadAndVerified(kind: String) async throws {
        let verified = try await Tool.run(["log", "verify", "\(kind).db"], in: folder)
        #expect(verified.code == .code(0), "\(verified.errors)")
        let exported = try await Tool.run(["log", "export", "\(kind).db"], in: folder)
        #expect(exported.code == .code(0))
        let lines = try expected("\(kind).jsonl").split(separator: "\n").map(String.init)
        #expect(Array(exported.lines.dropFirst()) == lines)
        #expect(lines.count == (kind == "text" ? 164 : 5))
    }

    @Test(.timeLimit(.minutes(1)), arguments: ["text", "json"])
    func isRecalledAndContinued(kind: String) async throws {
        let (server, address) = try await Tool.serve(in: folder)
        defer { server.signal(SIGKILL) }
        let read = try await Tool.run(["request", "--log", "\(kind).db", "--server", address], in: folder)
        #expect(read.code == .code(0), "\(read.errors)")
        #expect(
            read.output.trimmingCharacters(in: .newlines)
                == (try expected("\(kind).txt"))
                .trimmingCharacters(in: .newlines))
        let sent = try await Tool.run(
            ["send", "--log", "\(kind).db", "--server", address], in: folder,
            input: kind == "text" ? "[0,0,\"on\"]\n" : "{\"on\":1}\n")
        #expect(sent.lines.first?.hasPrefix("{\"number\":\(kind == "text" ? 165 : 6),") == true, "\(sent)")
    }
}
