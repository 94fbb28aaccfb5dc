/// Why bytes from a peer or a disk could not be read.
public struct WireError: Error, Equatable, Sendable {
    @usableFromInline enum Reason: UInt8, Sendable { case truncated, malformed, trailing, tooLong }
    @usableFromInline let reason: Reason
    @inlinable init(_ reason: Reason) { self.reason = reason }

    /// The bytes end before the field does.
    @inlinable public static var truncated: Self { Self(.truncated) }
    /// A field has a value that its type does not allow.
    @inlinable public static var malformed: Self { Self(.malformed) }
    /// Bytes are left after the last field.
    @inlinable public static var trailing: Self { Self(.trailing) }
    /// A length is over its limit.
    @inlinable public static var tooLong: Self { Self(.tooLong) }
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch reason {
        case .truncated: "truncated"
        case .malformed: "malformed"
        case .trailing: "trailing bytes"
        case .tooLong: "over its limit"
        }
    }
}

/// Reads big-endian fields from borrowed bytes. Every read is checked; none traps and none copies.
@frozen
public struct ByteReader: ~Escapable {
    /// What has not been read yet.
    public var rest: RawSpan

    @inlinable @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) { rest = bytes }

    /// Bytes left to read.
    @inlinable public var remaining: Int { rest.byteCount }

    /// The next `T.bitWidth / 8` bytes as a big-endian integer.
    @inlinable
    public mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(WireError) -> T {
        let raw = try take(MemoryLayout<T>.size)
        // Sound: `take` has checked that the span holds exactly that many bytes, and any bit pattern is an integer.
        return T(bigEndian: raw.unsafeLoadUnaligned(as: T.self))
    }

    /// The next `count` bytes, borrowed.
    @inlinable @_lifetime(copy self)
    public mutating func take(_ count: Int) throws(WireError) -> RawSpan {
        guard count >= 0, count <= rest.byteCount else { throw .truncated }
        let head = rest.extracting(first: count)
        rest = rest.extracting(droppingFirst: count)
        return head
    }

    /// A 4-byte length and that many bytes, at most `limit`, borrowed.
    @inlinable @_lifetime(copy self)
    public mutating func block(limit: Int) throws(WireError) -> RawSpan {
        let count = Int(clamping: try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        return try take(count)
    }

    /// A 4-byte length and that many bytes of valid UTF-8.
    public mutating func string() throws(WireError) -> String {
        guard let text = try block(limit: Int.max).text else { throw .malformed }
        return text
    }

    /// Insists that everything was read.
    @inlinable public func end() throws(WireError) {
        guard rest.byteCount == 0 else { throw .trailing }
    }
}

/// Appends big-endian fields to an array of bytes.
@frozen
public struct ByteWriter: Sendable {
    /// What was written so far.
    public var bytes: [UInt8]

    @inlinable public init() { bytes = [] }
    @inlinable public init(capacity: Int) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Appends the integer's bytes, most significant first.
    @inlinable
    public mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        bytes.append(addingCapacity: MemoryLayout<T>.size) { span in
            var shift = T.bitWidth - 8
            while shift >= 0 {
                span.append(UInt8(truncatingIfNeeded: value >> shift))
                shift -= 8
            }
        }
    }

    /// Appends the bytes as they are.
    @inlinable
    public mutating func append(_ raw: RawSpan) {
        raw.withUnsafeBytes { bytes.append(contentsOf: $0) }  // Sound: copied within the closure.
    }

    /// Appends a 4-byte length, then the bytes.
    @inlinable
    public mutating func block(_ raw: RawSpan) {
        integer(UInt32(truncatingIfNeeded: raw.byteCount))
        append(raw)
    }

    /// Appends a 4-byte length in bytes, then the text as UTF-8.
    public mutating func string(_ value: String) {
        integer(UInt32(truncatingIfNeeded: value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// Overwrites the 4 bytes at `offset`, which an earlier `integer` of the same width reserved.
    package mutating func patch(_ value: UInt32, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (24 - 8 * index)) }
    }
}

extension RawSpan {
    // Sound, both: the bytes are copied within the closure.

    /// A copy of the bytes.
    @inlinable package var array: [UInt8] { withUnsafeBytes { Array($0) } }
    /// The bytes as text, copied; nil if they are not valid UTF-8.
    package var text: String? { withUnsafeBytes { String(validating: $0, as: UTF8.self) } }
}
