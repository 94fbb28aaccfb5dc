import Foundation
import RecallClient
@testable import RecallCommand
import Testing

/// What `recall send` says of updates that get no answer, and how it ends then.
@Suite(.enabled(if: Tool.path != nil, "the recall executable is not built"), .serialized, .timeLimit(.minutes(2)))
struct SendTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func send(_ address: String, _ more: [String] = [], _ input: String = "") async throws -> Tool.Outcome {
        try await Tool.run(
            ["send", "--kind", "text", "--log", "a.db", "--server", address] + more, in: folder, input: input)
    }

    /// The greatest number trapped.
    @Test(arguments: ["0", "-1", "31536001", "9223372036854775807"])
    func patienceIsBounded(seconds: String) async throws {
        for command in [["send", "--kind", "text"], ["request"]] {
            let outcome = try await Tool.run(
                command + ["--log", "p.db", "--server", "127.0.0.1:1", "--patience=\(seconds)"], in: folder)
            #expect(outcome.code == .code(64) && outcome.errors.contains("--patience must be 1 to 31536000 seconds"))
        }
    }

    /// A log with one acknowledged update, and three that no server has seen; the second of these does not fit.
    private func unanswered(_ address: String, _ server: ChildProcess) async throws {
        #expect(try await send(address, [], "[0,0,\"a\"]\n").code == .code(0))
        server.signal(SIGKILL)
        _ = await server.end(within: .seconds(10))
        let alone = try await send(address, ["--patience", "1"], "[1,0,\"b\"]\n[99,0,\"x\"]\n[2,0,\"c\"]\n")
        #expect(alone.code == .code(1))
        #expect(
            alone.lines
                == (2...4).map { #"{"number":\#($0),"unknown":"unreachable: no server answered within 1 s"}"# })
        #expect(alone.errors.contains("of 3 updates, 3 unknown"))
        #expect(alone.errors.contains("no server at \(address) yet"))
        #expect(alone.errors.contains("giving up after 1 s"))
        #expect(alone.errors.contains("Do not send it again"))
    }

    @Test func whatIsUnknownIsLearntLater() async throws {
        let (first, address) = try await Tool.serve(in: folder)
        try await unanswered(address, first)
        let (second, other) = try await Tool.serve(in: folder)
        defer { second.signal(SIGKILL) }
        let input = "[0,0,\"a\"]\n[1,0,\"b\"]\n[99,0,\"x\"]\n[2,0,\"c\"]\n[3,0,\"d\"]\n"
        let resumed = try await send(other, ["--resume"], input)
        #expect(resumed.code == .code(1), "an update was rejected")
        #expect(resumed.lines.count == 4)
        #expect(resumed.lines.first == #"{"number":2,"reply":2}"#)
        #expect(resumed.lines.dropFirst().first?.hasPrefix(#"{"number":3,"rejected":"#) == true)
        #expect(resumed.lines.dropFirst(2) == [#"{"number":4,"reply":3}"#, #"{"number":5,"reply":4}"#])
        #expect(resumed.errors.contains("of 4 updates, 1 rejected"))
        let again = try await send(other, ["--resume"], input)
        #expect(again.code == .code(0) && again.lines == [])
        let text = try await Tool.run(["request", "--log", "a.db", "--server", other], in: folder)
        #expect(text.output == "abcd\n")
    }

    /// Another key under the same number. Without `--patience`, and with a silent input, it ends by itself.
    @Test func aSessionThatHasEndedEndsTheCommand() async throws {
        let (first, address) = try await Tool.serve(in: folder)
        try await unanswered(address, first)
        let wrong = try folder.write("wrong", [UInt8](repeating: 9, count: 32))
        let stranger = try Tool.start(["serve", "--port", "0", "--key-file", wrong], in: folder)
        defer { stranger.signal(SIGKILL) }
        let line = try #require(try await stranger.output.next().first)
        let other = String(String(decoding: line.bytes, as: UTF8.self).dropFirst("listening on ".count))

        let silent = try Tool.start(["send", "--log", "a.db", "--server", other], in: folder)
        async let output = Tool.all(silent.output)
        async let errors = Tool.all(silent.errors)
        #expect(await silent.end(within: .seconds(60)) == .code(1))
        let (lines, text) = try await (output.split(separator: "\n"), errors)
        #expect(lines.count == 3)
        for (line, number) in zip(lines, 2...4) {
            #expect(line.hasPrefix(#"{"number":\#(number),"unknown":"brokenChain: the attach is not sealed"#))
        }
        for part in ["Error: brokenChain: ", "key file", "docs/errors.md, code 13", "--resume", "3 unknown"] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        #expect(!text.contains("no server answered"))

        let more = try await send(other, ["--patience", "30"], "[0,0,\"new\"]\n")
        #expect(more.code == .code(1) && !more.errors.contains("no server answered"))
        #expect(more.lines.count == 3, "what was never in the log has no number")
        let request = try await Tool.run(["request", "--log", "a.db", "--server", other], in: folder)
        #expect(request.code == .code(1) && request.errors.contains("key file"))

        let (right, home) = try await Tool.serve(in: folder)
        defer { right.signal(SIGKILL) }
        let learnt = try await send(home)
        #expect(learnt.code == .code(1) && learnt.lines.count == 3)
        #expect(learnt.lines.last == #"{"number":4,"reply":3}"#)
    }

    /// Nor do the ends of lines of other systems disturb.
    @Test func aLineThatIsTooLongHasNoNumber() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        defer { server.signal(SIGKILL) }
        let long = String(repeating: "x", count: 3 << 20)
        let sent = try await send(address, [], "[0,0,\"a\"]\n[0,0,\"\(long)\"]\r\n[1,0,\"b\"]\r\n")
        #expect(sent.code == .code(1))
        #expect(sent.lines == [#"{"number":1,"reply":1}"#, #"{"number":2,"reply":2}"#])
        #expect(sent.errors.contains("line 2 is not sent: TextEdit takes 3145730 bytes"))
    }

    @Test func tellsOfAServerThatIsNotThereYet() async throws {
        let (first, address) = try await Tool.serve(in: folder)
        first.signal(SIGKILL)
        _ = await first.end(within: .seconds(10))
        let port = try #require(address.split(separator: ":").last.flatMap { Int($0) })
        let client = try Tool.start(["send", "--kind", "text", "--log", "n.db", "--server", address], in: folder)
        try await client.write(Array("[0,0,\"a\"]\n".utf8))
        let note = try #require(try await client.errors.next().first)
        #expect(
            String(decoding: note.bytes, as: UTF8.self)
                == "recall: no server at \(address) yet (Connection refused); still trying (Ctrl-C ends, "
                + "--patience N gives up)")
        let (second, _) = try await Tool.serve(port: port, in: folder)
        defer { second.signal(SIGKILL) }
        let answer = try #require(try await client.output.next().first)
        #expect(answer.bytes == Array(#"{"number":1,"reply":1}"#.utf8))
        client.closeInput()
        #expect(try await Tool.all(client.errors) == "recall: connected to \(address)\n")
        #expect(await client.end(within: .seconds(10)) == .code(0))
    }
}

@Suite struct NoticeStoryTests {
    @Test func tellsEachTroubleOnceAndItsEnd() {
        let (a, b) = (Endpoint.tcp("a", 1), Endpoint.tcp("b", 2))
        var story = NoticeStory(limit: "for ever")
        #expect(story.text(.connected(to: a)) == nil)
        #expect(story.text(.disconnected(reason: "gone")) == "disconnected: gone; trying again")
        #expect(story.text(.unreachable(a, reason: "r")) == "no server at a:1 yet (r); still trying (for ever)")
        #expect(story.text(.unreachable(b, reason: "r")) != nil)
        #expect(story.text(.unreachable(a, reason: "r")) == nil)
        #expect(story.text(.disconnected(reason: "gone")) == nil)
        #expect(story.text(.connected(to: b)) == "connected to b:2")
        #expect(story.text(.connected(to: b)) == nil)
        #expect(story.text(.unreachable(a, reason: "r")) != nil)
    }
}
