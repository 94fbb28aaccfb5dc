internal import NIOCore
internal import RecallCore

/// Reads what goes over a connection's wire, by `docs/protocol.md` and without the code that wrote it.
final class WireTap {
    /// A frame as far as the checker wants to know.
    enum Frame {
        /// The position of the receipt that it shows; that of the start without one.
        case attach(stream: UInt32, session: [UInt8], acknowledged: WirePosition, last: UInt64)
        /// Contents of updates from a number on.
        case update(stream: UInt32, confirmed: WirePosition?, first: UInt64, contents: [[UInt8]])
        case confirm(stream: UInt32, WirePosition)
        case request(stream: UInt32)
        /// A part of a history: the base if it is the first, and the position of the checkpoint or receipt in it.
        case history(stream: UInt32, base: UInt8?, WirePosition?)
        case kept(stream: UInt32, WirePosition)
        case detach(stream: UInt32)
        case attached(stream: UInt32, replayed: UInt64)
        /// With the digest of all determinants up to its last update.
        case acknowledgement(stream: UInt32, first: UInt64, last: UInt64, inputs: [UInt8])
        case reply(stream: UInt32, number: UInt64)
        /// The position that the history is to go on after, if it is.
        case recall(stream: UInt32, after: WirePosition?)
        case credit(stream: UInt32)
        /// A checkpoint, to be kept or to be adopted.
        case offer(stream: UInt32, isAdoption: Bool)
        case gone(stream: UInt32)
        case refusal(stream: UInt32, code: UInt16)
        case other(type: UInt8)
    }

    private var pendingUp: [UInt8] = []
    private var pendingDown: [UInt8] = []
    /// Each frame that is sent, with its type and its size.
    var onFrame: (_ toServer: Bool, Frame, _ whole: ArraySlice<UInt8>) -> Void = { _, _, _ in }

    func sentToServer(_ bytes: ByteBuffer) { _ = cut(&pendingUp, bytes, toServer: true) }
    /// True if there is an acknowledgement among the frames.
    func sentToClient(_ bytes: ByteBuffer) -> Bool { cut(&pendingDown, bytes, toServer: false) }

    private func cut(_ pending: inout [UInt8], _ bytes: ByteBuffer, toServer: Bool) -> Bool {
        var acknowledges = false
        pending.append(contentsOf: bytes.readableBytesView)
        var start = 0
        while pending.count - start >= 5 {
            let length = Int(Self.integer(pending, start, 4))
            guard pending.count - start - 4 >= length, length > 0 else { break }
            let whole = pending[start..<(start + 4 + length)]
            if !toServer, whole[start + 4] == 0x44 { acknowledges = true }
            onFrame(toServer, Self.frame(pending, start + 4, start + 4 + length), whole)
            start += 4 + length
        }
        if start > 0 { pending.removeFirst(start) }
        return acknowledges
    }

