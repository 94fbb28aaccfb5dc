import Foundation
import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Synchronization
import Testing

/// A message that kills the process, in a process that may die.
@Suite struct PoisonTests {
    struct Mortal: Session {
        struct State: SessionState { var total = 0 }
        struct Add: UpdateMessage {
            var amount: Int
            func update(_ mortal: inout State) -> Int {
                mortal.total += amount
                return mortal.total
            }
        }
        /// On the server it traps; here it is only declared.
        struct Die: UpdateMessage { func update(_ mortal: inout State) {} }
        struct Wait: EffectMessage {
            func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int { 0 }
            func update(_ mortal: inout State, outcome: Int) -> Int { mortal.total }
        }
        struct DieOutside: EffectMessage {
            func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int { 0 }
            func update(_ mortal: inout State, outcome: Int) {}
        }
        struct DieBack: EffectMessage {
            func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int { 0 }
            func update(_ mortal: inout State, outcome: Int) {}
        }
        struct DieAsked: RequestMessage {
            func reply(from mortal: State) -> Int { 0 }
        }
        struct Hang: UpdateMessage { func update(_ mortal: inout State) {} }
        struct DieLate: EffectMessage {
            func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int { 0 }
            func update(_ mortal: inout State, outcome: Int) {}
        }
        static let kind = SessionKind<Mortal>(
            "mortal",
            [
                1: Add.self, 2: Die.self, 3: Wait.self, 4: DieOutside.self, 5: DieBack.self, 6: Hang.self,
                7: DieLate.self, 8: DieAsked.self,
            ])
    }

    /// A server in a process of its own, started again on the same port whenever it dies.
    final class Child: Sendable {
        private let state = Mutex<(process: Process?, deaths: Int, isOver: Bool)>((nil, 0, false))
        private let executable: URL
        private let poison: String
        private let portFound = Mutex(0)

        init(poison: String) throws {
            self.poison = poison
            executable = try #require(Self.find())
        }

