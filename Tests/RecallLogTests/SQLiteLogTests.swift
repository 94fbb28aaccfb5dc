import CSQLite
import Foundation
import Recall
import RecallCore
import RecallSQLite
import RecallTesting
import Testing

@Suite struct SQLiteLogTests {
    let directory: TemporaryDirectory
    var path: String { directory.path("log") }

    init() throws { directory = try TemporaryDirectory() }

    /// Changes a file behind the log's back.
    func execute(_ sql: String, _ name: String = "log") throws {
        var database: OpaquePointer?
        try #require(sqlite3_open(directory.path(name), &database) == SQLITE_OK)
        defer { sqlite3_close(database) }
        try #require(
            sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK, "\(String(cString: sqlite3_errmsg(database)))")
    }

    func error(_ body: () async throws -> Void) async throws -> RecallError {
        do {
            try await body()
        } catch let error as RecallError { return error }
        throw RecallError(.serverFault, "nothing was thrown")
    }

    @Test func filesAreTheOwnersOnly() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        #expect(try directory.names() == ["log", "log-shm", "log-wal", "log.lock"])
        for name in try directory.names() { #expect(try directory.permissions(name) == 0o600, "\(name)") }
        await log.close()
        #expect(try directory.names() == ["log", "log.lock"])
    }

    @Test func oneWriterWhateverTheFileIsCalled() async throws {
        let log = SQLiteLog(path: path)
        _ = try await log.open()
        try FileManager.default.createSymbolicLink(atPath: directory.path("link"), withDestinationPath: path)
        for name in ["log", "link", "./log"] {
            let other = SQLiteLog(path: directory.path("") + "/" + name)
            let error = try await error { _ = try await other.open() }
            #expect(error.code == .logInUse)
            #expect(error.message.contains("process \(getpid())"), "\(error)")
        }
        await log.close()
        let other = SQLiteLog(path: path)
        _ = try await other.open()
        await other.close()
    }

    @Test func aLogThatIsDroppedLetsGo() async throws {
        var log: SQLiteLog? = SQLiteLog(path: path)
        _ = try await log?.open()
        try await log?.begin(Fixture.header)
        log = nil
        let again = SQLiteLog(path: path)
        #expect(try await again.open().header == Fixture.header)
        await again.close()
    }

    @Test func foreignFilesAreLeftUntouched() async throws {
        try execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)", "foreign")
        try execute("PRAGMA journal_mode=WAL; CREATE TABLE t (x)", "foreignWAL")
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await log.close()
        try execute("PRAGMA user_version=2")
        try directory.write("text", Array("Dear diary, today was a long day at the office. ".utf8))
        let before = try directory.names()
        for (name, code, word) in [
            ("foreign", RecallError.Code.logFailed, "not a Recall log"), ("foreignWAL", .logFailed, "not a Recall log"),
            ("log", .logFailed, "newer version: schema 2"), ("text", .logDamaged, "not a SQLite file"),
        ] {
            let bytes = directory.read(name)
            let error = try await error { _ = try await SQLiteLog(path: directory.path(name)).open() }
            #expect(error.code == code && error.message.contains(word), "\(error)")
            #expect(throws: RecallError.self) { _ = try SQLiteLogReader(path: directory.path(name)) }
            #expect(directory.read(name) == bytes)
        }
        #expect(try directory.names() == before)
    }

    @Test func unusablePathsAreRefused() async throws {
        try directory.write("file", [1])
        for path in [directory.path("missing/log"), directory.path("file/log"), directory.root.path] {
            let error = try await error { _ = try await SQLiteLog(path: path).open() }
            #expect([.logFailed, .logDamaged].contains(error.code) && error.message.contains(path), "\(error)")
        }
    }

    @Test(.enabled(if: geteuid() != 0, "root may write anywhere"))
    func readOnlyDirectory() async throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: directory.root.path)
        let error = try await error { _ = try await SQLiteLog(path: path).open() }
        #expect(error.code == .logFailed && error.message.contains(path), "\(error)")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.root.path)
    }

    @Test func aFullDiskLosesNothing() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        try await log.limit(pages: 24)
        var last = Fixture.last
        var failure: RecallError?
        while failure == nil, last < 5_000 {
            do {
                try await log.append((1...20).map { Fixture.message(last + $0) })
                last += 20
            } catch let error as RecallError { failure = error }
        }
        let error = try #require(failure)
        #expect(error.code == .logFailed && error.message.contains(path) && error.message.contains("full"), "\(error)")
        #expect((error.cause as? SQLiteFailure)?.code == SQLITE_FULL)
        var checkpoint = Fixture.checkpoint(30)
        checkpoint.segments.append([UInt8](repeating: 1, count: 200_000))
        _ = try await self.error { try await log.keep(checkpoint, truncating: SequenceNumber(20)) }
        #expect(try await log.checkpoint(generation: 0) == Fixture.checkpoint(20))
        try await log.limit(pages: 10_000)
        try await log.append([Fixture.message(last + 1)])
        await log.close()
        let again = SQLiteLog(path: path)
        let contents = try await again.open()
        #expect(contents.last.rawValue == last + 1 && contents.damage == nil)
        let readback = try await Readback(again, contents, "")
        #expect(readback.messages.last == last + 1)
        await again.close()
    }

    @Test func aFailureInTheMiddleOfABatchLeavesNothingOfIt() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        try execute("INSERT INTO messages VALUES (47, x'00', 0)")
        let batch = [Fixture.message(46), Fixture.message(47)]
        #expect(try await error { try await log.append(batch) }.code == .logFailed)
        try execute("DELETE FROM messages WHERE number = 47")
        try await log.append(batch)
        await log.close()
        #expect(try await log.open().last == SequenceNumber(47))
        await log.close()
    }

    @Test func readsBesideTheWriter() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        let reader = try SQLiteLogReader(path: path)
        for last in Fixture.last..<Fixture.last + 20 {
            let contents = try reader.contents()
            #expect(contents.last.rawValue == last && contents.damage == nil && contents.header == Fixture.header)
            #expect(contents.receipt == Fixture.receipt(40))
            try await log.append([Fixture.message(last + 1)])
        }
        #expect(try reader.slice(after: SequenceNumber(10), maximumBytes: 0).receipt == Fixture.receipt(15))
        #expect(try reader.receipt(atOrBefore: SequenceNumber(33)) == Fixture.receipt(30))
        #expect(try reader.checkpoint(generation: 1) == Fixture.checkpoint(10))
        let statistics = try reader.statistics()
        #expect(statistics.schemaVersion == 1 && statistics.writer == Int(getpid()))
        let rows = Dictionary(uniqueKeysWithValues: statistics.tables.map { ($0.name, $0.rows) })
        #expect(
            rows == ["messages": 55, "determinants": 10, "receipts": 6, "checkpoints": 2, "segments": 4, "aside": 0])
        #expect(statistics.fileBytes > 0 && statistics.writeAheadLogBytes > 0)
        await log.close()
        #expect(try reader.contents().last.rawValue == Fixture.last + 20)
        #expect(try reader.statistics().writer == nil)
        #expect(try SQLiteLogReader(path: path).contents().last.rawValue == Fixture.last + 20)
    }

    @Test func theReaderTellsDamageAndMendsNothing() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await log.close()
        try execute("UPDATE messages SET bytes = x'00' WHERE number = 33")
        let bytes = directory.read("log")
        let contents = try SQLiteLogReader(path: path).contents()
        #expect(contents.last == SequenceNumber(32) && contents.receipt == Fixture.receipt(30))
        #expect(try #require(contents.damage).contains("row 33 of messages"))
        #expect(directory.holds("log", bytes))
    }

    @Test func damagedOriginalsAreNeverOverwritten() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        try await Fixture.fill(log)
        await log.close()
        var originals: [[UInt8]?] = []
        for (round, number) in [41, 36, 22].enumerated() {
            try execute("UPDATE messages SET sum = sum + 1 WHERE number = \(number)")
            originals.append(directory.read("log"))
            let contents = try await log.open()
            #expect(contents.last.rawValue == UInt64(number - 1))
            #expect(try #require(contents.damage).hasSuffix("log.damaged-\(round + 1)"))
            await log.close()
            #expect(try await log.open().damage == nil)
            await log.close()
        }
        #expect(originals == (1...3).map { directory.read("log.damaged-\($0)") })
    }

    @Test(arguments: [
        "UPDATE messages SET number = 9223372036854775807 WHERE number = 45",
        "UPDATE messages SET number = -9223372036854775808 WHERE number = 30",
        "UPDATE receipts SET number = 9223372036854775807 WHERE number = 40",
        "UPDATE messages SET number = 0 WHERE number = 11", "UPDATE messages SET bytes = 3.5 WHERE number = 12",
        "UPDATE determinants SET number = -9223372036854775807 WHERE number = 12",
        "UPDATE determinants SET sum = 'x' WHERE number = 21", "DELETE FROM messages WHERE number = 25",
        "DELETE FROM segments WHERE number = 4", "UPDATE checkpoints SET number = 7 WHERE number = 10",
        "DROP TABLE determinants", "DROP TABLE aside",
        "DELETE FROM checkpoints WHERE number = 10", "DELETE FROM messages WHERE number < 15",
    ])
    func alteredRows(_ sql: String) async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        try await Fixture.fill(log)
        await log.close()
        try execute(sql)
        let contents = try await log.open()
        // Whatever is left fits together.
        _ = try await Readback(log, contents, sql)

        #expect(contents.damage != nil)
        await log.close()
    }

    /// Without a header nobody knows whose log it is; without a receipt nothing proves its checkpoints, and its
    /// beginning was forgotten.
    @Test(arguments: [
        "UPDATE header SET bytes = x'00'", "DELETE FROM header", "DROP TABLE header", "DELETE FROM checkpoints",
        "UPDATE receipts SET bytes = 'text'", "ALTER TABLE receipts RENAME COLUMN sum TO total",
    ])
    func aLogOfWhichNothingCanBeUsedIsRefused(_ sql: String) async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await log.close()
        try execute(sql)
        let bytes = directory.read("log")
        #expect(try await error { _ = try await log.open() }.code == .logDamaged)
        #expect(directory.holds("log", bytes))
    }

    /// What was acknowledged, or waits to be, is lost: a copy of the log may be better, and its owner decides.
    @Test(arguments: [
        "UPDATE messages SET sum = sum + 1 WHERE number = 38", "UPDATE messages SET sum = sum + 1 WHERE number = 45",
        "DELETE FROM messages WHERE number > 30", "DELETE FROM messages", "DROP TABLE messages",
        "UPDATE receipts SET sum = sum + 1 WHERE number = 40", "DROP TABLE determinants",
        "UPDATE determinants SET sum = sum + 1 WHERE number = 36", "DELETE FROM determinants WHERE number = 36",
        "UPDATE messages SET number = 9223372036854775807 WHERE number = 45",
    ])
    func aLogThatLostAnythingIsLeftToItsOwner(_ sql: String) async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await log.close()
        try execute(sql)
        let bytes = directory.read("log")
        for _ in 0..<2 {
            let refusal = try await error { _ = try await log.open() }
            #expect(refusal.code == .logDamaged && refusal.message.contains("recall log salvage"))
            #expect(directory.holds("log", bytes))
        }
        #expect(try directory.names().allSatisfy { ["log", "log-shm", "log-wal", "log.lock"].contains($0) })
        #expect(directory.read("log-wal") ?? [] == [])
    }

    /// The newest checkpoint stands for what is damaged, or the one before it for the newest.
    @Test(arguments: [
        "UPDATE messages SET sum = sum + 1 WHERE number = 12", "DELETE FROM segments WHERE number = 4",
        "UPDATE checkpoints SET sum = sum + 1 WHERE number = 20", "DROP TABLE aside",
        "UPDATE receipts SET sum = sum + 1 WHERE number = 35",
    ])
    func aLogThatLostNothingGoesOn(_ sql: String) async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await log.close()
        try execute(sql)
        let contents = try await log.open()
        #expect(contents.last.rawValue == Fixture.last && contents.receipt == Fixture.receipt(40))
        #expect(contents.damage != nil)
        await log.close()
    }

    /// Every state that a crash in the middle of a salvage leaves.
    @Test func anInterruptedSalvageIsFinished() async throws {
        let image = try await Image.crashed()
        let good = try await Image.closed()
        for step in 0..<4 {
            try image.write(to: directory)
            try directory.write("log.salvaged", good.main)
            let moves = [("log-wal", "log.damaged-1-wal"), ("log", "log.damaged-1"), ("log.salvaged", "log")]
            for (from, to) in moves.prefix(step) {
                try FileManager.default.moveItem(atPath: directory.path(from), toPath: directory.path(to))
            }
            // A reader that looked at the file in between leaves one that is empty.
            if step == 1 || step == 2 { try directory.write("log-wal", []) }
            try directory.write("log.new", [1, 2, 3])
            let log = SQLiteLog(path: path)
            let contents = try await log.open()
            #expect(contents.last.rawValue == Fixture.last)
            #expect((contents.damage != nil) == (step < 3))
            await log.close()
            #expect(try directory.names() == ["log", "log.damaged-1", "log.damaged-1-wal", "log.lock"], "step \(step)")
            #expect(
                directory.read("log.damaged-1") == image.main
                    && directory.read("log.damaged-1-wal") == image.writeAheadLog)
        }
    }

    @Test func anOrphanedWriteAheadLogIsSetAside() async throws {
        let image = try await Image.crashed()
        try directory.write("log-wal", try #require(image.writeAheadLog))
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        #expect(try await error { _ = try await SQLiteLog(path: path).open() }.code == .logDamaged)
        #expect(directory.holds("log-wal", image.writeAheadLog))
        let contents = try await log.open()
        #expect(contents.header == nil && contents.damage != nil)
        await log.close()
        #expect(directory.holds("log.damaged-1-orphan", image.writeAheadLog))
    }

    @Test func whatIsSetAsideStaysInTheFile() async throws {
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        try await log.setAside(after: SequenceNumber(18), reason: "a seal does not follow")
        let tables = try SQLiteLogReader(path: path).statistics().tables
        let rows = Dictionary(uniqueKeysWithValues: tables.map { ($0.name, $0.rows) })
        // 27 messages, 5 receipts, the determinants of 18, 21 and so on to 39, a checkpoint and its two segments.
        #expect(rows["aside"] == 27 + 5 + 8 + 1 + 2, "\(rows)")
        await log.close()
        let contents = try await log.open()
        #expect(contents.damage == nil && contents.last == SequenceNumber(18))
        _ = try await Readback(log, contents, "")
        await log.close()
    }

    /// Each log is the other's oracle.
    @Test func agreesWithTheMemoryLog() async throws {
        let seed = printedSeed()
        var generator = SeededGenerator(seed: seed)
        for round in 0..<6 {
            try directory.clear()
            let logs: [any MessageLog] = [MemoryLog(), SQLiteLog(path: path)]
            for log in logs {
                _ = try await log.open()
                try await log.begin(Fixture.header)
            }
            for step in 0..<120 {
                let number =
                    { SequenceNumber(UInt64.random(in: 0...120, using: &$0)) }
                    as (inout SeededGenerator) -> SequenceNumber
                let action = Action.random(&generator, number)
                var answers: [String] = []
                for log in logs { answers.append(await action.apply(log)) }
                #expect(answers[0] == answers[1], "\(action) in round \(round), step \(step), seed \(seed)")
            }
            for log in logs { await log.close() }
        }
    }

    @Test func checksumIsXXH64() {
        func sum(_ text: String, seed: UInt64 = 0) -> UInt64 {
            Array(text.utf8).withUnsafeBytes { Checksum.xxh64($0, seed: seed) }
        }
        // Published vectors of the algorithm.
        #expect(sum("") == 0xEF46_DB37_51D8_E999)
        #expect(sum("a") == 0xD24E_C4F1_A98C_6E5B)
        #expect(sum("abc") == 0x44BC_2CF5_AD77_0999)
        #expect(sum("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
    }
}

