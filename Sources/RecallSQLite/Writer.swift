internal import Recall
internal import RecallCore

/// The writing side of an open log: one connection, its statements and the log's end. Its owner uses it from one thread
/// at a time.
final class Writer {
    /// Pages of the write-ahead log, 4 KiB each, from which on they are moved home: as many as SQLite's own default.
    private static let logPages = 1000
    private static let bytesAtOnce = 64 << 10

    let database: Database
    /// The log's end as it stands on disk: replaced only once a transaction is committed.
    private var tail: Tail
    private var hasHeader: Bool
    private let durability: SQLiteLog.Durability
    private let begin, commit, rollback: Statement
    private let insertMessage, insertDeterminants, insertReceipt: Statement
    private let deleteReceipt, deleteDeterminants: Statement
    /// Why nothing more is written.
    private var failure: RecallError?

    init(_ path: String, _ durability: SQLiteLog.Durability) throws(RecallError) {
        let database = try Database(path, .readWrite)
        // The journal mode is in the file since its creation. The size limit gives a long log's room back after a
        // truncation. Where a plain sync does not reach the medium (Apple's systems), the full one does; elsewhere it
        // is ignored.
        try database.execute(
            """
            PRAGMA synchronous=\(durability.synchronous); PRAGMA fullfsync=ON; PRAGMA checkpoint_fullfsync=ON;
            PRAGMA journal_size_limit=16777216; PRAGMA temp_store=MEMORY
            """)
        let mode = try database.text("PRAGMA journal_mode=WAL")
        guard mode == "wal" else {
            throw RecallError(
                .logFailed, "\(path): cannot use a write-ahead log here (journal mode \(mode ?? "unknown"))")
        }
        database.keepLog()
        self.database = database
        self.durability = durability
        begin = try database.prepare("BEGIN IMMEDIATE")
        commit = try database.prepare("COMMIT")
        rollback = try database.prepare("ROLLBACK")
        insertMessage = try database.prepare("INSERT INTO messages VALUES (?, ?, ?)")
        insertDeterminants = try database.prepare(Schema.Table.determinants.insertion)
        insertReceipt = try database.prepare(Schema.Table.receipts.insertion)
        deleteReceipt = try database.prepare("DELETE FROM receipts WHERE number = ?")
        deleteDeterminants = try database.prepare("DELETE FROM determinants WHERE number = ?")
        let queries = Queries(database: database)
        tail = try Tail(queries)
        hasHeader = try queries.header() != nil
        try discardStrayDeterminants()
    }

    private struct Tail {
        var head: LogHead
        var bounds: Bounds
        /// How many determinants the log had up to its newest receipt.
        var determinants: UInt64
        /// Messages after it that came with determinants, as none from a client do.
        var strays: Set<SequenceNumber> = []

        init(_ queries: Queries) throws(RecallError) {
            head = try queries.head()
            bounds = try queries.bounds()
            determinants = try queries.receipt(atOrBefore: SequenceNumber(.max))?.determinants ?? bounds.determinants
        }
    }

    var queries: Queries { Queries(database: database) }