    private static func integer(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in offset..<(offset + count) where index < bytes.count { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    private static func position(_ bytes: [UInt8], _ offset: Int) -> WirePosition {
        guard offset + 72 <= bytes.count else { return WirePosition() }
        return WirePosition(
            number: integer(bytes, offset, 8), seal: Array(bytes[(offset + 8)..<(offset + 40)]),
            inputs: Array(bytes[(offset + 40)..<(offset + 72)]))
    }

    private static func frame(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Frame {
        let type = bytes[start]
        let stream = UInt32(truncatingIfNeeded: integer(bytes, start + 1, 4))
        let fields = start + 5
        switch type {
        case 0x03: return attach(bytes, fields, stream)
        case 0x04: return update(bytes, fields, end, stream)
        case 0x05: return .confirm(stream: stream, position(bytes, fields))
        case 0x06: return .request(stream: stream)
        case 0x07:
            let base = fields + 4 < end ? bytes[fields + 4] : nil
            // In a checkpoint's header the kind's version comes first.
            return .history(stream: stream, base: base, base == 2 ? position(bytes, fields + 9) : nil)
        case 0x08: return .history(stream: stream, base: nil, nil)
        case 0x09:
            let hasReceipt = fields + 13 < end && bytes[fields + 13] == 1
            return .history(stream: stream, base: nil, hasReceipt ? position(bytes, fields + 14) : nil)
        case 0x0a: return .kept(stream: stream, position(bytes, fields))
        case 0x0c: return .detach(stream: stream)
        case 0x43: return .attached(stream: stream, replayed: integer(bytes, fields, 8))
        case 0x44:
            return .acknowledgement(
                stream: stream, first: integer(bytes, fields, 8), last: integer(bytes, fields + 8, 8),
                inputs: Array(bytes[min(fields + 16, end)..<min(fields + 48, end)]))
        case 0x45: return .reply(stream: stream, number: integer(bytes, fields + 4, 8))
        case 0x46:
            let isGap = fields + 5 < end && bytes[fields + 5] == 0
            return .recall(stream: stream, after: isGap ? position(bytes, fields + 6) : nil)
        case 0x47: return .credit(stream: stream)
        // Behind a checkpoint's header.
        case 0x48: return .offer(stream: stream, isAdoption: fields + 120 < end && bytes[fields + 120] == 1)
        case 0x4a: return .gone(stream: stream)
        case 0x4c: return .refusal(stream: stream, code: UInt16(truncatingIfNeeded: integer(bytes, fields, 2)))
        default: return .other(type: type)
        }
    }

    private static func attach(_ bytes: [UInt8], _ fields: Int, _ stream: UInt32) -> Frame {
        var offset = fields + 32
        guard offset + 22 <= bytes.count else { return .other(type: 0x03) }
        let session = Array(bytes[offset..<(offset + 16)])
        offset += 20
        offset += 1 + Int(bytes[offset])
        var acknowledged = WirePosition.start
        guard offset < bytes.count else { return .other(type: 0x03) }
        let hasReceipt = bytes[offset] == 1
        offset += 1
        if hasReceipt {
            acknowledged = position(bytes, offset)
            offset += 144
        }
        return .attach(
            stream: stream, session: session, acknowledged: acknowledged, last: integer(bytes, offset, 8))
    }

    private static func update(_ bytes: [UInt8], _ fields: Int, _ end: Int, _ stream: UInt32) -> Frame {
        var offset = fields + 1
        var confirmed: WirePosition?
        if bytes[fields] == 1 {
            confirmed = position(bytes, offset)
            offset += 72
        }
        let first = integer(bytes, offset, 8)
        offset += 40
        var contents: [[UInt8]] = []
        while offset + 4 <= end {
            let count = Int(integer(bytes, offset, 4))
            guard offset + 4 + count <= end else { break }
            contents.append(Array(bytes[(offset + 4)..<(offset + 4 + count)]))
            offset += 4 + count
        }
        return .update(stream: stream, confirmed: confirmed, first: first, contents: contents)
    }
}

extension WireTap.Frame {
    /// The stream that it is on, if that is a session's.
    var stream: UInt32? {
        switch self {
        case .attach(let stream, _, _, _), .update(let stream, _, _, _), .confirm(let stream, _),
            .request(let stream), .history(let stream, _, _), .kept(let stream, _), .detach(let stream),
            .attached(let stream, _), .acknowledgement(let stream, _, _, _), .reply(let stream, _),
            .recall(let stream, _), .credit(let stream), .offer(let stream, _), .gone(let stream),
            .refusal(let stream, _):
            stream
        case .other: nil
        }
    }
}

/// A position as it is on the wire.
struct WirePosition: Hashable {
    var number: UInt64 = 0
    var seal: [UInt8] = []
    var inputs: [UInt8] = []

    /// Before the first update.
    static let start = WirePosition(Position.start)
}

extension WirePosition {
    init(_ position: Position) {
        self.init(
            number: position.number.rawValue, seal: position.seal.bytes, inputs: position.inputs.bytes)
    }
}

extension WireTap.Frame: CustomStringConvertible {
    var description: String {
        switch self {
        case .attach(let stream, _, let acknowledged, let last): "attach \(stream) at \(acknowledged.number)/\(last)"
        case .update(let stream, let confirmed, let first, let contents):
            "update \(stream) \(first)...\(first + UInt64(contents.count) - 1)"
                + (confirmed.map { " confirms \($0.number)" } ?? "")
        case .confirm(let stream, let position): "confirm \(stream) \(position.number)"
        case .request(let stream): "request \(stream)"
        case .history(let stream, let base, _):
            switch base {
            case 0: "history \(stream) of what is missing"
            case 1: "history \(stream) from the start"
            case 2: "history \(stream) from a checkpoint"
            default: "history \(stream)"
            }
        case .kept(let stream, let position): "kept \(stream) \(position.number)"
        case .detach(let stream): "detach \(stream)"
        case .attached(let stream, let replayed): "attached \(stream), \(replayed) replayed"
        case .acknowledgement(let stream, let first, let last, _): "acknowledgement \(stream) \(first)...\(last)"
        case .reply(let stream, let number): "reply \(stream) at \(number)"
        case .recall(let stream, let position):
            "recall \(stream)" + (position.map { " after \($0.number)" } ?? "")
        case .credit(let stream): "credit \(stream)"
        case .offer(let stream, let isAdoption): "offer \(stream)\(isAdoption ? " to adopt" : "")"
        case .gone(let stream): "gone \(stream)"
        case .refusal(let stream, let code): "refusal \(stream) \(code)"
        case .other(let type): "frame \(String(type, radix: 16))"
        }
    }
}
