import Foundation
@testable import RecallCommand
import Testing

/// The `recall` executable, built beside these tests.
enum Tool {
    static let path: String? = {
        let beside = Bundle.main.executablePath.map { URL(filePath: $0).deletingLastPathComponent() }
        let candidate = beside?.appending(path: "recall").path
        return candidate.flatMap { access($0, X_OK) == 0 ? $0 : nil }
    }()

    /// What a run ended with.
    struct Outcome {
        var code: ChildProcess.End?
        var output: String
        var errors: String
        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    static func start(_ arguments: [String], in folder: TemporaryFolder) throws -> ChildProcess {
        try ChildProcess(try #require(path), arguments, in: folder.path)
    }

    /// Runs the tool to its end, at most so long.
    static func run(
        _ arguments: [String], in folder: TemporaryFolder, input: String = "", within limit: Duration = .seconds(60)
    ) async throws -> Outcome {
        let process = try start(arguments, in: folder)
        async let output = all(process.output)
        async let errors = all(process.errors)
        try? await process.write(Array(input.utf8))
        process.closeInput()
        let code = await process.end(within: limit)
        if code == nil { process.signal(SIGKILL) }
        return try await Outcome(code: code, output: output, errors: errors)
    }

    static func all(_ reader: LineReader) async throws -> String {
        var text = ""
        while case let lines = try await reader.next(), !lines.isEmpty {
            for line in lines { text += String(decoding: line.bytes, as: UTF8.self) + "\n" }
        }
        return text
    }

    /// A server in a folder, and its address.
    static func serve(_ arguments: [String] = [], port: Int = 0, in folder: TemporaryFolder) async throws -> (
        process: ChildProcess, address: String
    ) {
        let process = try start(
            ["serve", "--port", "\(port)", "--key-file", folder.file("key"), "--until-input-closes"] + arguments,
            in: folder)
        let line = try #require(try await process.output.next().first)
        let text = String(decoding: line.bytes, as: UTF8.self)
        #expect(text.hasPrefix("listening on 127.0.0.1:"))
        return (process, String(text.dropFirst("listening on ".count)))
    }
}

@Suite(.enabled(if: Tool.path != nil, "the recall executable is not built"), .serialized)
struct ToolTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func send(_ kind: String, _ log: String, _ address: String, _ input: String, _ more: [String] = [])
        async throws -> Tool.Outcome
    {
        try await Tool.run(
            ["send", "--kind", kind, "--log", log, "--server", address] + more, in: folder, input: input)
    }

    @Test func aTextOutlivesItsServer() async throws {
        let (first, address) = try await Tool.serve(in: folder)
        let sent = try await send("text", "a.db", address, "[0,0,\"hello\"]\n\n[5,0,\" wörld 🙂\"]\n")
        #expect(sent.code == .code(0))
        #expect(sent.lines == [#"{"number":1,"reply":5}"#, #"{"number":2,"reply":13}"#])
        first.signal(SIGKILL)
        #expect(await first.end(within: .seconds(10)) == .signal(SIGKILL))

        let (second, other) = try await Tool.serve(in: folder)
        let request = try await Tool.run(["request", "--log", "a.db", "--server", other], in: folder)
        #expect(request.code == .code(0))
        #expect(request.output == "hello wörld 🙂\n")
        let length = try await Tool.run(["request", "--log", "a.db", "--server", other, "--length"], in: folder)
        #expect(length.lines == ["13"])
        let more = try await send("text", "a.db", other, "[0,1,\"J\"]\n[99,0,\"x\"]\nnonsense\n[0,0]\n[1,0,\"-\"]")
        #expect(more.code == .code(1))
        #expect(more.lines.first == #"{"number":3,"reply":13}"#)
        #expect(more.lines.dropFirst().first?.hasPrefix(#"{"number":4,"rejected":"#) == true)
        #expect(more.lines.last == #"{"number":5,"reply":14}"#)
        #expect(more.errors.contains("line 3 is not sent") && more.errors.contains("line 4 is not sent"))
        second.signal(SIGTERM)
        #expect(await second.end(within: .seconds(20)) == .code(0))
        try await checkLog()
    }

