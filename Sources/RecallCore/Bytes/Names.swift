/// The number of an update in its session: 1 for the first, 0 for "before the first".
@frozen
public struct SequenceNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let rawValue: UInt64
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let zero = SequenceNumber(0)

    @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// The number after this one. Saturates; no session lives for 2^64 updates.
    @inlinable public var next: SequenceNumber {
        SequenceNumber(rawValue == .max ? .max : rawValue &+ 1)
    }

    /// The number `count` later; saturates.
    package func advanced(by count: Int) -> SequenceNumber {
        let (sum, overflow) = rawValue.addingReportingOverflow(UInt64(clamping: count))
        return SequenceNumber(overflow ? .max : sum)
    }

    /// How many updates lie between `earlier` and this one; 0 if this one is not later.
    package func distance(from earlier: SequenceNumber) -> Int {
        rawValue > earlier.rawValue ? Int(clamping: rawValue - earlier.rawValue) : 0
    }
}

extension SequenceNumber: CustomStringConvertible {
    public var description: String { String(rawValue) }
}

/// Names a session: key id (2 bytes), issuer (6, random at handler start), counter (8).
@frozen
public struct SessionID: Hashable, Sendable, BitwiseCopyable {
    public let high: UInt64, low: UInt64
    public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

    package init(key: KeyID, issuer: UInt64, counter: UInt64) {
        high = UInt64(key.rawValue) << 48 | (issuer & 0xffff_ffff_ffff)
        low = counter
    }

    /// The root secret that the session's keys derive from.
    public var keyID: KeyID { KeyID(UInt16(truncatingIfNeeded: high >> 48)) }
}

extension SessionID: CustomStringConvertible {
    /// 32 hexadecimal digits.
    public var description: String {
        var writer = ByteWriter()
        writer.session(self)
        return hexadecimal(writer.bytes.span.bytes)
    }
}

extension ByteReader {
    package mutating func session() throws(WireError) -> SessionID {
        SessionID(high: try integer(), low: try integer())
    }
    package mutating func number() throws(WireError) -> SequenceNumber { SequenceNumber(try integer()) }
    package mutating func position() throws(WireError) -> Position {
        Position(number: try number(), seal: try digest(), inputs: try digest())
    }
}

extension ByteWriter {
    package mutating func session(_ value: SessionID) {
        integer(value.high)
        integer(value.low)
    }
    package mutating func number(_ value: SequenceNumber) { integer(value.rawValue) }
    package mutating func position(_ value: Position) {
        number(value.number)
        digest(value.seal)
        digest(value.inputs)
    }
}

/// Names a root secret in a key ring.
@frozen
public struct KeyID: Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt16
    public init(_ rawValue: UInt16) { self.rawValue = rawValue }
}

/// A point in a session's history. Two copies of a session agree at a position when all three parts are equal.
@frozen
public struct Position: Hashable, Sendable, BitwiseCopyable {
    /// How many updates the history has up to here.
    public var number: SequenceNumber
    /// The seal of the last of them; binds the content and order of all.
    public var seal: Digest
    /// The digest of all their determinants.
    public var inputs: Digest

    public init(number: SequenceNumber, seal: Digest, inputs: Digest) {
        self.number = number
        self.seal = seal
        self.inputs = inputs
    }

    /// Before the first update.
    public static let start = Position(number: .zero, seal: Digest(), inputs: Digest())
}

/// A reading of a monotonic clock, in nanoseconds from an arbitrary origin. For intervals only; never sealed.
@frozen
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let nanoseconds: Int64
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    public static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Later by `seconds`; saturates.
    package func advanced(byNanoseconds amount: Int64) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(amount)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// Nanoseconds from this reading to a later one; negative if `other` is earlier.
    public func nanoseconds(to other: Instant) -> Int64 { other.nanoseconds &- nanoseconds }
}

/// A reading of the wall clock: nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted.
@frozen
public struct WallTime: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let nanoseconds: Int64
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    public static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
}
