internal import Recall
internal import RecallCore

/// Everything that can be read of a log's file, and what is wrong with it. Writes nothing.
///
/// Every row is read once and checked. That costs about what a recall costs to read the log, and is bounded like it by
/// the checkpoints; in return damage is found while the rest can still be kept, not in the middle of a recall.
struct Survey {
    var header: LogHeader?
    /// Newest first; only those whose segments are whole.
    var checkpoints: [CheckpointRow] = []
    /// Nil if they cannot be read, or in an empty log.
    var bounds: Bounds?
    /// By ascending number.
    var receipts: [ReceiptMark] = []
    /// The messages that have some, ascending.
    var determinants: [Int64] = []
    /// Unbroken runs of messages.
    var runs: [ClosedRange<Int64>] = []
    var ends = Ends()
    var rowCount = 0
    private(set) var faults: [String] = []
    private var faultCount = 0

    /// A receipt's number, and how many determinants the log had up to there.
    struct ReceiptMark {
        var number: Int64
        var determinants: UInt64
    }

    /// Throws only what is not the file's fault.
    init(_ database: Database) throws(RecallError) {
        checkHeader(database)
        try checkSchema(database)
        try check(database)
        try readCheckpoints(database)
        try scan(database, .header) { survey, number, row in
            switch number {
            case 0: survey.header = try? LogHeader(row: row.bytes(1))
            case Bounds.number: survey.bounds = try? Bounds(row: row.bytes(1))
            default: survey.fault("row \(number) of header is unknown")
            }
        }
        try scan(database, .messages) { survey, number, _ in survey.addMessage(number) }
        runs.sort { $0.lowerBound < $1.lowerBound }
        try scan(database, .receipts) { survey, number, row in
            // The number is its position's, or the row is not what it says.
            guard let kept = try? ReceiptRow(row: row.bytes(1)),
                kept.receipt.position.number.rawValue == UInt64(number)
            else { return survey.fault("receipt \(number) does not decode") }
            survey.receipts.append(ReceiptMark(number: number, determinants: kept.determinants))
        }
        receipts.sort { $0.number < $1.number }
        try scan(database, .determinants) { survey, number, _ in survey.determinants.append(number) }
        determinants.sort()
        ends.checkpoint = checkpoints.first?.summary.position.number.clampedRow ?? -1
        checkOrder()
    }

    mutating func fault(_ what: String) {
        faultCount += 1
        if faults.count < 3 { faults.append(what) }
    }

    /// What is damaged, in one sentence; nil if nothing is.
    var damage: String? {
        guard !faults.isEmpty else { return nil }
        let more = faultCount - faults.count
        return faults.joined(separator: "; ") + (more > 0 ? "; and \(more) more" : "")
    }

    /// Fields of SQLite's header that never change after a log's creation and that it reads without a doubt: the
    /// format's versions (1 if someone turned the write-ahead log off), bytes reserved in each page, schema format,
    /// text encoding.
    private mutating func checkHeader(_ database: Database) {
        let header = database.header()
        guard header.count == 100 else { return fault("the file's header cannot be read") }
        let isKnown =
            [[1, 1], [2, 2]].contains(header[18..<20]) && header[20] == 0
            && header[44..<48].elementsEqual([0, 0, 0, 4])
            && header[56..<60].elementsEqual([0, 0, 0, 1])
        if !isKnown { fault("the file's header is altered") }
    }

    /// A flipped bit in a table's declaration may give its rows another meaning.
    private mutating func checkSchema(_ database: Database) throws(RecallError) {
        var missing = Set(Schema.declarations)
        do throws(RecallError) {
            let rows = try database.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = tbl_name")
            while try rows.step() { missing.remove(rows.text(0) ?? "") }
        } catch {
            guard error.isDamage else { throw error }
        }
        if !missing.isEmpty { fault("the schema is altered") }
    }

    /// SQLite's own check of the file's structure: a page used twice would be damaged by the next write only.
    private mutating func check(_ database: Database) throws(RecallError) {
        do throws(RecallError) {
            let verdict = try database.text("PRAGMA quick_check(1)") ?? "no verdict"
            if verdict != "ok" {
                ends.isStructureWhole = false
                fault(verdict.replacingNewlines())
            }
        } catch {
            guard error.isDamage else { throw error }
            ends.isStructureWhole = false
            fault(error.message)
        }
    }

    private mutating func addMessage(_ number: Int64) {
        if let last = runs.indices.last {
            let run = runs[last]
            if number == run.upperBound &+ 1 { return runs[last] = run.lowerBound...number }
            // A scan that met an unreadable page goes on from the other end.
            if number == run.lowerBound - 1 { return runs[last] = number...run.upperBound }
        }
        runs.append(number...number)
    }

