/// The first byte of a frame's body. Odd or even says nothing; bit 6 is set in frames from the server.
package enum FrameType: UInt8, Sendable, CaseIterable {
    case clientHello = 0x01, initiate, attach, update, confirm, request, historyStart, historySegment, historyChunk
    case kept = 0x0a, ping, detach
    case serverHello = 0x41, initiated, attached, acknowledgement, reply, recall, credit, offer, offerSegment
    case gone = 0x4a, pong, refusal, drain
}

/// Names a session on one connection: chosen by the client, ascending, never reused there. 0 is the connection itself.
package struct StreamID: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }
    package static let connection = StreamID(0)
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Names a recall on a stream. 0 is a history that came along unasked.
package struct RecallID: Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }
    package static let unasked = RecallID(0)
}

/// Names a request on a stream.
package struct RequestID: Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32
    package init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A frame's fields: everything after the type byte, or the part before a variable tail.
package protocol FrameFields: Sendable {
    static var type: FrameType { get }
    func write(to writer: inout ByteWriter)
    init(reading reader: inout ByteReader) throws(WireError)
}

extension ByteWriter {
    /// Appends a whole frame: length (4), type (1), fields, then whatever `tail` appends.
    package mutating func frame<F: FrameFields>(_ fields: F, tail: (inout ByteWriter) -> Void = { _ in }) {
        let start = bytes.count
        // Most frames fit, and a growing array would be moved four times on the way.
        if start == 0 { bytes.reserveCapacity(160) }
        integer(UInt32(0))
        integer(F.type.rawValue)
        fields.write(to: &self)
        tail(&self)
        patch(UInt32(truncatingIfNeeded: bytes.count - start - 4), at: start)
    }

    /// Appends a frame that has no fields.
    package mutating func frame(_ type: FrameType) {
        integer(UInt32(1))
        integer(type.rawValue)
    }

    package mutating func stream(_ value: StreamID) { integer(value.rawValue) }

    /// A 1-byte length, then the name, at most 255 bytes.
    package mutating func name(_ value: [UInt8]) {
        integer(UInt8(truncatingIfNeeded: value.count))
        bytes.append(contentsOf: value)
    }
}

extension ByteReader {
    package mutating func stream() throws(WireError) -> StreamID { StreamID(try integer()) }

    package mutating func name() throws(WireError) -> [UInt8] {
        let count = Int(try integer(UInt8.self))
        guard count > 0 else { throw .malformed }
        return try take(count).array
    }

    /// 0 or 1.
    package mutating func flag() throws(WireError) -> Bool {
        switch try integer(UInt8.self) {
        case 0: false
        case 1: true
        default: throw .malformed
        }
    }

    /// A frame's type; `malformed` if there is no such type.
    package mutating func frameType() throws(WireError) -> FrameType {
        guard let type = FrameType(rawValue: try integer()) else { throw .malformed }
        return type
    }
}

/// Cuts a stream of bytes into frames. Feed bytes, then take frames until nil; bytes are copied once, into the buffer.
package struct FrameSplitter: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    private let limit: Int

    package init(limit: Int = WireLimits.frame) { self.limit = limit }

    /// Bytes held that are not a whole frame yet.
    package var pending: Int { buffer.count - start }

    package mutating func feed(_ raw: RawSpan) {
        if start > 0, start == buffer.count || start > 1 << 16 {
            buffer.removeFirst(start)
            start = 0
        }
        raw.withUnsafeBytes { buffer.append(contentsOf: $0) }  // Sound: copied within the closure.
    }

    /// Calls `body` with the next frame's body, if a whole one is there. Throws `tooLong` on a length over the limit
    /// and `malformed` on an empty frame; the stream cannot be read on after that.
    package mutating func next<E: Error>(
        _ body: (RawSpan) throws(E) -> Void, invalid: (WireError) -> E
    ) throws(E) -> Bool {
        guard buffer.count - start >= 4 else { return false }
        let length = (0..<4).reduce(0) { $0 << 8 | Int(buffer[start + $1]) }
        guard length <= limit else { throw invalid(.tooLong) }
        guard length > 0 else { throw invalid(.malformed) }
        guard buffer.count - start - 4 >= length else { return false }
        let first = start + 4
        start = first + length
        try body(buffer.span.bytes.extracting(first..<(first + length)))
        return true
    }
}
