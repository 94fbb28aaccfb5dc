import Foundation
import RecallTesting
import Testing

/// Conversations to read. Each file is played and must read the same afterwards; `RECALL_REWRITE_TRANSCRIPTS=1` writes
/// down what comes of it now, to be reviewed as a difference.
@Suite struct TranscriptTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Transcripts")
    static let names: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return all.filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test func thereAreTranscripts() { #expect(Self.names.count >= 20) }

    @Test(arguments: names) func transcript(name: String) throws {
        let file = Self.folder.appending(path: name)
        let written = try String(contentsOf: file, encoding: .utf8)
        let (text, violations) = try CoreScriptRun.transcript(CoreScript(written))
        #expect(violations == [])
        if environment("RECALL_REWRITE_TRANSCRIPTS") == "1" { return try Data(text.utf8).write(to: file) }
        let (now, before) = (text.split(separator: "\n"), written.split(separator: "\n"))
        let first = zip(now, before).first { $0 != $1 }.map { "'\($0)' where it says '\($1)'" } ?? "another length"
        #expect(text == written, "\(name): \(first)")
    }
}
