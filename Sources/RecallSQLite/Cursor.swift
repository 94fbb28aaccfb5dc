internal import Recall
internal import RecallCore

extension Database {
    func corrupt(_ table: Schema.Table, _ number: Int64, _ what: String) -> RecallError {
        RecallError(.logDamaged, "\(path): row \(number) of \(table.rawValue) \(what)")
    }
}

extension Statement {
    /// The row `(number, bytes, sum)` under the statement, checked; nil if it was altered.
    func intactNumber(of table: Schema.Table) -> Int64? {
        guard isInteger(0), isBlob(1), isInteger(2), integer(0) >= 0 else { return nil }
        let number = integer(0)
        let sum = UInt64(bitPattern: integer(2))
        return withBytes(1) { table.sum(number, $0) } == sum ? number : nil
    }
}

/// Walks a table's rows by ascending number; throws `logDamaged` at a row that does not match its checksum.
struct Cursor {
    /// The row under the cursor; nil past the last.
    private(set) var number: Int64?
    private let table: Schema.Table
    private let statement: Statement
    private let database: Database

    init(_ database: Database, _ table: Schema.Table, after start: Int64) throws(RecallError) {
        self.database = database
        self.table = table
        statement = try database.cached(
            "SELECT number, bytes, sum FROM \(table.rawValue) WHERE number > ? ORDER BY number")
        statement.reset()
        try statement.bind(start, at: 1)
        try advance()
    }

    mutating func advance() throws(RecallError) {
        guard try statement.step() else {
            number = nil
            return
        }
        guard let intact = statement.intactNumber(of: table) else {
            throw database.corrupt(table, statement.integer(0), "does not match its checksum")
        }
        number = intact
    }

    /// The row's bytes, copied.
    var bytes: [UInt8] { statement.bytes(1) }

    /// Must be called when done, so that the statement keeps no snapshot of the file alive.
    func end() { statement.reset() }
}

/// What can be asked of a log's file, by its writer and by any reader.
struct Queries {
    let database: Database

    /// The end of an undamaged log.
    func head() throws(RecallError) -> LogHead {
        let last = try database.integer("SELECT ifnull(max(number), 0) FROM messages")
        let checkpoint = try database.integer("SELECT ifnull(max(number), 0) FROM checkpoints")
        let receipt = try database.integer("SELECT ifnull(max(number), -1) FROM receipts")
        return LogHead(
            base: SequenceNumber(row: try bounds().base), last: SequenceNumber(row: last > 0 ? last : checkpoint),
            receipt: receipt < 0 ? nil : SequenceNumber(row: receipt))
    }

    func bounds() throws(RecallError) -> Bounds {
        guard let bytes = try row(.header, Bounds.number) else { return Bounds() }
        return try decode(.header, Bounds.number) { () throws(WireError) in try Bounds(row: bytes) }
    }

    func header() throws(RecallError) -> LogHeader? {
        guard let bytes = try row(.header, 0) else { return nil }
        return try decode(.header, 0) { () throws(WireError) in try LogHeader(row: bytes) }
    }

    func receipt(atOrBefore number: SequenceNumber) throws(RecallError) -> ReceiptRow? {
        guard let (number, bytes) = try newest(.receipts, atOrBefore: number.clampedRow) else { return nil }
        return try decode(.receipts, number) { () throws(WireError) in try ReceiptRow(row: bytes) }
    }

    /// Newest first.
    func checkpoints() throws(RecallError) -> [CheckpointRow] {
        var rows: [CheckpointRow] = []
        var cursor = try Cursor(database, .checkpoints, after: -1)
        defer { cursor.end() }
        while let number = cursor.number {
            let bytes = cursor.bytes
            rows.append(try decode(.checkpoints, number) { () throws(WireError) in try CheckpointRow(row: bytes) })
            try cursor.advance()
        }
        return rows.reversed()
    }

    func checkpoint(generation: Int) throws(RecallError) -> Checkpoint? {
        let rows = try checkpoints()
        guard rows.indices.contains(generation) else { return nil }
        let row = rows[generation]
        var segments: [[UInt8]] = []
        var cursor = try Cursor(database, .segments, after: row.firstSegment - 1)
        defer { cursor.end() }
        while segments.count < row.segmentCount {
            guard cursor.number == row.firstSegment + Int64(segments.count) else {
                throw database.corrupt(.segments, row.firstSegment + Int64(segments.count), "is missing")
            }
            segments.append(cursor.bytes)
            try cursor.advance()
        }
        return Checkpoint(
            kindVersion: row.summary.kindVersion, position: row.summary.position, outputs: row.summary.outputs,
            time: row.summary.time, segments: segments)
    }

    func slice(after start: SequenceNumber, maximumBytes: Int, head: LogHead) throws(RecallError) -> LogSlice {
        try head.check(sliceAfter: start)
        var messages = try Cursor(database, .messages, after: start.clampedRow)
        defer { messages.end() }
        var determinants = try Cursor(database, .determinants, after: start.clampedRow)
        defer { determinants.end() }
        var receipts = try Cursor(database, .receipts, after: start.clampedRow)
        defer { receipts.end() }
        var slice = SliceBuilder(maximumBytes: maximumBytes, reachesReceipt: receipts.number != nil)
        var expected = start.clampedRow
        while let number = messages.number {
            expected += 1
            guard number == expected else { throw database.corrupt(.messages, expected, "is missing") }
            var message = LoggedMessage(number: SequenceNumber(row: number), content: messages.bytes)
            if determinants.number == number {
                message.determinants = determinants.bytes
                try determinants.advance()
            }
            var receipt: Receipt?
            if receipts.number == number {
                let bytes = receipts.bytes
                receipt = try decode(.receipts, number) { () throws(WireError) in try ReceiptRow(row: bytes) }.receipt
                try receipts.advance()
            }
            guard slice.add(message, receipt: receipt) else { break }
            // Past the last receipt lies the tail, which is a slice of its own.
            if slice.isAtReceipt && receipts.number == nil { break }
            try messages.advance()
        }
        return slice.finish()
    }

    private func decode<T>(
        _ table: Schema.Table, _ number: Int64, _ body: () throws(WireError) -> T
    ) throws(RecallError) -> T {
        do throws(WireError) {
            return try body()
        } catch { throw database.corrupt(table, number, "does not decode") }
    }

    private func row(_ table: Schema.Table, _ number: Int64) throws(RecallError) -> [UInt8]? {
        guard let (found, bytes) = try newest(table, atOrBefore: number), found == number else { return nil }
        return bytes
    }

    private func newest(_ table: Schema.Table, atOrBefore number: Int64) throws(RecallError) -> (Int64, [UInt8])? {
        let statement = try database.cached(
            "SELECT number, bytes, sum FROM \(table.rawValue) WHERE number <= ? ORDER BY number DESC LIMIT 1")
        statement.reset()
        defer { statement.reset() }
        try statement.bind(number, at: 1)
        guard try statement.step() else { return nil }
        guard let number = statement.intactNumber(of: table) else {
            throw database.corrupt(table, statement.integer(0), "does not match its checksum")
        }
        return (number, statement.bytes(1))
    }
}

extension SequenceNumber {
    /// From a row's number, which is never negative.
    init(row: Int64) { self.init(UInt64(clamping: row)) }

    /// As a row's number; one that no row can have is past them all.
    var clampedRow: Int64 { Int64(clamping: rawValue) }
}
