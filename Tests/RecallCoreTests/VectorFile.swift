import Foundation
import RecallCore

/// A value in one of the files of `Tests/Vectors`, whose format their README describes.
indirect enum Vector: Decodable, Sendable, Equatable {
    case null
    case flag(Bool)
    case integer(Int64)
    case text(String)
    case list([Vector])
    case object([String: Vector])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .flag(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([Vector].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: Vector].self))
        }
    }

    /// The file of that name.
    static func file(_ name: String) throws -> Vector {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appendingPathComponent("Vectors").appendingPathComponent(name + ".json")
        return try JSONDecoder().decode(Vector.self, from: Data(contentsOf: file))
    }
}

/// A file does not have the form that is expected here.
struct MisreadVector: Error {
    var what: String
    init(_ what: String) { self.what = what }
}

/// Fields by name.
extension Vector {
    subscript(_ key: String) -> Vector {
        get throws {
            guard case .object(let fields) = self, let value = fields[key] else { throw MisreadVector(key) }
            return value
        }
    }

    /// The field; nil if it is null.
    func optional(_ key: String) throws -> Vector? {
        let value = try self[key]
        return value == .null ? nil : value
    }

    func list(_ key: String) throws -> [Vector] { try self[key].list }
    func bytes(_ key: String) throws -> [UInt8] { try self[key].bytes }
    func digest(_ key: String) throws -> Digest { try self[key].digest }
    func text(_ key: String) throws -> String { try self[key].text }
    func number(_ key: String) throws -> SequenceNumber { SequenceNumber(try integer(key)) }
    func position(_ key: String) throws -> Position { try self[key].position }
    func integer<T: FixedWidthInteger>(_ key: String) throws -> T { try self[key].integer() }
    func time(_ key: String) throws -> WallTime { WallTime(nanoseconds: try integer(key)) }
    func stream() throws -> StreamID { StreamID(try integer("stream")) }
    func recall() throws -> RecallID { RecallID(try integer("recall")) }
    func request() throws -> RequestID { RequestID(try integer("request")) }

    func flag(_ key: String) throws -> Bool {
        guard case .flag(let value) = try self[key] else { throw MisreadVector(key) }
        return value
    }
}

/// What a value stands for.
extension Vector {
    var list: [Vector] {
        get throws {
            guard case .list(let values) = self else { throw MisreadVector("a list") }
            return values
        }
    }

    var text: String {
        get throws {
            guard case .text(let value) = self else { throw MisreadVector("a text") }
            return value
        }
    }

    /// A JSON number, or a decimal string.
    func integer<T: FixedWidthInteger>() throws -> T {
        switch self {
        case .integer(let value):
            guard let value = T(exactly: value) else { throw MisreadVector("an integer in range") }
            return value
        case .text(let digits):
            guard let value = T(digits) else { throw MisreadVector("an integer in range") }
            return value
        default: throw MisreadVector("an integer")
        }
    }

    /// From hexadecimal digits.
    var bytes: [UInt8] {
        get throws {
            let digits = Array(try text.utf8)
            guard digits.count.isMultiple(of: 2) else { throw MisreadVector("hexadecimal digits") }
            return try stride(from: 0, to: digits.count, by: 2).map { index in
                let pair = String(decoding: digits[index..<(index + 2)], as: UTF8.self)
                guard let byte = UInt8(pair, radix: 16) else { throw MisreadVector("hexadecimal digits") }
                return byte
            }
        }
    }

    var digest: Digest {
        get throws {
            guard let digest = Digest(try bytes) else { throw MisreadVector("32 bytes") }
            return digest
        }
    }

    var position: Position {
        get throws { Position(number: try number("n"), seal: try digest("seal"), inputs: try digest("d")) }
    }

    var receipt: Receipt {
        get throws {
            let bytes = try self.bytes
            var reader = ByteReader(bytes.span.bytes)
            let receipt = try reader.receipt()
            try reader.end()
            return receipt
        }
    }

    var header: CheckpointHeader {
        get throws {
            let bytes = try self.bytes
            var reader = ByteReader(bytes.span.bytes)
            let header = try CheckpointHeader(reading: &reader)
            try reader.end()
            return header
        }
    }

    var session: SessionID {
        get throws {
            let bytes = try self.bytes
            var reader = ByteReader(bytes.span.bytes)
            let session = try reader.session()
            try reader.end()
            return session
        }
    }
}
