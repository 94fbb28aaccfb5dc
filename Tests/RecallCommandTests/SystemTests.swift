import ArgumentParser
import Foundation
@testable import RecallCommand
import RecallCore
import Testing

/// A directory that is gone after the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "recall-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws -> String {
        try Data(bytes).write(to: URL(filePath: file(name)))
        chmod(file(name), mode)
        return file(name)
    }
}

@Suite struct KeyFileTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test func isMadeOnceForItsOwnerOnly() throws {
        let path = folder.file("key")
        let (secret, isNew) = try KeyFile.load(path, creating: true)
        #expect(isNew)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(status.st_size == 32)
        let (again, isNewAgain) = try KeyFile.load(path, creating: true)
        #expect(again == secret && !isNewAgain)
        let (other, _) = try KeyFile.load(folder.file("other"), creating: true)
        #expect(other != secret)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["key", "other"])
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func refusesOtherLengths(_ count: Int) throws {
        let bytes = [UInt8](repeating: 7, count: count)
        let path = try folder.write("key", bytes)
        #expect(throws: CommandError.self) { try KeyFile.load(path, creating: true) }
        #expect(Array(try Data(contentsOf: URL(filePath: path))) == bytes)
    }

    @Test(arguments: [0o604, 0o620, 0o640, 0o644, 0o601, 0o777] as [mode_t])
    func refusesWhatOthersMayUse(_ mode: mode_t) throws {
        let path = try folder.write("key", [UInt8](repeating: 7, count: 32), mode: mode)
        let error = #expect(throws: CommandError.self) { try KeyFile.load(path, creating: true) }
        #expect(error?.description.contains("chmod 600 \(path)") == true)
    }

    @Test func refusesAFolderAndAMissingOne() {
        #expect(throws: CommandError.self) { try KeyFile.load(folder.path, creating: true) }
        #expect(throws: CommandError.self) { try KeyFile.load(folder.file("no/key"), creating: true) }
        #expect(throws: CommandError.self) { try KeyFile.load(folder.file("key"), creating: false) }
    }

    /// Servers that start at the same moment get the same key.
    @Test func isTheSameForAllWhoMakeItAtOnce() async throws {
        let path = folder.file("key")
        let secrets = try await withThrowingTaskGroup(of: Digest.self) { group in
            // From one process only one draft's name is used, so here the others wait their turn or find the key.
            group.addTask { try KeyFile.load(path, creating: true).secret }
            for _ in 0..<8 {
                group.addTask {
                    while access(path, F_OK) != 0 { try await Task.sleep(for: .milliseconds(1)) }
                    return try KeyFile.load(path, creating: true).secret
                }
            }
            return try await group.reduce(into: Set<Digest>()) { $0.insert($1) }
        }
        #expect(secrets.count == 1)
    }

    @Test func aRingIssuesFromTheHighestNumber() throws {
        let old = try folder.write("old", [UInt8](repeating: 1, count: 32))
        let new = try folder.write("new", [UInt8](repeating: 2, count: 32))
        let ring = try KeyArguments(["2=\(new)", old]).ring()
        #expect(ring.newest == KeyID(2))
        #expect(ring.secret(KeyID(1)) == Digest([UInt8](repeating: 1, count: 32)))
        #expect(throws: CommandError.self) { try KeyArguments(["2=\(folder.file("none"))", old]).ring() }
        #expect(throws: ValidationError.self) { try KeyArguments([old, new]) }
        #expect(throws: ValidationError.self) { try KeyArguments(["3="]) }
        #expect(throws: ValidationError.self) { try KeyArguments([]).ring() }
    }

    /// The first step of a rotation: the new key is held, and the old one issues.
    @Test func aRingIssuesFromTheNumberThatIsNamed() throws {
        let old = try folder.write("old", [UInt8](repeating: 1, count: 32))
        let new = try folder.write("new", [UInt8](repeating: 2, count: 32))
        let ring = try KeyArguments(["2=\(new)", old], issuing: 1).ring()
        #expect(ring.newest == KeyID(1))
        #expect(ring.secret(KeyID(2)) == Digest([UInt8](repeating: 2, count: 32)))
        #expect(throws: ValidationError.self) { try KeyArguments(["2=\(new)", old], issuing: 3) }
    }

    @Test(arguments: ["0=F", "65536=F", "-1=F", "+2=F", "02=F", "x=F", "=F", "a=b"])
    func aNumberThatIsNoneIsRefused(_ argument: String) {
        let error = #expect(throws: ValidationError.self) { try KeyArguments([argument]) }
        #expect(error?.message.contains("1 to 65535") == true)
    }

