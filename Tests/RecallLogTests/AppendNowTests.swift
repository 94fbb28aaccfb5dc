import CSQLite
import Foundation
import Recall
import RecallCore
import RecallSQLite
import Testing

/// Appends without a change of thread: only those that neither sync nor wait.
@Suite struct AppendNowTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.path("log") }

    init() throws { directory = try TemporaryDirectory() }

    private func begun(_ durability: SQLiteLog.Durability = .process) async throws -> SQLiteLog {
        let log = SQLiteLog(path: path, durability: durability)
        _ = try await log.open()
        try await log.begin(Fixture.header)
        return log
    }

    private func last(_ log: SQLiteLog) async throws -> UInt64 {
        await log.close()
        let again = SQLiteLog(path: path)
        let contents = try await again.open()
        #expect(contents.damage == nil)
        await again.close()
        return contents.last.rawValue
    }

    @Test func whatIsAppendedAtOnceIsThere() async throws {
        let log = try await begun()
        try await log.append([Fixture.message(1)])
        for number in 2...50 as ClosedRange<UInt64> {
            #expect(try log.appendNow([Fixture.message(number), Fixture.acknowledgement(number, after: number - 1)]))
        }
        let slice = try await log.slice(after: .zero, maximumBytes: 1 << 20)
        #expect(slice.messages.count == 50 && slice.receipt == Fixture.receipt(50))
        #expect(try await last(log) == 50)
    }

    /// The first commit of a write-ahead log that begins anew syncs.
    @Test func notBeforeTheWriteAheadLogHasBegun() async throws {
        let log = try await begun()
        await log.close()
        _ = try await log.open()
        #expect(try !log.appendNow([Fixture.message(1)]))
        try await log.append([Fixture.message(1)])
        #expect(try log.appendNow([Fixture.message(2)]))
        #expect(try await last(log) == 2)
    }

    @Test func neverWithSyncs() async throws {
        let log = try await begun(.disk)
        try await log.append([Fixture.message(1)])
        #expect(try !log.appendNow([Fixture.message(2)]))
        #expect(try await last(log) == 1)
    }

    @Test func notWhatIsLarge() async throws {
        let log = try await begun()
        try await log.append([Fixture.message(1)])
        let large = LoggedMessage(number: SequenceNumber(2), content: [UInt8](repeating: 1, count: 1 << 20))
        #expect(try !log.appendNow([.message(large)]))
        #expect(try log.appendNow([Fixture.message(2)]))
        #expect(try await last(log) == 2)
    }

    @Test func notWhileAnotherProcessWrites() async throws {
        let log = try await begun()
        try await log.append([Fixture.message(1)])
        var other: OpaquePointer?
        try #require(sqlite3_open(path, &other) == SQLITE_OK)
        try #require(sqlite3_exec(other, "BEGIN IMMEDIATE", nil, nil, nil) == SQLITE_OK)
        #expect(try !log.appendNow([Fixture.message(2)]))
        sqlite3_exec(other, "ROLLBACK", nil, nil, nil)
        sqlite3_close(other)
        #expect(try log.appendNow([Fixture.message(2)]))
        #expect(try await last(log) == 2)
    }

    @Test func whatDoesNotExtendTheLogIsRefused() async throws {
        let log = try await begun()
        try await log.append([Fixture.message(1)])
        let error = #expect(throws: RecallError.self) { try log.appendNow([Fixture.message(3)]) }
        #expect(error?.code == .logFailed)
        #expect(try log.appendNow([Fixture.message(2)]))
        await log.close()
        let closed = #expect(throws: RecallError.self) { try log.appendNow([Fixture.message(3)]) }
        #expect(closed?.code == .logFailed)
        #expect(try await last(log) == 2)
    }

    /// Pages are moved home by `append` alone, which it is then left to.
    @Test func theWriteAheadLogStaysBounded() async throws {
        let log = try await begun()
        var refused = 0
        for number in 1...6000 as ClosedRange<UInt64> {
            let message = LogEntry.message(
                LoggedMessage(number: SequenceNumber(number), content: [UInt8](repeating: 1, count: 2000)))
            if try log.appendNow([message]) { continue }
            refused += 1
            try await log.append([message])
        }
        let size = try #require(directory.read("log-wal")).count
        #expect(size < 6 << 20, "the write-ahead log has \(size) bytes")
        #expect((2...100).contains(refused), "\(refused) appends were left to a thread that may block")
        #expect(try await last(log) == 6000)
    }
}