    private mutating func readCheckpoints(_ database: Database) throws(RecallError) {
        var sizes: [Int64: Int] = [:]
        try scan(database, .segments) { _, number, row in sizes[number] = row.withBytes(1) { $0.count } }
        try scan(database, .checkpoints) { survey, number, row in
            guard let row = try? CheckpointRow(row: row.bytes(1)),
                row.summary.position.number.rawValue == UInt64(number)
            else {
                return survey.fault("checkpoint \(number) does not decode")
            }
            var total = 0
            for part in 0..<Int64(row.segmentCount) {
                guard let size = sizes[row.firstSegment + part] else {
                    return survey.fault("checkpoint \(number) lacks a segment")
                }
                total += size
            }
            guard total == row.summary.byteCount else { return survey.fault("checkpoint \(number) lacks bytes") }
            survey.checkpoints.append(row)
        }
        checkpoints.sort { $0.summary.position.number > $1.summary.position.number }
    }

    /// What can be read one by one must also fit together.
    private mutating func checkOrder() {
        let plan = Plan(self)
        if runs.count > 1 { fault("messages after \(runs[0].upperBound) are missing") }
        if let last = receipts.last?.number, last > plan.last { fault("receipt \(last) has no message") }
        if let run = runs.last, plan.messages != run { fault("messages before \(run.lowerBound) are missing") }
        if header == nil && rowCount > 0 { fault("the header is missing") }
        if let number = plan.firstUncovered { fault("determinants before receipt \(number) are missing") }
        guard header != nil else { return }
        guard let bounds else { return fault("the bounds are missing") }
        if bounds.base != plan.base { fault("messages after \(bounds.base) are missing") }
        if bounds.checkpoints != checkpoints.count { fault("a checkpoint is missing") }
    }

    /// True if the log is known to begin behind this message, with all the checkpoints that it had.
    func isKnownBase(_ number: Int64) -> Bool {
        bounds.map { $0.base == number && $0.checkpoints == checkpoints.count } ?? false
    }

    typealias Visit = (_ survey: inout Survey, _ number: Int64, _ row: Statement) -> Void

    private mutating func scan(_ database: Database, _ table: Schema.Table, _ visit: Visit) throws(RecallError) {
        let end = try database.scan(table) { number, row in
            visit(&self, number, row)
            rowCount += 1
        } fault: { what in
            fault(what)
            rowCount += 1
        }
        ends.set(table, end)
    }
}

extension Database {
    /// Visits every row that is as it was written, by scanning the table from the front and, past an unreadable page,
    /// from the back. Never by seeking: in a damaged table that may find other rows than a scan does.
    ///
    /// Returns the last row's number, even if the row was altered; nil if its page cannot be read, -1 if there is none.
    @discardableResult func scan(
        _ table: Schema.Table, _ visit: (Int64, Statement) throws(RecallError) -> Void, fault: (String) -> Void
    ) throws(RecallError) -> Int64? {
        var last: Int64 = -1
        var end: Int64?
        for order in ["", " DESC"] {
            guard
                let rows = try attempt(
                    fault,
                    { () throws(RecallError) in
                        try prepare("SELECT number, bytes, sum FROM \(table.rawValue) ORDER BY number\(order)")
                    })
            else { return nil }
            while let more = try attempt(fault, { () throws(RecallError) in try rows.step() }) {
                let number = rows.integer(0)
                guard more, order.isEmpty || number > last else { return end ?? last }
                if order.isEmpty { last = max(last, number) } else { end = end ?? number }
                if let intact = rows.intactNumber(of: table) {
                    try visit(intact, rows)
                } else {
                    fault("row \(number) of \(table.rawValue) does not match its checksum")
                }
            }
        }
        return end
    }

    /// What `body` returns; nil if the file's bytes are to blame that it does not.
    private func attempt<R>(_ fault: (String) -> Void, _ body: () throws(RecallError) -> R) throws(RecallError) -> R? {
        do throws(RecallError) {
            return try body()
        } catch {
            guard error.isDamage else { throw error }
            fault(error.message)
            return nil
        }
    }
}

extension RecallError {
    /// True if the file's bytes are at fault. A missing table or column is, too: it shows as SQLite's plain error, 1,
    /// since a statement for it does not compile.
    var isDamage: Bool {
        guard let failure = cause as? SQLiteFailure else { return code == .logDamaged }
        return failure.isDamage || failure.code == 1
    }
}

extension String {
    fileprivate func replacingNewlines() -> String { split(separator: "\n").joined(separator: ": ") }
}