    private func checkLog() async throws {
        let verify = try await Tool.run(["log", "verify", "a.db", "--json"], in: folder)
        #expect(verify.code == .code(0))
        #expect(verify.output.contains(#""ok":true"#) && verify.output.contains(#""last":5"#))
        let show = try await Tool.run(["log", "show", "a.db"], in: folder)
        #expect(show.output.contains("kind                text"))
        #expect(!show.output.contains("hello"))
        let export = try await Tool.run(["log", "export", "a.db", "--updates"], in: folder)
        #expect(export.lines.first == #"[0,0,"hello"]"# && export.lines.count == 5)
        let full = try await Tool.run(["log", "export", "a.db"], in: folder)
        #expect(full.lines.count == 6 && full.lines[1].contains(#""number":1"#))

        var bytes = Array(try Data(contentsOf: URL(filePath: folder.file("a.db"))))
        let place = try #require(bytes.indices.first { bytes[$0...].starts(with: Array("hello".utf8)) })
        bytes[place] ^= 1
        _ = try folder.write("b.db", bytes)
        let changed = try await Tool.run(["log", "verify", "b.db"], in: folder)
        #expect(changed.code == .code(1) && changed.errors.contains("b.db"))
        let json = try await Tool.run(["log", "verify", "b.db", "--json"], in: folder)
        #expect(json.code == .code(1) && json.lines.count == 1)
        #expect(json.output.contains(#""ok":false"#) && json.output.contains("b.db") && json.errors.contains("b.db"))
        try await salvage()
    }

    /// A log that lost what was acknowledged is used again only if its owner says so.
    private func salvage() async throws {
        let refused = try await send("text", "b.db", "127.0.0.1:1", "[0,0,\"x\"]\n")
        #expect(refused.code == .code(1) && refused.errors.contains("recall log salvage"))
        let salvaged = try await Tool.run(["log", "salvage", "b.db"], in: folder)
        #expect(salvaged.code == .code(0))
        #expect(salvaged.lines.first?.hasPrefix("salvaged: ") == true)
        #expect(salvaged.lines.last == "updates: 0, acknowledged: 0")
        let again = try await Tool.run(["log", "salvage", "b.db", "--json"], in: folder)
        #expect(again.lines == [#"{"acknowledged":0,"damage":null,"updates":0}"#])
        let verify = try await Tool.run(["log", "verify", "b.db"], in: folder)
        #expect(verify.code == .code(0))
        let missing = try await Tool.run(["log", "salvage", "c.db"], in: folder)
        #expect(missing.code == .code(1) && missing.errors.contains("no such file"))
        _ = try folder.write("e.db", [])
        let empty = try await Tool.run(["log", "salvage", "e.db"], in: folder)
        #expect(empty.code == .code(1) && empty.errors.contains("empty"))
        try #require(mkfifo(folder.file("pipe"), 0o600) == 0)
        for command in ["salvage", "show", "verify"] {
            let pipe = try await Tool.run(["log", command, "pipe"], in: folder)
            #expect(pipe.code == .code(1) && pipe.errors.contains("not a regular file"))
        }
        let type = try FileManager.default.attributesOfItem(atPath: folder.file("pipe"))[.type]
        #expect(type as? FileAttributeType != .typeRegular)
    }

