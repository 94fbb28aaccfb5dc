internal import CBareSQLite
internal import Foundation

/// Rows appended to a table by hand, so many in each transaction: the least that a log in SQLite costs.
enum SQLiteAppends {
    /// `full`: a sync with each commit (`disk`); else the write-ahead log is left to the system (`process`).
    static func measure(bytes count: Int, batch: Int, full: Bool, seconds: Double, folder: String) throws -> Rate {
        let path = folder + "/bare.db"
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        var database: OpaquePointer?
        guard sqlite3_open(path, &database) == SQLITE_OK else { throw BenchError("cannot open \(path)") }
        defer { sqlite3_close(database) }
        for statement in [
            "PRAGMA journal_mode=WAL", "PRAGMA synchronous=\(full ? "FULL" : "NORMAL")",
            "CREATE TABLE messages (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
        ] {
            guard sqlite3_exec(database, statement, nil, nil, nil) == SQLITE_OK else { throw BenchError(statement) }
        }
        var insert: OpaquePointer?
        sqlite3_prepare_v2(database, "INSERT INTO messages VALUES (?, ?)", -1, &insert, nil)
        defer { sqlite3_finalize(insert) }
        let message = [UInt8](repeating: 7, count: count)
        let started = ContinuousClock.now
        let end = started + .nanoseconds(Int64(seconds * 1e9))
        var number = 0
        while ContinuousClock.now < end {
            sqlite3_exec(database, "BEGIN IMMEDIATE", nil, nil, nil)
            for _ in 0..<batch {
                number += 1
                sqlite3_bind_int64(insert, 1, Int64(number))
                // Sound: bound, stepped and reset while the array is alive.
                message.withUnsafeBytes { _ = sqlite3_bind_blob(insert, 2, $0.baseAddress, Int32($0.count), nil) }
                guard sqlite3_step(insert) == SQLITE_DONE else { throw BenchError("an INSERT failed") }
                sqlite3_reset(insert)
            }
            guard sqlite3_exec(database, "COMMIT", nil, nil, nil) == SQLITE_OK else {
                throw BenchError("COMMIT failed")
            }
        }
        return Rate(count: number, seconds: (ContinuousClock.now - started).seconds)
    }
}
