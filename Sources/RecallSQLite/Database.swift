internal import CSQLite
internal import Recall
internal import RecallCore

/// SQLite's own account of a failure; the cause of a log's `RecallError`.
public struct SQLiteFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// SQLite's extended result code.
    public var code: Int32
    public var message: String

    public var description: String { "SQLite \(code): \(message)" }

    /// True if the file's bytes are at fault, not the system below or the moment.
    var isDamage: Bool { [SQLITE_CORRUPT, SQLITE_NOTADB].contains(code & 0xff) }

    /// True if another process has the lock.
    var isBusy: Bool { code & 0xff == SQLITE_BUSY }
}

/// One connection to one SQLite file. Not sendable: whoever owns it uses it from one thread at a time.
final class Database {
    enum Mode {
        case readWrite
        /// Never writes to the file; takes part in its locking and reads its write-ahead log.
        case readOnly
        /// Reads the main file alone, takes no locks and leaves no trace.
        case immutable
    }

    static let patience: Int32 = 5_000

    let path: String
    private let handle: OpaquePointer
    private var statements: [String: Statement] = [:]
    /// Pages in the write-ahead log after the last commit, since it was begun anew; 0 until there is one.
    private(set) var logPages = 0

    /// `path` must be absolute.
    init(_ path: String, _ mode: Mode) throws(RecallError) {
        var flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI
        flags |= mode == .readWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(Self.address(path, mode), &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            let message = String(cString: opened.map { sqlite3_errmsg($0) } ?? sqlite3_errstr(code))
            sqlite3_close_v2(opened)
            throw Self.error(SQLiteFailure(code: code, message: message), path)
        }
        self.path = path
        handle = opened
        // A reader may hold a lock for a moment, for instance while it recovers the write-ahead log.
        wait(Self.patience)
        // The file is not to be trusted: no memory map that a truncated file would turn into a signal, no functions
        // from its schema, and every page looked at before it is used.
        try execute("PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON")
    }

    // Version 2 waits for statements that outlive the connection.
    deinit {
        _ = sqlite3_wal_hook(handle, nil, nil)
        sqlite3_close_v2(handle)
    }

    /// Leaves it to the owner when pages are moved home from the write-ahead log, which syncs. SQLite by itself would
    /// do so within a commit.
    func keepLog() {
        // Sound: the hook goes with this object, and is called by the connection's own commits only.
        _ = sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                if let context { Unmanaged<Database>.fromOpaque(context).takeUnretainedValue().logPages = Int(pages) }
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Moves pages home. What a reader or a full disk keeps from being moved stays for the next time; only a sync that
    /// failed is told, for the system may have given up what it was to sync, and say of the next one that all is well.
    func moveHome() throws(RecallError) {
        let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
        logPages = 0
        // SQLITE_IOERR_FSYNC is an expression that Swift does not import.
        if code == SQLITE_IOERR | (4 << 8) { throw error(code) }
    }

    /// Milliseconds to wait for another process's lock.
    func wait(_ milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

    /// An absolute path as a `file:` address, since only that can say "immutable".
    private static func address(_ path: String, _ mode: Mode) -> String {
        var text = "file://"
        for byte in path.utf8 {
            switch byte {
            case 0x21...0x7e where byte != UInt8(ascii: "?") && byte != UInt8(ascii: "#") && byte != UInt8(ascii: "%"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += (byte < 16 ? "%0" : "%") + String(byte, radix: 16)
            }
        }
        return mode == .immutable ? text + "?immutable=1" : text
    }

    /// Lets a file be read that is cut short or in which a table's declaration is damaged, of which SQLite otherwise
    /// refuses all. Only for connections that do not write.
    func tolerate() throws(RecallError) { try execute("PRAGMA writable_schema=ON") }

    /// Runs statements that return nothing of interest.
    func execute(_ sql: String) throws(RecallError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw error(code) }
    }

    func prepare(_ sql: String) throws(RecallError) -> Statement {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw error(code) }
        return Statement(prepared, path)
    }

    /// A statement prepared once and kept. Whoever runs it resets it, so that one use does not meet another's rows.
    func cached(_ sql: String) throws(RecallError) -> Statement {
        if let statement = statements[sql] { return statement }
        let statement = try prepare(sql)
        statements[sql] = statement
        return statement
    }

    /// The single integer that a query returns; 0 if it returns no row.
    func integer(_ sql: String) throws(RecallError) -> Int64 {
        let statement = try prepare(sql)
        return try statement.step() ? statement.integer(0) : 0
    }

    /// The first column of a query's first row as text.
    func text(_ sql: String) throws(RecallError) -> String? {
        let statement = try prepare(sql)
        return try statement.step() ? statement.text(0) : nil
    }

    /// The main file's first 100 bytes, as they are on disk; empty if they cannot be read. Through SQLite's own
    /// descriptor: closing one of our own would drop the locks that SQLite holds for this process.
    func header() -> [UInt8] {
        var file: UnsafeMutablePointer<sqlite3_file>?
        guard sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK, let file,
            let read = file.pointee.pMethods?.pointee.xRead
        else { return [] }
        var bytes = [UInt8](repeating: 0, count: 100)
        // Sound: the file is SQLite's own while the database is open, and reads no more than it is told.
        let code = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, Int32($0.count), 0) }
        return code == SQLITE_OK ? bytes : []
    }

    /// How many rows the last statement inserted, updated or deleted.
    var changes: Int { Int(sqlite3_changes64(handle)) }

    /// False if a transaction is open.
    var isIdle: Bool { sqlite3_get_autocommit(handle) != 0 }

    private func error(_ code: Int32) -> RecallError {
        Self.error(SQLiteFailure(code: code, message: String(cString: sqlite3_errmsg(handle))), path)
    }

    fileprivate static func error(_ failure: SQLiteFailure, _ path: String) -> RecallError {
        RecallError(failure.isDamage ? .logDamaged : .logFailed, "\(path): \(failure.message)", cause: failure)
    }
}