    @Test func aDocumentIsMergedAndRead() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        let sent = try await send("json", "d.db", address, #"{"a":{"b":1.50},"c":[1,2]}"# + "\n" + #"{"c":null}"#)
        #expect(sent.lines == [#"{"number":1,"reply":null}"#, #"{"number":2,"reply":null}"#])
        let whole = try await Tool.run(["request", "--log", "d.db", "--server", address], in: folder)
        #expect(whole.lines == [#"{"a":{"b":1.50}}"#])
        let part = try await Tool.run(["request", "--log", "d.db", "--server", address, "/a/b"], in: folder)
        #expect(part.lines == ["1.50"])
        let nothing = try await Tool.run(["request", "--log", "d.db", "--server", address, "/x"], in: folder)
        #expect(nothing.code == .code(1))
        #expect(nothing.errors.contains("no such pointer"))
        let other = try await send("text", "d.db", address, "[0,0,\"x\"]")
        #expect(other.code == .code(1) && other.errors.contains("kind json, not text"))
        server.signal(SIGKILL)
    }

    /// A client killed at any moment goes on where its log ends, told its input from the beginning.
    @Test func aKilledClientGoesOn() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        let edits = Array(Typist(seed: 5).prefix(3000))
        let lines = edits.map { TextSession.describe($0).encodedText + "\n" }
        let arguments = ["send", "--kind", "text", "--log", "k.db", "--server", address, "--resume"]
        for kill in 1...3 {
            let process = try Tool.start(arguments, in: folder)
            try await process.write(Array(lines[..<(kill * 700)].joined().utf8))
            _ = try await process.output.next()
            process.signal(SIGKILL)
            #expect(await process.end(within: .seconds(10)) == .signal(SIGKILL))
        }
        let last = try await Tool.run(arguments, in: folder, input: lines.joined())
        #expect(last.code == .code(0))
        #expect(last.lines.last?.hasPrefix(#"{"number":3000,"#) == true)
        var plain = PlainText()
        for edit in edits { try plain.apply(edit) }
        let text = try await Tool.run(["request", "--log", "k.db", "--server", address, "--json"], in: folder)
        #expect(try JSONValue(parsing: text.output) == .string(JSONText(plain.text)))
        server.signal(SIGKILL)
    }