    @Test func aPathMayHaveTheSign() throws {
        #expect(try KeyArguments(["./a=b"]).items == [.init(number: 1, path: "./a=b")])
        #expect(try KeyArguments(["7=/x/a=b"]).items == [.init(number: 7, path: "/x/a=b")])
    }
}

@Suite struct AddressTests {
    @Test(arguments: [
        ("localhost:80", "localhost", 80), ("127.0.0.1:7433", "127.0.0.1", 7433), ("example.org", "example.org", 7433),
        ("[::1]:1234", "::1", 1234), ("[::1]", "::1", 7433), ("::1", "::1", 7433), ("2001:db8::7", "2001:db8::7", 7433),
    ])
    func reads(_ text: String, _ host: String, _ port: Int) throws {
        #expect(try Address(parsing: text) == Address(host: host, port: port))
    }

    @Test(arguments: ["", ":80", "a b", "[", "[]", "a/b"])
    func refuses(_ text: String) { #expect(throws: ValidationError.self) { try Address(parsing: text) } }

    @Test(arguments: ["host:0", "host:65536", "host:99999", "host:", "host:x", "host:080", "[::1]:0", "host:80/x"])
    func refusesAPort(_ text: String) {
        let error = #expect(throws: ValidationError.self) { try Address(parsing: text) }
        #expect(error?.message.contains("1 to 65535") == true)
    }

    @Test func writesWhatItReads() {
        #expect(Address(host: "::1", port: 5).description == "[::1]:5")
        #expect(Address(host: "a", port: 5).description == "a:5")
    }
}

@Suite struct LineTests {
    @Test(arguments: [1, 2, 3, 7, 100])
    func splitsHoweverTheBytesCome(_ step: Int) {
        let bytes = Array("one\n\ntwo é\nlast".utf8)
        var splitter = LineSplitter(limit: 100)
        var lines: [InputLine] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            lines += splitter.add(bytes[start..<min(start + step, bytes.count)])
        }
        lines += splitter.finish()
        #expect(lines.map { String(decoding: $0.bytes, as: UTF8.self) } == ["one", "", "two é", "last"])
        #expect(lines.map(\.number) == [1, 2, 3, 4])
        #expect(lines.map(\.isBlank) == [false, true, false, false])
        #expect(splitter.finish().isEmpty)
    }

    @Test func marksLinesThatAreTooLong() {
        var splitter = LineSplitter(limit: 4)
        let lines = splitter.add(Array("abcd\nabcde\nab".utf8)[...]) + splitter.finish()
        #expect(lines.map(\.isTooLong) == [false, true, false])
        #expect(lines.map(\.bytes.count) == [4, 4, 2])
    }

    @Test func stopsWhileItWaits() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let reader = LineReader(ends[0])
        try writeAll(Array("one\n".utf8), to: ends[1])
        #expect(try await reader.next().map(\.number) == [1])
        async let waiting = reader.next()
        reader.stop()
        #expect(try await waiting.isEmpty)
        #expect(try await reader.next().isEmpty)
    }
}

@Suite struct ChildProcessTests {
    @Test func talksInLinesAndEnds() async throws {
        let folder = try TemporaryFolder()
        let child = try ChildProcess("/bin/sh", ["-c", "pwd; cat; echo oops >&2; exit 3"], in: folder.path)
        try await child.write(Array("hello\nyou\n".utf8))
        child.closeInput()
        var lines: [String] = []
        while case let more = try await child.output.next(), !more.isEmpty {
            lines += more.map { String(decoding: $0.bytes, as: UTF8.self) }
        }
        #expect(lines.first?.hasSuffix(folder.path) == true)
        #expect(lines.dropFirst() == ["hello", "you"])
        #expect(try await child.errors.next().map { String(decoding: $0.bytes, as: UTF8.self) } == ["oops"])
        #expect(await child.end(within: .seconds(10)) == .code(3))
    }

    @Test func isKilledById() async throws {
        let child = try ChildProcess("/bin/sleep", ["100000"], in: "/")
        #expect(await child.end(within: .milliseconds(20)) == nil)
        child.signal(SIGKILL)
        #expect(await child.end(within: .seconds(10)) == .signal(SIGKILL))
        child.signal(SIGKILL)  // to nobody: the id may be another's by now
        #expect(kill(child.id, 0) != 0)
    }

