import Foundation
@testable import RecallCommand
import Testing

@Suite struct TraceTests {
    static let small = """
        {"startContent":"a","kind":"sequential","endContent":"x🙂c",
         "txns":[{"time":"2020-01-01","patches":[[0,1,"x"],[1,0,"b\\ud83d\\ude42"]]},{"patches":[]},
                 {"patches":[[1,1,""],[2,0,"c"]],"agent":{"id":[1,2]}}]}
        """

    @Test func readsATrace() throws {
        let trace = try Trace(Array(Self.small.utf8))
        #expect(trace.startContent == "a")
        #expect(trace.edits == [TextEdit(0, 1, "x"), TextEdit(1, 0, "b🙂"), TextEdit(1, 1, ""), TextEdit(2, 0, "c")])
        #expect(trace.editsFromEmpty.first == TextEdit(0, 0, "a"))
        #expect(try trace.checkedText().text == "x🙂c")
    }

    /// `{"endContent":"h","txns":[{"patches":[[0,0,"h"]]}]}`, by `gzip -9n`.
    static let packed: [UInt8] = Array(
        Data(
            base64Encoded:
                "H4sIAAAAAAACA6tWSs1Lcc7PK0nNK1GyUspQ0lEqqcgrVrKKrlYqSCxJzkgFsaMNdAx0gJKxsbWxtQDM0DteMwAAAA==")
            ?? Data())

    @Test func unpacksGzip() throws {
        #expect(isGzip(Self.packed))
        #expect(try Trace(Self.packed).checkedText().text == "h")
    }

    @Test func unpacksSeveralMembers() throws {
        let twice = try gunzip(Self.packed + Self.packed, limit: 1000)
        let once = try gunzip(Self.packed, limit: 1000)
        #expect(twice == once + once)
    }

    @Test func refusesDamagedGzip() {
        for end in Self.packed.indices {
            #expect(throws: GunzipError.self) { try gunzip(Array(Self.packed[..<end]), limit: 1000) }
        }
        #expect(throws: GunzipError.self) { try gunzip(Self.packed + [1], limit: 1000) }
        #expect(throws: GunzipError.self) { try gunzip(Self.packed, limit: 10) }
        #expect(throws: GunzipError.self) { try gunzip([], limit: 10) }
        for index in Self.packed.indices {
            var damaged = Self.packed
            damaged[index] ^= 0x10
            _ = try? Trace(damaged)  // a changed name or time in the header does no harm; nothing traps
        }
    }

    @Test func saysWhatATraceLacks() {
        expect("{}", .missing("txns"))
        expect(#"{"txns":[]}"#, .missing("endContent"))
        expect(#"{"txns":[],"endContent":"","numAgents":2}"#, .concurrent)
        expect("[]", .notJSON(JSONError(offset: 0, problem: .unexpected(0x5b))))
        expect("", .notJSON(JSONError(offset: 0, problem: .endsEarly)))
        expect(#"{"txns":[{"patches":[[0,0]]}]}"#, .notJSON(JSONError(offset: 25, problem: .unexpected(0x5d))))
        expect(#"{"txns":[{"patches":[[0.5,0,""]]}]}"#, .notJSON(JSONError(offset: 22, problem: .badNumber)))
        expect(
            #"{"txns":[{"patches":[[99999999999999999999,0,""]]}]}"#,
            .notJSON(JSONError(offset: 22, problem: .badNumber)))
        #expect(throws: TraceError.self) { try Trace([0x1f, 0x8b, 0, 0]) }
    }

    @Test func saysWhichPatchIsWrong() throws {
        func text(_ patches: String, _ end: String) throws -> PlainText {
            try Trace(Array(#"{"endContent":"\#(end)","txns":[{"patches":\#(patches)}]}"#.utf8)).checkedText()
        }
        let range = TextRangeError(position: 3, deleted: 0, length: 1)
        #expect(throws: TraceError(.badEdit(2, range))) { try text(#"[[0,0,"a"],[3,0,"b"]]"#, "ab") }
        #expect(throws: TraceError(.wrongEnd(length: 1, expected: 2))) { try text(#"[[0,0,"a"]]"#, "ab") }
        #expect(throws: TraceError.self) { try text(#"[[-1,0,"a"]]"#, "a") }
        #expect(throws: TraceError.self) { try text(#"[[0,9223372036854775807,"a"]]"#, "a") }
        #expect(try text("[]", "").text == "")
    }

    private func expect(
        _ text: String, _ reason: TraceError.Reason, _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(throws: TraceError(reason), sourceLocation: location) { try Trace(Array(text.utf8)) }
    }
}

/// Real typing, hours of it. The recordings are not part of the repository.
@Suite struct RecordingTests {
    static let folder = ProcessInfo.processInfo.environment["RECALL_RECORDINGS"]
    static let files = ["automerge-paper.json.gz", "sveltecomponent.json.gz"]

    @Test func sayIfTheyAreSkipped() {
        guard Self.folder == nil else { return }
        print("SKIPPED: recordings of real typing; set RECALL_RECORDINGS to the folder that has \(Self.files)")
    }

    @Test(.enabled(if: folder != nil, "RECALL_RECORDINGS is not set"), arguments: files)
    func endExactlyAsRecorded(_ name: String) throws {
        let file = URL(filePath: try #require(Self.folder)).appending(path: name)
        let clock = ContinuousClock()
        var trace = Trace()
        let reading = try clock.measure { trace = try Trace(Array(try Data(contentsOf: file))) }
        var buffer = TextBuffer()
        let replaying = try clock.measure { for edit in trace.editsFromEmpty { try buffer.apply(edit) } }
        #expect(Array(buffer.text.unicodeScalars) == Array(trace.endContent.unicodeScalars))
        print("\(name): \(trace.edits.count) edits read in \(reading), applied in \(replaying)")
    }

    @Test(.enabled(if: folder != nil, "RECALL_RECORDINGS is not set"))
    func plainComputationEndsThereToo() throws {
        let file = URL(filePath: try #require(Self.folder)).appending(path: "sveltecomponent.json.gz")
        let trace = try Trace(Array(try Data(contentsOf: file)))
        #expect(try trace.checkedText().text == trace.endContent)
    }
}
