public import RecallCore

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// How a kind's `Codable` values become bytes. A ``BinaryCodable`` type bypasses it.
///
/// Equal values must give equal bytes in every process, on every platform and in every later version of the codec:
/// bytes are sealed, logged and compared.
public protocol Codec: Sendable {
    /// Appends the value's bytes to the writer. Throws if the value has no encoding.
    func encode(_ value: some Encodable, to writer: inout ByteWriter) throws

    /// Reads a value of exactly these bytes, which come from a peer or a disk: whatever they are, it returns or throws.
    func decode<T: Decodable>(_ type: T.Type, from bytes: RawSpan) throws -> T
}

/// JSON with sorted keys; infinities and NaN as the strings "inf", "-inf" and "nan"; dates as seconds since 2001.
///
/// Readable, tolerant of added optional fields, and slow: a message of two numbers and a word takes 2 to 5 microseconds
/// each way, which is ten times the SHA-256 that seals it; a state of 50 kB takes 1 to 2 milliseconds. Where that
/// matters, make the hot message ``BinaryCodable`` (0.1 to 0.2 microseconds) and leave the rest.
///
/// Keys are sorted, but the elements of a `Set`, and of a `Dictionary` with keys other than `String` or `Int`, come in
/// hash order, which differs from process to process. Keep these out of replies.
public struct JSONCodec: Codec {
    // Made once: to make one takes a tenth of what a small message does. Neither is changed afterwards.
    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }()
    private static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }()

    public init() {}

    public func encode(_ value: some Encodable, to writer: inout ByteWriter) throws {
        writer.bytes.append(contentsOf: try Self.encoder.encode(value))
    }

    public func decode<T: Decodable>(_ type: T.Type, from bytes: RawSpan) throws -> T {
        // The copy is the price of JSONDecoder's interface: it takes Data, and promises nothing about keeping it.
        // Sound: it is made within the closure.
        try Self.decoder.decode(type, from: bytes.withUnsafeBytes { Data($0) })
    }
}

extension Codec where Self == JSONCodec {
    /// JSON with sorted keys.
    public static var json: Self { Self() }
}

/// A type that writes and reads its own bytes, instead of the kind's codec: ten to thirty times as fast as JSON.
///
/// ```swift
/// struct Move: UpdateMessage, BinaryCodable {
///     var x: Int32, y: Int32
///     func write(to writer: inout ByteWriter) { writer.integer(x); writer.integer(y) }
///     init(reading reader: inout ByteReader) throws(WireError) {
///         x = try reader.integer()
///         y = try reader.integer()
///     }
///     …
/// }
/// ```
///
/// A format of your own is yours to keep: old logs hold old bytes.
public protocol BinaryCodable: Codable, Sendable {
    /// Appends all that `init(reading:)` needs.
    func write(to writer: inout ByteWriter)

    /// Reads what `write(to:)` wrote; bytes left over are an error that the caller reports. The bytes come from a peer
    /// or a disk: check lengths and convert with `init(exactly:)`, for a trap here ends the server.
    init(reading reader: inout ByteReader) throws(WireError)
}
