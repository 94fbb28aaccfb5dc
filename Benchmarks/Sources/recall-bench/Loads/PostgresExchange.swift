internal import NIOCore
internal import Synchronization

// PostgreSQL's protocol, version 3.0, as far as an INSERT and a SELECT need it
// (https://www.postgresql.org/docs/15/protocol-message-formats.html).
extension Exchange {
    /// One `INSERT` and one commit for each update, by a statement that is prepared once.
    static func postgresInsert(user: String, database: String, bytes count: Int, durable: Bool) -> Exchange {
        let payload = [UInt8](repeating: 7, count: count)
        var greeting = startup(user: user, database: database)
        greeting += query("SET synchronous_commit TO \(durable ? "on" : "off")")
        greeting += prepare("i", "INSERT INTO updates (session, bytes) VALUES (1, $1)") + sync
        let body = bind("i", payload) + execute + sync
        return Exchange(
            requests: { numbers, buffer in for _ in numbers { buffer.writeBytes(body) } },
            answers: { try answers(in: &$0) {} },
            greeting: greeting,
            greetingAnswers: 3)
    }

    /// All rows in order, up to so many, in binary; the rows are counted.
    static func postgresSelect(user: String, database: String, limit: Int, rows: PostgresRows) -> Exchange {
        var greeting = startup(user: user, database: database)
        greeting += prepare("s", "SELECT number, bytes FROM updates ORDER BY number LIMIT \(limit)") + sync
        // No parameter, and every column of the result in binary.
        let body = message("B", [0] + text("s") + [0, 0, 0, 0, 0, 1, 0, 1]) + execute + sync
        return Exchange(
            requests: { numbers, buffer in for _ in numbers { buffer.writeBytes(body) } },
            answers: { try answers(in: &$0) { rows.add() } },
            greeting: greeting,
            greetingAnswers: 2,
            limit: 1)
    }

    /// Counts the ends of what was asked for; told of each row.
    private static func answers(in buffer: inout ByteBuffer, _ row: () -> Void) throws -> Int {
        var ready = 0
        while let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self).map(Int.init),
            buffer.readableBytes >= length + 1
        {
            switch buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) {
            case UInt8(ascii: "E"):
                throw BenchError(
                    "PostgreSQL: \(buffer.getString(at: buffer.readerIndex + 5, length: length - 4) ?? "")")
            case UInt8(ascii: "Z"): ready += 1
            case UInt8(ascii: "D"): row()
            default: break
            }
            buffer.moveReaderIndex(forwardBy: length + 1)
        }
        return ready
    }

    private static func startup(user: String, database: String) -> [UInt8] {
        let body = integer(196_608) + text("user") + text(user) + text("database") + text(database) + [0]
        return integer(body.count + 4) + body
    }

    private static func query(_ sql: String) -> [UInt8] { message("Q", text(sql)) }
    private static func prepare(_ name: String, _ sql: String) -> [UInt8] {
        message("P", text(name) + text(sql) + [0, 0])
    }
    /// One parameter, binary, and no result.
    private static func bind(_ name: String, _ value: [UInt8]) -> [UInt8] {
        message("B", [0] + text(name) + [0, 1, 0, 1, 0, 1] + integer(value.count) + value + [0, 0])
    }
    private static var execute: [UInt8] { message("E", [0] + integer(0)) }
    private static var sync: [UInt8] { message("S", []) }

    private static func message(_ type: Unicode.Scalar, _ body: [UInt8]) -> [UInt8] {
        [UInt8(ascii: type)] + integer(body.count + 4) + body
    }
    private static func text(_ value: String) -> [UInt8] { Array(value.utf8) + [0] }
    private static func integer(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}

/// What a `SELECT` brought.
final class PostgresRows: Sendable {
    private let rows = Atomic(0)

    var count: Int { rows.load(ordering: .relaxed) }

    func add() { rows.add(1, ordering: .relaxed) }
}