    func slice(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice {
        try queries.slice(after: number, maximumBytes: maximumBytes, head: tail.head)
    }

    func begin(_ header: LogHeader) throws(RecallError) {
        guard !hasHeader else { throw RecallError(.logFailed, "\(database.path): the log holds a session already") }
        try transaction(synced: true) { () throws(RecallError) in
            try insert(.header, 0, header.row)
            try insert(.header, Bounds.number, tail.bounds.row)
        }
        hasHeader = true
    }

    func append(_ entries: [LogEntry]) throws(RecallError) {
        try checkHeld()
        guard !entries.isEmpty else { return }
        var next = tail
        try next.head.admit(entries)
        guard next.head.last.rawValue <= UInt64(Int64.max) else {
            throw RecallError(
                .logFailed, "\(database.path): message \(next.head.last) is past the last number a row can have")
        }
        try transaction(synced: false) { () throws(RecallError) in
            for entry in entries {
                switch entry {
                case .message(let message): try insert(message, &next)
                case .acknowledgement(let acknowledgement): try insert(acknowledgement, &next)
                }
            }
        }
        tail = next
    }

    /// As `append`, if that takes well under a millisecond: it does without a sync, with few bytes and no other process
    /// in the way.
    /// False if it would not, with nothing appended.
    func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool {
        // The first commit of a write-ahead log that begins anew syncs, whatever the level.
        guard durability != .disk, (1..<Self.logPages).contains(database.logPages),
            entries.reduce(0, { $0 + $1.byteCount }) <= Self.bytesAtOnce
        else { return false }
        database.wait(0)
        defer { database.wait(Database.patience) }
        do throws(RecallError) {
            try append(entries)
            return true
        } catch {
            if let failure = error.cause as? SQLiteFailure, failure.isBusy { return false }
            throw error
        }
    }

    /// Moves pages home once they are many; to be called where waiting does no harm. What was appended stands if that
    /// fails, but nothing more is taken.
    func tidy() {
        guard database.logPages >= Self.logPages else { return }
        do { try database.moveHome() } catch { failure = error }
    }

    private func insert(_ message: LoggedMessage, _ tail: inout Tail) throws(RecallError) {
        let number = message.number.clampedRow
        try insertMessage.insert(
            number: number, message.content, sum: Schema.Table.messages.sum(number, message.content))
        guard !message.determinants.isEmpty else { return }
        try insert(message.determinants, of: number)
        tail.strays.insert(message.number)
    }

    private func insert(_ determinants: [UInt8], of number: Int64) throws(RecallError) {
        try insertDeterminants.insert(
            number: number, determinants, sum: Schema.Table.determinants.sum(number, determinants))
    }

    private func insert(_ acknowledgement: LoggedAcknowledgement, _ tail: inout Tail) throws(RecallError) {
        for (number, bytes) in acknowledgement.determinants {
            if !tail.strays.isEmpty { tail.strays.remove(number) }
            if bytes.isEmpty {
                try deleteDeterminants.run(number.clampedRow)
            } else {
                try insert(bytes, of: number.clampedRow)
                tail.determinants &+= 1
            }
        }
        let receipt = acknowledgement.receipt
        let number = receipt.position.number
        if !tail.strays.isEmpty {
            let uncovered = tail.strays.filter { $0 > number }
            tail.determinants &+= UInt64(tail.strays.count - uncovered.count)
            tail.strays = uncovered
        }
        try insert(receipt, determinants: tail.determinants)
        if let superseded = acknowledgement.supersedes, superseded < number {
            try deleteReceipt.run(superseded.clampedRow)
        }
    }

    private func insert(_ receipt: Receipt, determinants: UInt64) throws(RecallError) {
        let number = receipt.position.number.clampedRow
        let bytes = ReceiptRow(receipt, determinants: determinants).row
        try insertReceipt.insert(number: number, bytes, sum: Schema.Table.receipts.sum(number, bytes))
    }

    private func insert(_ table: Schema.Table, _ number: Int64, _ bytes: [UInt8]) throws(RecallError) {
        try database.cached(table.insertion).insert(number: number, bytes, sum: table.sum(number, bytes))
    }

    func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) {
        try checkHeld()
        try tail.head.check(checkpoint.position, truncating: truncating)
        var next = tail
        try transaction(synced: true) { () throws(RecallError) in
            let number = checkpoint.position.number.clampedRow
            let count = try database.integer("SELECT count(*) FROM determinants WHERE number <= \(number)")
            try insert(checkpoint, determinants: next.bounds.determinants &+ UInt64(count))
            try database.execute(
                """
                DELETE FROM checkpoints
                WHERE number NOT IN (SELECT number FROM checkpoints ORDER BY number DESC LIMIT 2)
                """)
            try deleteUnusedSegments()
            try truncate(to: truncating, &next)
            next.bounds.checkpoints = UInt32(clamping: try queries.checkpoints().count)
            try insert(.header, Bounds.number, next.bounds.row)
        }
        tail = next
    }

