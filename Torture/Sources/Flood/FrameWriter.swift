/// Writes fields as docs/protocol.md has them.
struct FrameWriter: Sendable {
    var bytes: [UInt8] = []

    init(type: UInt8) { bytes = [type] }
    init() {}

    mutating func integer<I: FixedWidthInteger & UnsignedInteger>(_ value: I) {
        for shift in stride(from: I.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> I(shift)))
        }
    }

    mutating func append(_ more: [UInt8]) { bytes += more }

    mutating func block(_ more: [UInt8]) {
        integer(UInt32(more.count))
        bytes += more
    }

    mutating func name(_ text: String) {
        integer(UInt8(text.utf8.count))
        bytes += Array(text.utf8)
    }

    /// The body with its length before it.
    var frame: [UInt8] { Self.frame(bytes) }

    static func frame(_ body: [UInt8]) -> [UInt8] {
        var writer = FrameWriter()
        writer.block(body)
        return writer.bytes
    }

    static let zeros = [UInt8](repeating: 0, count: 32)

    static var hello: [UInt8] {
        var writer = FrameWriter(type: 0x01)
        writer.append(Array("RCAL".utf8))
        writer.integer(UInt16(1))
        writer.block([])
        return writer.bytes
    }

    static func initiate(stream: UInt32, kind: String) -> [UInt8] {
        var writer = FrameWriter(type: 0x02)
        writer.integer(stream)
        writer.integer(UInt32(1))
        writer.name(kind)
        return writer.bytes
    }

    static func ping(_ token: UInt64) -> [UInt8] {
        var writer = FrameWriter(type: 0x0b)
        writer.integer(token)
        return writer.bytes
    }

    /// An attach to a session that nothing was sent to yet, sealed as the server wants it.
    static func attach(stream: UInt32, kind: String, session: [UInt8], vector: [UInt8], nonce: [UInt8]) -> [UInt8] {
        var claim = FrameWriter()
        claim.append(session)
        claim.integer(UInt32(1))
        claim.name(kind)
        claim.append([0])  // no receipt
        claim.integer(UInt64(0))
        claim.append(zeros)
        claim.append([0, 0])  // no checkpoint, and no history follows

        var sealed = FrameWriter()
        sealed.append(vector + zeros + Array("seal".utf8) + [1, 3])
        sealed.integer(UInt64(0))
        sealed.block(claim.bytes + nonce)

        var writer = FrameWriter(type: 0x03)
        writer.integer(stream)
        writer.append(SHA256Digest.of(sealed.bytes))
        writer.append(claim.bytes)
        return writer.bytes
    }
}