/// One step of a random history; many are refused, and must be by both logs.
private enum Action {
    case append(UInt64, count: UInt64, acknowledged: UInt64?, supersedes: UInt64?)
    case keep(UInt64, truncating: UInt64)
    case adopt(UInt64)
    case setAside(UInt64)
    case reopen
    case slice(UInt64, Int)
    case receipt(UInt64)

    static func random(
        _ generator: inout SeededGenerator, _ number: (inout SeededGenerator) -> SequenceNumber
    ) -> Action {
        let a = number(&generator).rawValue
        let b = number(&generator).rawValue
        return switch Int.random(in: 0..<40, using: &generator) {
        case 0..<22:
            .append(.max, count: a % 6, acknowledged: b % 4 == 0 ? nil : b % 3, supersedes: a % 2 == 0 ? b : nil)
        case 22..<24: .append(a, count: 2, acknowledged: b, supersedes: nil)
        case 24..<28: .keep(max(a, b), truncating: b % 5 == 0 ? a : min(a, b))
        case 28: .adopt(a + 20)
        case 29: .setAside(a)
        case 30..<32: .reopen
        case 32..<37: .slice(a, Int(b) * 8)
        default: .receipt(a)
        }
    }

    /// What the log answered, as text; errors by their code, since a message may name a file.
    func apply(_ log: any MessageLog) async -> String {
        do {
            return try await answer(log)
        } catch let error as RecallError {
            return "\(error.code)"
        } catch { return "\(error)" }
    }