    private func truncate(to number: SequenceNumber, _ tail: inout Tail) throws(RecallError) {
        guard number > tail.head.base else { return }
        for table in ["messages", "receipts", "determinants"] {
            try database.cached("DELETE FROM \(table) WHERE number <= ?").run(number.clampedRow)
        }
        // Those of the last statement. An uncovered one among them was counted nowhere, so counting it here is
        // consistent.
        tail.bounds.determinants &+= UInt64(database.changes)
        tail.bounds.base = number.clampedRow
        tail.head.base = number
        tail.strays = tail.strays.filter { $0 > number }
        guard let receipt = tail.head.receipt, receipt > number else {
            tail.head.receipt = nil
            tail.determinants = tail.bounds.determinants
            return
        }
    }

    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) throws(RecallError) {
        try checkHeld()
        try LogHead.check(adopting: checkpoint.position, receipt: receipt.position)
        let number = checkpoint.position.number
        guard number.rawValue <= UInt64(Int64.max) else {
            throw RecallError(
                .logFailed, "\(database.path): checkpoint \(number) is past the last number a row can have")
        }
        var next = tail
        try transaction(synced: true) { () throws(RecallError) in
            for table in Schema.Table.allCases where table != .header {
                try database.execute("DELETE FROM \(table.rawValue)")
            }
            try insert(checkpoint, determinants: 0)
            try insert(receipt, determinants: 0)
            next.bounds = Bounds()
            next.bounds.base = number.clampedRow
            next.bounds.checkpoints = 1
            try insert(.header, Bounds.number, next.bounds.row)
            next = try Tail(queries)
        }
        tail = next
    }

    private func insert(_ checkpoint: Checkpoint, determinants: UInt64) throws(RecallError) {
        let first = try database.integer("SELECT ifnull(max(number), 0) + 1 FROM segments")
        for (index, segment) in checkpoint.segments.enumerated() {
            try insert(.segments, first + Int64(index), segment)
        }
        let summary = LogContents.CheckpointSummary(
            position: checkpoint.position, outputs: checkpoint.outputs, time: checkpoint.time,
            kindVersion: checkpoint.kindVersion, byteCount: checkpoint.byteCount)
        let row = CheckpointRow(
            summary: summary, firstSegment: first, segmentCount: UInt32(clamping: checkpoint.segments.count),
            determinants: determinants)
        try insert(.checkpoints, checkpoint.position.number.clampedRow, row.row)
    }

    /// Segments of checkpoints that are gone, or that a newer one of the same position replaced.
    private func deleteUnusedSegments() throws(RecallError) {
        let used = try queries.checkpoints().map { row in
            "number >= \(row.firstSegment) AND number < \(row.firstSegment + Int64(row.segmentCount))"
        }
        let condition = used.isEmpty ? "" : " WHERE NOT (\(used.joined(separator: " OR ")))"
        try database.execute("DELETE FROM segments" + condition)
    }

    func setAside(after number: SequenceNumber, reason: String) throws(RecallError) {
        try checkHeld()
        var next = tail
        try transaction(synced: true) { () throws(RecallError) in
            for table in ["messages", "checkpoints"] { try move(table, after: number.clampedRow, reason) }
            let head = try queries.head()
            // Past the last message a receipt proves nothing that the log could show.
            try move("receipts", after: head.last.clampedRow, reason)
            let receipt = try queries.receipt(atOrBefore: head.last)
            try move("determinants", after: receipt?.receipt.position.number.clampedRow ?? 0, reason)
            let used = try queries.checkpoints().map { $0.firstSegment + Int64($0.segmentCount) }.max() ?? 0
            try move("segments", after: used - 1, reason)
            try deleteUnusedSegments()
            next.bounds.checkpoints = UInt32(clamping: try queries.checkpoints().count)
            if head.last <= tail.head.base {
                // No message is left: the log begins anew behind its newest checkpoint.
                next.bounds.base = head.last.clampedRow
                next.bounds.determinants = try queries.checkpoints().first?.determinants ?? 0
            }
            try insert(.header, Bounds.number, next.bounds.row)
            next = try Tail(queries)
        }
        tail = next
    }

    private func move(_ table: String, after number: Int64, _ reason: String) throws(RecallError) {
        let copy = try database.prepare(
            """
            INSERT INTO aside (origin, number, bytes, sum, reason)
            SELECT '\(table)', number, bytes, sum, ? FROM \(table) WHERE number > ?
            """)
        try copy.bind(reason, at: 1)
        try copy.bind(number, at: 2)
        try copy.finish()
        try database.prepare("DELETE FROM \(table) WHERE number > ?").run(number)
    }

    /// Determinants that no receipt covers were never acted upon: their acknowledgement comes again.
    private func discardStrayDeterminants() throws(RecallError) {
        let covered = (tail.head.receipt ?? tail.head.base).clampedRow
        let stray = try database.integer("SELECT EXISTS (SELECT 1 FROM determinants WHERE number > \(covered))")
        guard stray != 0 else { return }
        try transaction(synced: false) { () throws(RecallError) in
            try database.execute("DELETE FROM determinants WHERE number > \(covered)")
        }
    }

    private func checkHeld() throws(RecallError) {
        if let failure { throw failure }
        guard hasHeader else { throw RecallError(.logFailed, "\(database.path): the log holds no session yet") }
    }

    /// All of `body` or nothing.
    ///
    /// Synced, it is on stable storage on return, and everything appended before it too: with FULL, SQLite syncs the
    /// write-ahead log, one file in which all that came before lies in front of this commit. NORMAL syncs only when it
    /// moves pages home, which is why it survives the process but not the power. The level cannot change inside a
    /// transaction.
    private func transaction(synced: Bool, _ body: () throws(RecallError) -> Void) throws(RecallError) {
        let raised = synced && durability != .disk
        if raised { try database.execute("PRAGMA synchronous=FULL") }
        // Left raised by a failure here, it would only make the next append safer and slower.
        defer { if raised { try? database.execute("PRAGMA synchronous=\(durability.synchronous)") } }
        try begin.finish()
        do throws(RecallError) {
            try body()
            try commit.finish()
        } catch {
            // Some failures, a full disk among them, roll back by themselves.
            if !database.isIdle { try? rollback.finish() }
            throw error
        }
    }
}

extension LogEntry {
    /// Bytes of content, determinants and receipt, and of what each row takes besides, about.
    fileprivate var byteCount: Int {
        switch self {
        case .message(let message): 100 + message.content.count + message.determinants.count
        case .acknowledgement(let acknowledgement):
            acknowledgement.determinants.reduce(250) { $0 + 100 + $1.bytes.count }
        }
    }
}
