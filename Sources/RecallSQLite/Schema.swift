internal import Recall
internal import RecallCore

/// What the file looks like. Version 1:
///
/// Every table but `aside` has the rows `(number INTEGER PRIMARY KEY, bytes BLOB, sum INTEGER)`, `sum` being the XXH64
/// of `bytes` seeded with `number` and the table's tag, so that a row that was altered, moved or renumbered shows.
/// Integers in `bytes` are big-endian.
///
/// | table | number | bytes |
/// |---|---|---|
/// | header | 0 | session id 16, initialization vector 32, kind version 4, kind name |
/// | header | 1 | the bounds: last forgotten message 8, how many determinants up to there 8, checkpoints 4 |
/// | messages | its sequence number | the content |
/// | determinants | of the message | the encoded determinants; no row if it has none |
/// | receipts | of its position | position 72, outputs 32, time 8, code 32, how many determinants up to there 8 |
/// | checkpoints | of its position | version 4, position 72, outputs 32, time 8, segments 8 + 4, size 8, count 8 |
/// | segments | counting up | a checkpoint's segment |
///
/// A checkpoint has the number of its first segment and how many they are. The counts are of rows in `determinants`
/// since the log's beginning. Without them a lost row would pass for an update that has none. `aside` has what was set
/// aside: `(id, origin, number, bytes, sum, reason)`, `origin` being the table it was in.
enum Schema {
    /// "RCLL": what tells a log from any other SQLite file.
    static let applicationID: Int64 = 0x5243_4C4C
    static let version: Int64 = 1

    enum Table: String, CaseIterable {
        case header, messages, determinants, receipts, checkpoints, segments

        fileprivate var tag: UInt64 {
            switch self {
            case .header: 1
            case .messages: 2
            case .determinants: 3
            case .receipts: 4
            case .checkpoints: 5
            case .segments: 6
            }
        }

        // Sound, both: summed up before the pointer goes.

        func sum(_ number: Int64, _ raw: UnsafeRawBufferPointer) -> UInt64 {
            Checksum.xxh64(raw, seed: UInt64(bitPattern: number) ^ (tag << 56))
        }

        func sum(_ number: Int64, _ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { sum(number, $0) } }

        var insertion: String { "INSERT OR REPLACE INTO \(rawValue) VALUES (?, ?, ?)" }
    }

    /// As SQLite keeps them in `sqlite_schema`.
    static let declarations: [String] =
        Table.allCases.map {
            "CREATE TABLE \($0.rawValue) (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL, sum INTEGER NOT NULL)"
        } + [
            "CREATE TABLE aside (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, number INTEGER NOT NULL, "
                + "bytes BLOB NOT NULL, sum INTEGER NOT NULL, reason TEXT NOT NULL)"
        ]

    static func create(in database: Database) throws(RecallError) {
        // The identity is part of the same transaction, hence of the main file before any write-ahead log exists.
        try database.execute("BEGIN IMMEDIATE")
        try database.execute("PRAGMA application_id=\(applicationID); PRAGMA user_version=\(version)")
        for declaration in declarations { try database.execute(declaration) }
        try database.execute("COMMIT")
    }

    /// Insists that the file is a log of a version known here. Reads the main file only and leaves it untouched.
    static func identify(_ path: String) throws(RecallError) {
        do throws(RecallError) {
            let database = try Database(path, .immutable)
            try database.tolerate()
            let application = try database.integer("PRAGMA application_id")
            let version = try database.integer("PRAGMA user_version")
            guard application == applicationID else {
                throw RecallError(.logFailed, "\(path): a SQLite file, but not a Recall log; left untouched")
            }
            guard version == Schema.version else {
                throw RecallError(
                    .logFailed,
                    "\(path): written by a newer version: schema \(version), known is \(Schema.version); left untouched"
                )
            }
        } catch {
            guard error.code == .logDamaged else { throw error }
            throw RecallError(
                .logDamaged, "\(path): not a SQLite file, hence no Recall log, or damaged at its start; left untouched",
                cause: error.cause ?? error)
        }
    }
}

/// A kept checkpoint without its segments' bytes.
struct CheckpointRow: Hashable {
    var summary: LogContents.CheckpointSummary
    var firstSegment: Int64
    var segmentCount: UInt32
    /// How many updates up to its position had determinants.
    var determinants: UInt64
}

extension LogHeader {
    var row: [UInt8] {
        var writer = ByteWriter(capacity: 52 + kindName.count)
        writer.session(session)
        writer.digest(vector)
        writer.integer(kindVersion)
        writer.append(kindName.span.bytes)
        return writer.bytes
    }

    init(row: [UInt8]) throws(WireError) {
        var reader = ByteReader(row.span.bytes)
        let session = try reader.session()
        let vector = try reader.digest()
        let version: UInt32 = try reader.integer()
        self.init(session: session, vector: vector, kindName: reader.rest.array, kindVersion: version)
    }
}

/// What is no longer in the log, so that what is missing can be told from it.
struct Bounds: Hashable {
    /// Messages up to here are forgotten.
    var base: Int64 = 0
    /// How many of them had determinants.
    var determinants: UInt64 = 0
    var checkpoints: UInt32 = 0

    static let number: Int64 = 1

    var row: [UInt8] {
        var writer = ByteWriter(capacity: 20)
        writer.integer(base)
        writer.integer(determinants)
        writer.integer(checkpoints)
        return writer.bytes
    }

    init() {}

    init(row: [UInt8]) throws(WireError) {
        var reader = ByteReader(row.span.bytes)
        base = try reader.integer()
        determinants = try reader.integer()
        checkpoints = try reader.integer()
        try reader.end()
        guard base >= 0 else { throw .malformed }
    }
}

/// A receipt as it is kept.
struct ReceiptRow: Hashable {
    var receipt: Receipt
    /// How many updates up to its position had determinants.
    var determinants: UInt64

    var row: [UInt8] {
        var writer = ByteWriter(capacity: 152)
        writer.receipt(receipt)
        writer.integer(determinants)
        return writer.bytes
    }

    init(_ receipt: Receipt, determinants: UInt64) {
        self.receipt = receipt
        self.determinants = determinants
    }

    init(row: [UInt8]) throws(WireError) {
        var reader = ByteReader(row.span.bytes)
        receipt = try reader.receipt()
        determinants = try reader.integer()
        try reader.end()
    }
}

extension CheckpointRow {
    var row: [UInt8] {
        var writer = ByteWriter(capacity: 144)
        writer.integer(summary.kindVersion)
        writer.position(summary.position)
        writer.digest(summary.outputs)
        writer.integer(summary.time.nanoseconds)
        writer.integer(firstSegment)
        writer.integer(segmentCount)
        writer.integer(Int64(summary.byteCount))
        writer.integer(determinants)
        return writer.bytes
    }

    init(row: [UInt8]) throws(WireError) {
        var reader = ByteReader(row.span.bytes)
        let version: UInt32 = try reader.integer()
        let position = try reader.position()
        let outputs = try reader.digest()
        let time = WallTime(nanoseconds: try reader.integer())
        firstSegment = try reader.integer()
        segmentCount = try reader.integer()
        let byteCount: Int64 = try reader.integer()
        determinants = try reader.integer()
        try reader.end()
        guard let byteCount = Int(exactly: byteCount), byteCount >= 0, firstSegment >= 0,
            !firstSegment.addingReportingOverflow(Int64(segmentCount)).overflow
        else { throw .malformed }
        summary = LogContents.CheckpointSummary(
            position: position, outputs: outputs, time: time, kindVersion: version, byteCount: byteCount)
    }
}
