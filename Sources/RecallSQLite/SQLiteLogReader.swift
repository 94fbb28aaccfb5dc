public import Recall
public import RecallCore

/// Reads a log's file without being its writer: beside one that has it open, or alone. Never writes to it, and mends
/// nothing.
///
/// Every call sees one committed state of the log; two calls may see two. Calls block their thread. Throws as
/// `SQLiteLog` does, except that it takes no lock and hence never throws `logInUse`.
public final class SQLiteLogReader {
    /// What the file consists of.
    public struct Statistics: Sendable {
        public struct Table: Sendable {
            public var name: String
            public var rows: Int
            /// Bytes of content in all rows.
            public var bytes: Int
        }

        public var schemaVersion: Int
        /// Messages, determinants, receipts, checkpoints, their segments, and what was set aside.
        public var tables: [Table]
        /// Bytes of the main file.
        public var fileBytes: Int
        /// Bytes of the write-ahead log; 0 if there is none.
        public var writeAheadLogBytes: Int
        /// The process that has the log open for writing, 0 if its id is unknown; nil if none has.
        public var writer: Int?
    }

    private let database: Database
    private var queries: Queries { Queries(database: database) }

    /// The path with its links followed.
    public let path: String

    /// Opens a log that exists.
    public init(path: String) throws {
        let path = try FileSystem.resolve(path)
        guard FileSystem.exists(path) else { throw RecallError(.logFailed, "\(path): there is no such file") }
        try Schema.identify(path)
        self.path = path
        database = try Self.connect(path)
    }

    /// Where the shared memory that goes with a write-ahead log cannot be made, a log that was closed can still be
    /// read.
    private static func connect(_ path: String) throws(RecallError) -> Database {
        do throws(RecallError) {
            let database = try Database(path, .readOnly)
            _ = try database.integer("SELECT count(*) FROM sqlite_schema")
            return database
        } catch {
            guard (FileSystem.size(path + "-wal") ?? 0) == 0,
                !(error.cause is SQLiteFailure) || error.code != .logDamaged
            else { throw error }
            return try Database(path, .immutable)
        }
    }

    /// What the log holds. `damage` tells what an opening for writing would set aside; the rest is then what it would
    /// keep, so far as it can be told without doing so.
    public func contents() throws -> LogContents {
        try snapshot { () throws(RecallError) in
            let survey = try Survey(database)
            guard let damage = survey.damage else { return try queries.contents() }
            let plan = Plan(survey)
            let receipt = try plan.receipt.flatMap { number throws(RecallError) in
                try queries.receipt(atOrBefore: SequenceNumber(row: number))?.receipt
            }
            return LogContents(
                header: survey.header, checkpoints: plan.checkpoints.map(\.summary), receipt: receipt,
                last: SequenceNumber(row: plan.last), damage: "\(path): \(damage)")
        }
    }

    /// As `MessageLog.slice`.
    public func slice(after number: SequenceNumber, maximumBytes: Int) throws -> LogSlice {
        try snapshot { () throws(RecallError) in
            try queries.slice(after: number, maximumBytes: maximumBytes, head: queries.head())
        }
    }

    /// As `MessageLog.receipt`.
    public func receipt(atOrBefore number: SequenceNumber) throws -> Receipt? {
        try snapshot { () throws(RecallError) in try queries.receipt(atOrBefore: number)?.receipt }
    }

    /// As `MessageLog.checkpoint`.
    public func checkpoint(generation: Int) throws -> Checkpoint? {
        try snapshot { () throws(RecallError) in try queries.checkpoint(generation: generation) }
    }

    /// Reads every row's length.
    public func statistics() throws -> Statistics {
        try snapshot { () throws(RecallError) in
            let names = Schema.Table.allCases.filter { $0 != .header }.map(\.rawValue) + ["aside"]
            var tables: [Statistics.Table] = []
            for name in names {
                let rows = try database.integer("SELECT count(*) FROM \(name)")
                let bytes = try database.integer("SELECT ifnull(sum(length(bytes)), 0) FROM \(name)")
                tables.append(Statistics.Table(name: name, rows: Int(rows), bytes: Int(bytes)))
            }
            return Statistics(
                schemaVersion: Int(try database.integer("PRAGMA user_version")), tables: tables,
                fileBytes: FileSystem.size(path) ?? 0, writeAheadLogBytes: FileSystem.size(path + "-wal") ?? 0,
                writer: WriterLock.writer(of: path).map(Int.init))
        }
    }

    /// One committed state for all of `body`.
    private func snapshot<R>(_ body: () throws(RecallError) -> R) throws(RecallError) -> R {
        try database.execute("BEGIN")
        defer { try? database.execute("COMMIT") }
        return try body()
    }
}