    /// The threads that tasks run on block signals.
    @Test func hearsSignalsThatItsOwnerBlocks() async throws {
        let child = try await Task.detached { try ChildProcess("/bin/sleep", ["100000"], in: "/") }.value
        child.signal(SIGTERM)
        #expect(await child.end(within: .seconds(10)) == .signal(SIGTERM))
    }

    @Test func saysWhenThereIsNothingToStart() async throws {
        let child = try ChildProcess("/no/such/tool", [], in: "/")
        #expect(await child.end(within: .seconds(10)) == .code(127))
        #expect(await child.end(within: .zero) != nil)
    }

    @Test func diesWithItsOwner() async throws {
        var child: ChildProcess? = try ChildProcess("/bin/sleep", ["100000"], in: "/")
        let id = try #require(child?.id)
        child = nil
        var left = 500
        while kill(id, 0) == 0, left > 0 {
            left -= 1
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(left > 0)
    }
}

@Suite struct FreedMemoryTests {
    /// Sanitizers come with allocators of their own.
    private static let isSanitized = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil

    private static let unit = 1 << 20
    private static func use(_ resident: Int, held: Int = 0) -> FreedMemory.Use {
        FreedMemory.Use(resident: resident, held: held)
    }

    /// A watch that has looked so often that it minds growth again.
    private static func watch(_ resident: Int) -> FreedMemory.Watch {
        var watch = FreedMemory.Watch(use(resident))
        for _ in 0..<15 where watch.mayHaveFreed(use(resident)) { Issue.record("nothing has changed") }
        return watch
    }

    @Test func isLookedForWhenGrowthIsOver() {
        let unit = Self.unit
        var watch = Self.watch(30 * unit)
        #expect(watch.mayHaveFreed(Self.use(33 * unit)) == false, "it still grows")
        #expect(watch.mayHaveFreed(Self.use(33 * unit)) == true)
        watch = Self.watch(32 * unit)  // what was left
        #expect(watch.mayHaveFreed(Self.use(32 * unit)) == false, "what is left is in use")
        #expect(watch.mayHaveFreed(Self.use(31 * unit)) == false)
        #expect(watch.mayHaveFreed(Self.use(31 * unit + 400_000)) == false)
        #expect(watch.mayHaveFreed(Self.use(31 * unit + 400_000)) == false, "too little")
        watch = Self.watch(640 * unit)
        #expect(watch.mayHaveFreed(Self.use(648 * unit)) == false)
        #expect(watch.mayHaveFreed(Self.use(648 * unit)) == false, "too little of so much")
        #expect(watch.mayHaveFreed(Self.use(652 * unit)) == false)
        #expect(watch.mayHaveFreed(Self.use(651 * unit)) == true)
        watch = FreedMemory.Watch(Self.use(30 * unit))
        #expect(watch.mayHaveFreed(Self.use(33 * unit)) == false)
        #expect(watch.mayHaveFreed(Self.use(33 * unit)) == false, "too soon after the last time")
    }

    @Test func isLookedForWhenWhatWasHeldIsNot() {
        let unit = Self.unit
        var watch = FreedMemory.Watch(Self.use(30 * unit))
        #expect(watch.mayHaveFreed(Self.use(60 * unit, held: 20 * unit)) == false)
        // What is freed is resident as before.
        watch = FreedMemory.Watch(Self.use(60 * unit, held: 20 * unit))
        #expect(watch.mayHaveFreed(Self.use(60 * unit, held: 20 * unit)) == false)
        #expect(watch.mayHaveFreed(Self.use(60 * unit, held: 5 * unit)) == false, "more of them go")
        #expect(watch.mayHaveFreed(Self.use(60 * unit, held: 5 * unit)) == true)
        watch = FreedMemory.Watch(Self.use(35 * unit, held: 5 * unit))
        #expect(watch.mayHaveFreed(Self.use(35 * unit, held: 5 * unit)) == false)
    }

    /// Small blocks are freed into the allocator, and a later one above them keeps it from giving any back by itself.
    @Test(
        .enabled(if: FreedMemory.giveBack() && !isSanitized, "this allocator gives back what it pleases"))
    func goesBackToTheMachine() throws {
        let (count, size) = (100_000, 1000)
        let blocks = try (0..<count).map { _ in try #require(malloc(size)) }
        let last = malloc(size)
        for block in blocks { memset(block, 1, size) }
        let used = try #require(FreedMemory.resident())
        for block in blocks { free(block) }
        #expect(FreedMemory.giveBack())
        let left = try #require(FreedMemory.resident())
        free(last)
        // Other tests use memory meanwhile.
        #expect(left < used - count * size / 2, "\(used) bytes before, \(left) after")
    }
}
