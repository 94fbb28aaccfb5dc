/// What an update took from outside its state and content. Logged by the client beside the message, so that a replay
/// sees the same.
///
/// Encoded as entries in this order, each at most once: clock (1, nanoseconds 8), outcome (2, length 4, bytes), refusal
/// (3, length 4, bytes), failure (4, code 2, length 4, UTF-8). At most one of the last three. Nothing encodes as
/// nothing.
public struct Determinants: Hashable, Sendable {
    /// How the update ended.
    public enum Ending: Hashable, Sendable {
        /// It was applied, and reached for nothing outside.
        case applied
        /// Its effect ran and returned this outcome, encoded by the kind's codec; applied to the state.
        case outcome([UInt8])
        /// Its `validate` refused it with this rejection, encoded by the kind's codec; the state is as before.
        case refused([UInt8])
        /// It could not be applied (unknown message, undecodable content, failed effect, poison); the state is as
        /// before.
        case failed(code: UInt16, text: [UInt8])
    }

    /// The wall clock, if the update read it.
    public var clock: WallTime?
    public var ending: Ending

    public init(clock: WallTime? = nil, ending: Ending = .applied) {
        self.clock = clock
        self.ending = ending
    }

    public var isEmpty: Bool { clock == nil && ending == .applied }

    /// Longest text of a failure, in bytes; longer ones are cut.
    static let maximumTextLength = 1024

    package func write(to writer: inout ByteWriter) {
        if let clock {
            writer.integer(UInt8(1))
            writer.integer(clock.nanoseconds)
        }
        switch ending {
        case .applied: break
        case .outcome(let bytes):
            writer.integer(UInt8(2))
            writer.block(bytes.span.bytes)
        case .refused(let bytes):
            writer.integer(UInt8(3))
            writer.block(bytes.span.bytes)
        case .failed(let code, let text):
            writer.integer(UInt8(4))
            writer.integer(code)
            writer.block(text.span.bytes.extracting(first: min(text.count, Self.maximumTextLength)))
        }
    }

    package var encoded: [UInt8] {
        var writer = ByteWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// Strict: one byte sequence for each value, or `malformed`.
    package init(_ raw: RawSpan) throws(WireError) {
        self.init()
        var reader = ByteReader(raw)
        if reader.remaining > 0, try Self.peek(raw) == 1 {
            _ = try reader.integer(UInt8.self)
            clock = WallTime(nanoseconds: try reader.integer())
        }
        if reader.remaining > 0 {
            switch try reader.integer(UInt8.self) {
            case 2: ending = .outcome(try reader.block(limit: Int.max).array)
            case 3: ending = .refused(try reader.block(limit: Int.max).array)
            case 4:
                let code = try reader.integer(UInt16.self)
                ending = .failed(code: code, text: try reader.block(limit: Self.maximumTextLength).array)
            default: throw .malformed
            }
        }
        try reader.end()
    }

    private static func peek(_ raw: RawSpan) throws(WireError) -> UInt8 {
        var reader = ByteReader(raw)
        return try reader.integer(UInt8.self)
    }
}