    @Test func oneWriterForEachLog() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        let first = try Tool.start(["send", "--kind", "text", "--log", "o.db", "--server", address], in: folder)
        try await first.write(Array("[0,0,\"a\"]\n".utf8))
        _ = try await first.output.next()
        let second = try await send("text", "o.db", address, "[0,0,\"b\"]\n")
        #expect(second.code == .code(1))
        #expect(second.errors.contains("logInUse"))
        let verify = try await Tool.run(["log", "verify", "o.db"], in: folder)
        #expect(verify.code == .code(0))
        first.closeInput()
        #expect(await first.end(within: .seconds(10)) == .code(0))
        server.signal(SIGKILL)
    }

    @Test func errorsSayWhatToDo() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        let port = try #require(address.split(separator: ":").last)
        let busy = try await Tool.run(["serve", "--port", "\(port)", "--key-file", folder.file("key")], in: folder)
        #expect(busy.code == .code(1) && busy.errors.contains("cannot listen on 127.0.0.1:\(port)"))
        server.signal(SIGKILL)
        _ = await server.end(within: .seconds(10))
        let alone = try await send("text", "n.db", address, "[0,0,\"a\"]\n", ["--patience", "1"])
        #expect(alone.code == .code(1) && alone.errors.contains("no server answered within"))
        let new = try await Tool.run(["send", "--log", "m.db"], in: folder)
        #expect(new.code == .code(64) && new.errors.contains("--kind"))
        let none = try await Tool.run(["log", "show", "none.db"], in: folder)
        #expect(none.code == .code(1) && none.errors.contains("no such file"))
        let key = try folder.write("bad", [1, 2, 3])
        let refused = try await Tool.run(["serve", "--port", "0", "--key-file", key], in: folder)
        #expect(refused.code == .code(1) && refused.errors.contains("3 bytes, not 32"))
        let trace = try folder.write("trace", Array("{}".utf8))
        let demo = try await Tool.run(["demo", "--trace", trace], in: folder)
        #expect(demo.code == .code(1) && demo.errors.contains("no \"txns\""))
    }

    /// No key is left behind by a server that did not start.
    @Test func aServerThatCannotStartMakesNoKey() async throws {
        let (server, address) = try await Tool.serve(in: folder)
        defer { server.signal(SIGKILL) }
        let port = try #require(address.split(separator: ":").last)
        let other = try folder.write("other", [UInt8](repeating: 1, count: 65_536))
        for (arguments, reason) in [
            (["--port", "0", "--tls-certificate", other, "--tls-key", other], "no certificate"),
            (["--port", "0", "--poison-file", other], "not a poison file"),
            (["--port", "\(port)"], "cannot listen on"), (["--host", "no.such.host.invalid"], "cannot listen on"),
        ] {
            let run = try await Tool.run(["serve", "--key-file", "new"] + arguments, in: folder)
            #expect(run.code == .code(1) && run.errors.contains(reason), "\(run)")
            #expect(access(folder.file("new"), F_OK) != 0)
        }
        let zero = try await Tool.run(["serve", "--port", "0", "--key-file", "0=new"], in: folder)
        #expect(zero.code == .code(64) && zero.errors.contains("1 to 65535"), "\(zero)")
        let far = try await Tool.run(["request", "--log", "a.db", "--server", "localhost:99999"], in: folder)
        #expect(far.code == .code(64) && far.errors.contains("localhost:99999: the port"), "\(far)")
    }

    @Test func aReaderThatGoesAwayIsNoError() async throws {
        let log = GoldenTests.source.appending(path: "text.db").path
        _ = try folder.write("text.db", Array(try Data(contentsOf: URL(filePath: log))))
        let shell = try ChildProcess(
            "/bin/sh", ["-c", "{ \"$0\" log export text.db; echo $? >&2; } | head -1", try #require(Tool.path)],
            in: folder.path)
        #expect(try await Tool.all(shell.output).split(separator: "\n").count == 1)
        let errors = try await Tool.all(shell.errors)
        // All of it may have fitted the pipe before its reader went.
        #expect(errors == "\(128 + SIGPIPE)\n" || errors == "0\n")
    }

    @Test func speaksTLS() async throws {
        let made = try ChildProcess(
            "/usr/bin/env",
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", "tls.key", "-out", "tls.crt", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost",
            ], in: folder.path)
        guard await made.end(within: .seconds(30)) == .code(0) else {
            return print("SKIPPED: the tool's TLS test; it makes its certificate with openssl, which is not here")
        }
        let (server, address) = try await Tool.serve(
            ["--tls-certificate", "tls.crt", "--tls-key", "tls.key"], in: folder)
        let local = "localhost:" + (address.split(separator: ":").last ?? "")
        let sent = try await send("text", "t.db", local, "[0,0,\"a\"]\n", ["--tls-trust", "tls.crt"])
        #expect(sent.code == .code(0) && sent.lines == [#"{"number":1,"reply":1}"#])
        let untrusting = try await send("text", "u.db", local, "[0,0,\"a\"]\n", ["--tls", "--patience", "1"])
        #expect(untrusting.code == .code(1))
        server.signal(SIGKILL)
    }

    @Test func anInterruptedDemonstrationLeavesNothing() async throws {
        let demo = try Tool.start(["demo", "--seed", "77"], in: folder)
        var seen = ""
        while !seen.contains("server up"), case let lines = try await demo.output.next(), !lines.isEmpty {
            seen += lines.map { String(decoding: $0.bytes, as: UTF8.self) }.joined()
        }
        demo.signal(SIGTERM)
        #expect(await demo.end(within: .seconds(20)) == .code(128 + SIGTERM))
        let name = "recall-demo-\(demo.id)-77"
        let names = try FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
        #expect(names.filter { $0.hasPrefix(name) } == [])
    }

    /// The whole of it, small: kills of the server and of a client, as fast as it goes.
    @Test func theDemonstrationLosesNothing() async throws {
        let demo = try await Tool.run(
            [
                "demo", "--sessions", "3", "--updates", "400", "--kills", "4", "--client-kills", "2", "--rate", "0",
                "--seed", "11", "--json",
            ], in: folder, within: .seconds(120))
        #expect(demo.code == .code(0), "\(demo.output) \(demo.errors)")
        guard case .object(let report) = try JSONValue(parsing: demo.output) else { throw CommandError(demo.output) }
        for (name, value) in [
            ("updatesAcknowledged", 1200), ("updatesLost", 0), ("updatesDuplicated", 0), ("stateMismatches", 0),
            ("serverKills", 4), ("clientKills", 2), ("filesLeftByServers", 0),
        ] {
            #expect(report[JSONText(name)] == .number(JSONNumber(value)), "\(name)")
        }
        #expect(report["ok"] == true)
    }
}