    private func answer(_ log: any MessageLog) async throws -> String {
        switch self {
        case .append(let start, let count, let acknowledged, let supersedes):
            // The log's end is found by asking, so that both logs are driven by what they say themselves.
            let last = try await Self.last(log)
            let first = start == .max ? last : start
            var entries = (0..<count).map { Fixture.message(first + $0 + 1) }
            if let acknowledged {
                let covered = try await log.receipt(atOrBefore: SequenceNumber(.max))?.position.number.rawValue
                let position = first + count - min(acknowledged, first + count)
                guard
                    case .acknowledgement(var value) = Fixture.acknowledgement(
                        position, after: min(covered ?? position, position))
                else { return "" }
                value.supersedes = supersedes.map { SequenceNumber($0) }
                entries.append(.acknowledgement(value))
            }
            try await log.append(entries)
            return "appended up to \(first + count)"
        case .keep(let number, let truncating):
            try await log.keep(Fixture.checkpoint(number), truncating: SequenceNumber(truncating))
        case .adopt(let number):
            try await log.adopt(Fixture.checkpoint(number), receipt: Fixture.receipt(number))
        case .setAside(let number): try await log.setAside(after: SequenceNumber(number), reason: "chosen at random")
        case .reopen:
            await log.close()
            return "\(try await log.open())"
        case .slice(let number, let bytes):
            return "\(try await log.slice(after: SequenceNumber(number), maximumBytes: bytes))"
        case .receipt(let number):
            return "\(String(describing: try await log.receipt(atOrBefore: SequenceNumber(number))))"
        }
        return "\(String(describing: try await log.checkpoint(generation: 0)))"
    }

    private static func last(_ log: any MessageLog) async throws -> UInt64 {
        await log.close()
        return try await log.open().last.rawValue
    }
}