/// A prepared statement, reused: bind, step, and it resets itself when its rows are used up or a new run begins.
final class Statement {
    private let handle: OpaquePointer
    private let path: String

    fileprivate init(_ handle: OpaquePointer, _ path: String) {
        self.handle = handle
        self.path = path
    }

    deinit { sqlite3_finalize(handle) }

    /// Runs a statement that returns no rows, with integers as its parameters.
    func run(_ values: Int64...) throws(RecallError) {
        for (index, value) in values.enumerated() { try bind(value, at: Int32(index + 1)) }
        try finish()
    }

    /// Runs an insertion of a row as all tables here have it.
    func insert(number: Int64, _ bytes: [UInt8], sum: UInt64) throws(RecallError) {
        try bind(number, at: 1)
        try bind(Int64(bitPattern: sum), at: 3)
        // Sound: SQLite reads the borrowed bytes only while it steps, which ends inside the closure; a later run binds
        // anew.
        try bytes.span.bytes.withUnsafeBytes { raw throws(RecallError) in
            let code =
                raw.baseAddress.map { sqlite3_bind_blob64(handle, 2, $0, sqlite3_uint64(raw.count), nil) }
                ?? sqlite3_bind_zeroblob(handle, 2, 0)
            guard code == SQLITE_OK else { throw error(code) }
            try finish()
        }
    }

    func bind(_ value: Int64, at index: Int32) throws(RecallError) {
        let code = sqlite3_bind_int64(handle, index, value)
        guard code == SQLITE_OK else { throw error(code) }
    }

    func bind(_ text: String, at index: Int32) throws(RecallError) {
        // Sound: SQLITE_TRANSIENT is this cast, in a macro that Swift does not import. SQLite copies the text and never
        // calls it.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let code = sqlite3_bind_text(handle, index, text, -1, transient)
        guard code == SQLITE_OK else { throw error(code) }
    }

    /// Moves to the next row; false, and ready for a new run, after the last.
    func step() throws(RecallError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code:
            let error = error(code)
            sqlite3_reset(handle)
            throw error
        }
    }

    /// Steps over all rows.
    func finish() throws(RecallError) { while try step() {} }

    /// Ends a run before its last row, so that it holds no lock and no snapshot.
    func reset() { sqlite3_reset(handle) }

    private func error(_ code: Int32) -> RecallError {
        let message = String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
        return Database.error(SQLiteFailure(code: code, message: message), path)
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func text(_ column: Int32) -> String? {
        sqlite3_column_text(handle, column).map { String(cString: $0) }
    }

    /// True if the column holds an integer, as written, and nothing that SQLite would have to convert.
    func isInteger(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_INTEGER }
    func isBlob(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_BLOB }

    /// The column's bytes, copied.
    func bytes(_ column: Int32) -> [UInt8] { withBytes(column) { Array($0) } }

    /// Calls `body` with the column's bytes. Sound: SQLite keeps so many of them there until the next step, which
    /// `body` does not make, and gives no pointer for none.
    func withBytes<R>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let start = sqlite3_column_blob(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return body(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : max(0, count)))
    }
}
