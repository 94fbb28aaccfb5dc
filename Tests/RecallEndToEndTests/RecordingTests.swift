import Recall
import RecallClient
import RecallCommand
import RecallCore
import RecallServer
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Recordings of real typing, typed through a session whose server is killed again and again.
@Suite struct RecordingTests {
    static let folder = ProcessInfo.processInfo.environment["RECALL_RECORDINGS"]
    /// Recordings and how many of their edits are typed; the long one is typed whole by the tool's demonstration.
    static let recordings = [("sveltecomponent", Int.max), ("automerge-paper", Int.max)]

    init() {
        guard Self.folder == nil else { return }
        print("SKIPPED: recordings of real typing; set RECALL_RECORDINGS to the folder that has them")
    }

    @Test(.timeLimit(.minutes(3)), .enabled(if: folder != nil, "RECALL_RECORDINGS is not set"), arguments: recordings)
    func typedThroughKills(name: String, limit: Int) async throws {
        let path = "\(try #require(Self.folder))/\(name).json.gz"
        let trace = try Trace([UInt8](Data(contentsOf: URL(filePath: path))))
        let edits = Array(trace.editsFromEmpty.prefix(limit))
        var expected = PlainText()
        if edits.count < trace.editsFromEmpty.count { for edit in edits { try expected.apply(edit) } }
        let end =
            edits.count < trace.editsFromEmpty.count
            ? String(String.UnicodeScalarView(expected.scalars)) : trace.endContent
        let typed = Tally()
        try await withServer(TestServer(TextSession())) { server in
            let client = try await SessionClient<TextSession>.open(
                at: server.endpoint, log: .memory, configuration: .quick, logger: .silent)
            let typing = Task {
                for start in stride(from: 0, to: edits.count, by: 500) {
                    let batch = edits[start..<min(start + 500, edits.count)]
                    try await client.send(contentsOf: batch)
                    typed.add(batch.count)
                }
            }
            for kill in 1...5 {
                try await eventually("a sixth more is typed", within: .seconds(120)) {
                    typed.value >= edits.count * kill / 6
                }
                try await server.restart()
            }
            try await typing.value
            var text = ""
            while true {
                let part = try await client.send(ReadText(position: text.unicodeScalars.count))
                guard !part.isEmpty else { break }
                text += part
            }
            #expect(text == end)
            #expect(await server.statistics.recalls >= 1)
            await client.close()
        }
    }
}
