/// 32 bytes: a SHA-256 digest, a seal, an HMAC or a key. Compared in constant time.
@frozen
public struct Digest: Sendable, BitwiseCopyable {
    // Four words in memory order, so that the value is trivial and has no heap storage.
    @usableFromInline var w0: UInt64, w1: UInt64, w2: UInt64, w3: UInt64

    /// Length in bytes.
    @inlinable public static var byteCount: Int { 32 }

    /// 32 zero bytes: the seal and digests before the first message.
    @inlinable public init() { (w0, w1, w2, w3) = (0, 0, 0, 0) }

    /// Nil unless there are exactly 32 bytes.
    @inlinable public init?(_ raw: RawSpan) {
        guard raw.byteCount == 32 else { return nil }
        // Sound: the length was just checked, and any bit pattern is a digest.
        w0 = raw.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self)
        w1 = raw.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self)
        w2 = raw.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt64.self)
        w3 = raw.unsafeLoadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }

    /// Nil unless there are exactly 32 bytes.
    @inlinable public init?(_ bytes: [UInt8]) { self.init(bytes.span.bytes) }

    /// Calls `body` with the 32 bytes.
    @inlinable
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        // 32 bytes of four trivial words in declaration order: the layout of an InlineArray of them.
        let words: InlineArray<4, UInt64> = [w0, w1, w2, w3]
        return try body(words.span.bytes)
    }

    /// The 32 bytes, copied.
    public var bytes: [UInt8] { withBytes { $0.array } }
}

extension Digest: Equatable, Hashable {
    /// Looks at every bit, whatever the first difference is: a seal's prefix must not be learnt from timing.
    @inlinable
    public static func == (a: Self, b: Self) -> Bool {
        ((a.w0 ^ b.w0) | (a.w1 ^ b.w1) | (a.w2 ^ b.w2) | (a.w3 ^ b.w3)) == 0
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(w0)
        hasher.combine(w1)
        hasher.combine(w2)
        hasher.combine(w3)
    }
}

extension Digest: CustomStringConvertible {
    /// 64 hexadecimal digits.
    public var description: String { withBytes { hexadecimal($0) } }
}

/// Lower-case hexadecimal digits, two for each byte.
package func hexadecimal(_ raw: RawSpan) -> String {
    let digits: StaticString = "0123456789abcdef"
    var text: [UInt8] = []
    text.reserveCapacity(raw.byteCount * 2)
    for index in 0..<raw.byteCount {
        // Sound: within the bounds, and four bits name one of sixteen digits.
        let byte = raw.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        text.append(digits.utf8Start[Int(byte >> 4)])
        text.append(digits.utf8Start[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}

extension ByteReader {
    /// The next 32 bytes.
    package mutating func digest() throws(WireError) -> Digest {
        let raw = try take(Digest.byteCount)
        guard let digest = Digest(raw) else { throw .malformed }
        return digest
    }
}

extension ByteWriter {
    /// Appends the 32 bytes.
    package mutating func digest(_ value: Digest) { value.withBytes { append($0) } }
}