@Suite struct ToolPresenceTests {
    @Test func sayIfTheToolIsMissing() {
        if Tool.path == nil { print("SKIPPED: tests of the recall executable, which is not built beside these") }
    }
}

@Suite(.enabled(if: Tool.path != nil, "the recall executable is not built"), .serialized)
struct ToolSurroundingsTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// No server is there: by itself it would go on for ever.
    @Test(.timeLimit(.minutes(1))) func isNotOutlivedByASender() async throws {
        let path = try #require(Tool.path)
        let send = "'\(path)' send --kind text --log log --server 127.0.0.1:9 --parent $$"
        let shell = try ChildProcess("/bin/sh", ["-c", send + " & echo started; wait"], in: folder.path)
        #expect(try await shell.output.next().map { String(decoding: $0.bytes, as: UTF8.self) } == ["started"])
        // It has its log, so it runs.
        while !FileManager.default.fileExists(atPath: folder.file("log")) {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(shell.end == nil)
        shell.signal(SIGKILL)
        // Whoever has the other end of this pipe is gone then.
        #expect(try await Tool.all(shell.output) == "")
    }

    @Test func aKeyIsNotWaitedFor() async throws {
        let pipe = folder.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let ended = try await Tool.run(["serve", "--port", "0", "--key-file", pipe], in: folder, within: .seconds(30))
        #expect(ended.code == .code(1))
        #expect(ended.errors.contains("not a regular file"), "\(ended.errors)")
    }

    /// The first files that it opens must not take their place.
    @Test func startsWithoutStandardFiles() async throws {
        let path = try #require(Tool.path)
        let script = "'\(path)' log show log <&- >&- 2>&-; echo $?"
        try FileManager.default.copyItem(atPath: GoldenTests.source.path + "/text.db", toPath: folder.file("log"))
        let shell = try ChildProcess("/bin/sh", ["-c", script], in: folder.path)
        #expect(try await Tool.all(shell.output) == "0\n")
    }

    @Test func nobodyIsAdvisedToSalvageAgain() async throws {
        var log = [UInt8](try Data(contentsOf: GoldenTests.source.appending(path: "text.db")))
        for index in 4096..<log.count { log[index] = 0 }
        try Data(log).write(to: URL(filePath: folder.file("log")))
        let ended = try await Tool.run(["log", "salvage", "log"], in: folder, within: .seconds(30))
        #expect(ended.code == .code(1))
        #expect(!ended.errors.contains("recall log salvage"), "\(ended.errors)")
    }

    @Test func adviceForALogThatCannotBeOpened() async throws {
        try FileManager.default.copyItem(atPath: GoldenTests.source.path + "/text.db", toPath: folder.file("log"))
        #expect(truncate(folder.file("log"), 8000) == 0)
        for command in [["log", "show", "log"], ["log", "verify", "log"], ["request", "--log", "log"]] {
            let ended = try await Tool.run(command, in: folder, within: .seconds(30))
            #expect(ended.code == .code(1))
            #expect(ended.errors.contains("recall log salvage"), "\(command): \(ended.errors)")
        }
    }
}
