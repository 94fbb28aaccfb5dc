public import RecallCore

/// Turns values of one type into bytes and back: by the kind's codec, or by themselves if they are `BinaryCodable`.
///
/// Two closures and no protocol, so that what is made in an inlinable function is specialised in the user's module.
public struct Coder<T>: Sendable {
    public let encode: @Sendable (T, inout ByteWriter) throws -> Void
    public let decode: @Sendable (RawSpan) throws -> T

    @inlinable
    public init(
        encode: @escaping @Sendable (T, inout ByteWriter) throws -> Void,
        decode: @escaping @Sendable (RawSpan) throws -> T
    ) {
        self.encode = encode
        self.decode = decode
    }
}

extension Coder where T: BinaryCodable {
    /// The type's own bytes, all of them.
    @inlinable public static var binary: Self {
        Self(
            encode: { $0.write(to: &$1) },
            decode: { bytes in
                var reader = ByteReader(bytes)
                let value = try T(reading: &reader)
                try reader.end()
                return value
            })
    }
}

extension Coder where T: Codable & Sendable {
    /// The type's own bytes if it has any, else the codec's. Asked at run time, once for each coder, because a state,
    /// an outcome or a rejection is known only as `Codable` where this is called.
    public static func codable(_ codec: any Codec) -> Self {
        if let binary = T.self as? any BinaryCodable.Type, let coder = binary.coder as? Self { return coder }
        return Self(encode: { try codec.encode($0, to: &$1) }, decode: { try codec.decode(T.self, from: $0) })
    }
}

extension BinaryCodable {
    fileprivate static var coder: any Sendable { Coder<Self>.binary }
}

extension Message {
    public static func _message(_ codec: any Codec) -> Coder<Self> { .codable(codec) }
}

extension Message where Self: BinaryCodable {
    @inlinable public static func _message(_ codec: any Codec) -> Coder<Self> { .binary }
}

extension Message where Reply: Codable {
    public static func _reply(_ codec: any Codec) -> Coder<Reply> { .codable(codec) }
}

extension Message where Reply: BinaryCodable {
    @inlinable public static func _reply(_ codec: any Codec) -> Coder<Reply> { .binary }
}

extension Message where Reply == Void {
    @inlinable public static func _reply(_ codec: any Codec) -> Coder<Reply> {
        Coder(
            encode: { _, _ in },
            decode: { bytes in
                guard bytes.byteCount == 0 else { throw WireError.trailing }
            })
    }
}