        /// Beside the test bundle, wherever that was built.
        private static func find() -> URL? {
            var folders = [URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()]
            if let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
                folders.append(URL(filePath: link).deletingLastPathComponent())
            }
            folders += Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent() }
            return folders.map { $0.appending(path: "recall-test-host") }
                .first { FileManager.default.isExecutableFile(atPath: $0.path()) }
        }

        var port: Int { portFound.withLock { $0 } }
        var deaths: Int { state.withLock { $0.deaths } }

        func start() throws {
            let process = Process()
            process.executableURL = executable
            // Outside of what the system hands out by itself, or somebody else may have it when this starts again.
            process.arguments = ["\(port > 0 ? port : Int.random(in: 15_000..<32_000))", poison]
            process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            process.terminationHandler = { [weak self] _ in self?.died() }
            try process.run()
            state.withLock { $0.process = process }
            var line = Data()
            while let byte = try output.fileHandleForReading.read(upToCount: 1), byte.first != 10 { line += byte }
            let found = Int(String(decoding: line, as: UTF8.self)) ?? 0
            portFound.withLock { if $0 == 0 { $0 = found } }
        }

        private func died() {
            let isOver = state.withLock { state in
                state.deaths += 1
                return state.isOver
            }
            if !isOver { try? start() }
        }

        func end() {
            let process = state.withLock { state in
                state.isOver = true
                return state.process
            }
            process?.terminate()
            process?.waitUntilExit()
        }
    }

    @Test(.timeLimit(.minutes(1))) func messageThatKillsTheProcess() async throws {
        let scratch = try Scratch()
        let child = try Child(poison: scratch.file("poison"))
        try child.start()
        defer { child.end() }
        let endpoint = Endpoint.tcp("127.0.0.1", child.port)
        let client = try await SessionClient<Mortal>.open(
            at: endpoint, log: .memory, configuration: .quick, logger: .silent)
        let other = try await SessionClient<Mortal>.open(
            at: endpoint, log: .memory, configuration: .quick, logger: .silent)
        #expect(try await client.send(Mortal.Add(amount: 1)) == 1)
        #expect(try await other.send(Mortal.Add(amount: 1)) == 1)
        // It kills three processes, and is given up: acknowledged as refused, its position consumed.
        #expect(await code { try await client.send(Mortal.Die()) } == .poisonedMessage)
        #expect(child.deaths == 3)
        #expect(try await client.send(Mortal.Add(amount: 1)) == 2)
        #expect(try await other.send(Mortal.Add(amount: 1)) == 2)
        #expect(await client.head == SequenceNumber(3))
        #expect(child.deaths == 3)
        await client.close()
        await other.close()
    }

    /// An update that never ends holds the loop: the process ends, three times, and the update is given up.
    @Test(.timeLimit(.minutes(1))) func messageThatNeverEnds() async throws {
        let scratch = try Scratch()
        let child = try Child(poison: scratch.file("poison"))
        try child.start()
        defer { child.end() }
        let client = try await SessionClient<Mortal>.open(
            at: .tcp("127.0.0.1", child.port), log: .memory, configuration: .quick, logger: .silent)
        #expect(await code { try await client.send(Mortal.Hang()) } == .poisonedMessage)
        #expect(child.deaths == 3)
        #expect(try await client.send(Mortal.Add(amount: 1)) == 1)
        await client.close()
    }

    /// A request that kills is sent again by its client, and was laid to the effects that were out.
    @Test(.timeLimit(.minutes(1))) func requestThatKillsTheProcess() async throws {
        let scratch = try Scratch()
        let child = try Child(poison: scratch.file("poison"))
        try child.start()
        defer { child.end() }
        let connector = SessionConnector(to: .tcp("127.0.0.1", child.port), configuration: .quick, logger: .silent)
        let (client, innocent) = (
            try await connector.open(Mortal.self, log: .memory), try await connector.open(Mortal.self, log: .memory)
        )
        #expect(try await client.send(Mortal.Add(amount: 1)) == 1)
        let waiting = Task { try await innocent.send(Mortal.Wait()) }
        try await eventually("it is in the log") { await innocent.head == SequenceNumber(1) }
        #expect(await code { _ = try await client.send(Mortal.DieAsked()) } == .poisonedMessage)
        #expect(child.deaths == 3)
        #expect(try await waiting.value == 1)
        #expect(try await client.send(Mortal.Add(amount: 1)) == 2)
        #expect(child.deaths == 3)
        await client.close()
        await innocent.close()
    }

    /// A server that ends in order while an effect is out counts no death, and lets its poison file go.
    @Test(.timeLimit(.minutes(1))) func anOrderlyEndIsNoDeath() async throws {
        let scratch = try Scratch()
        let outside = Outside("A") { _ in try await Task.sleep(for: .seconds(100)) }
        var configuration = HandlerConfiguration()
        configuration.poisonFile = scratch.file("poison")
        configuration.poisonDeaths = 1
        let server = try await TestServer(Journal(outside), configuration: configuration)
        let log = MemoryLog()
        let first = try await SessionClient<Journal>.open(
            at: server.endpoint, log: log, configuration: .quick, logger: .silent)
        let sending = Task { try await first.send(Journal.Pay("a")) }
        try await eventually("the effect is out") { outside.calls.count == 1 }
        await first.close()
        _ = await sending.result
        try await server.restart()
        // One death would be enough to give it up.
        let second = try await SessionClient<Journal>.open(
            at: server.endpoint, log: log, configuration: .quick, logger: .silent)
        try await eventually("the effect is out again") { outside.calls.count == 2 }
        await second.close()
        await server.stop()
    }

    /// An effect that outlives its session's copy, which a deadline deleted, is still the one to blame.
    @Test(.timeLimit(.minutes(1))) func effectThatKillsAfterItsSessionWasDeleted() async throws {
        let scratch = try Scratch()
        let child = try Child(poison: scratch.file("poison"))
        try child.start()
        defer { child.end() }
        let connector = SessionConnector(to: .tcp("127.0.0.1", child.port), configuration: .quick, logger: .silent)
        let (log, innocent) = (MemoryLog(), try await connector.open(Mortal.self, log: .memory))
        let client = try await connector.open(Mortal.self, log: log)
        let sending = Task { try await client.send(Mortal.DieLate()) }
        try await eventually("it is in the log") { await client.head == SequenceNumber(1) }
        // Comes behind it on the same connection, so that it is out when this returns.
        #expect(try await innocent.send(Mortal.Wait()) == 1)
        await client.close()
        _ = await sending.result
        try await eventually("the process dies of it") { child.deaths == 1 }
        let again = try await connector.open(Mortal.self, log: log)
        #expect(try await again.send(Mortal.Add(amount: 1)) == 1)
        #expect(child.deaths == 3)
        await again.close()
        await innocent.close()
    }

    private static let magic = Array("recall poison\n".utf8)

    struct OtherFile: Sendable {
        var content: [UInt8]
        var reason = "is not a poison file"

        init(_ start: [UInt8], _ value: UInt8, _ count: Int) {
            content = start + [UInt8](repeating: value, count: count)
        }
    }

    private static var otherFiles: [OtherFile] {
        var files = [OtherFile([], 7, 32), OtherFile([], 7, 64), OtherFile([], 7, 65_536), OtherFile([], 0, 65_600)]
        files += [OtherFile(magic, 0, 0), OtherFile(magic + [1], 0, 50), OtherFile(magic + [2], 0, 100)]
        files[6].reason = "of version 2, not 1"
        return files
    }

    /// A server that is given another file, its key for example, does not touch it, whatever size it has.
    @Test(.timeLimit(.minutes(1)), arguments: otherFiles)
    func anotherFileIsNotOverwritten(_ other: OtherFile) async throws {
        let scratch = try Scratch()
        let path = scratch.file("other")
        try Data(other.content).write(to: URL(filePath: path))
        var configuration = HandlerConfiguration()
        configuration.poisonFile = path
        let error = await #expect(throws: RecallError.self) {
            _ = try await TestServer(Counter(), configuration: configuration)
        }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains(other.reason) == true, "\(error?.message ?? "no error")")
        #expect(Array(try Data(contentsOf: URL(filePath: path))) == other.content)
    }

    /// Of a process that died while it made the file there is the header.
    @Test(.timeLimit(.minutes(1)), arguments: [0, 64]) func whatWasBegunIsMadeWhole(_ size: Int) async throws {
        let scratch = try Scratch()
        let path = scratch.file("poison")
        let header = Self.magic + [1] + [UInt8](repeating: 0, count: 64 - Self.magic.count - 1)
        try Data(header.prefix(size)).write(to: URL(filePath: path))
        var configuration = HandlerConfiguration()
        configuration.poisonFile = path
        for _ in 0..<2 { try await TestServer(Counter(), configuration: configuration).stop() }
        let content = Array(try Data(contentsOf: URL(filePath: path)))
        #expect(content.count == 64 + 65_536 && content.starts(with: header))
    }

    /// Of many effects that are out when the process dies only one is to blame. Each goes out alone then, and the one
    /// that kills is found without another being given up.
    @Test(.timeLimit(.minutes(2))) func effectThatKillsTheProcess() async throws {
        let scratch = try Scratch()
        let child = try Child(poison: scratch.file("poison"))
        try child.start()
        defer { child.end() }
        let connector = SessionConnector(
            to: .tcp("127.0.0.1", child.port), configuration: .quick, logger: .silent)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let client = try await connector.open(Mortal.self, log: .memory)
                    for number in 1...6 { #expect(try await client.send(Mortal.Wait()) == number) }
                    await client.close()
                }
            }
            let client = try await connector.open(Mortal.self, log: .memory)
            #expect(try await client.send(Mortal.Add(amount: 1)) == 1)
            #expect(await code { try await client.send(Mortal.DieOutside()) } == .poisonedMessage)
            #expect(await code { try await client.send(Mortal.DieBack()) } == .poisonedMessage)
            #expect(try await client.send(Mortal.Add(amount: 1)) == 2)
            await client.close()
            try await group.waitForAll()
        }
        #expect(child.deaths == 6)
    }
}
