internal import NIOCore

// PostgreSQL's protocol, version 3.0, as far as an INSERT needs it
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
            request: { _, buffer in buffer.writeBytes(body) },
            answers: { buffer in
                var ready = 0
                while let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self).map(Int.init),
                    buffer.readableBytes >= length + 1
                {
                    let type = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self)
                    if type == UInt8(ascii: "E") {
                        throw BenchError(
                            "PostgreSQL: \(buffer.getString(at: buffer.readerIndex + 5, length: length - 4) ?? "")")
                    }
                    if type == UInt8(ascii: "Z") { ready += 1 }
                    buffer.moveReaderIndex(forwardBy: length + 1)
                }
                return ready
            },
            greeting: greeting,
            greetingAnswers: 3)
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
