internal import Foundation

/// Makes frames that no client sends: from the protocol's description, and by altering the bytes of its test vectors.
struct MalformedFrames: Sendable {
    /// When it is sent.
    enum Moment: Hashable, Sendable, CaseIterable {
        case beforeHello
        case afterHello
        /// On a stream with a session, attached in order.
        case onStream
    }

    struct Sample: Sendable {
        var moment: Moment
        /// As it goes onto the wire, with a length that may be a lie.
        var bytes: [UInt8]
    }

    private let valid: [[UInt8]]
    private let refused: [[UInt8]]
    private let ofServers: [[UInt8]]
    private let lengths: [[UInt8]]

    /// - Parameter path: the file `frames.json` of the test vectors.
    init(vectors path: String) throws(TortureError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .badVectors(path: path, reason: "it cannot be read")
        }
        guard let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] else {
            throw .badVectors(path: path, reason: "it is no JSON object")
        }
        valid = Self.bodies(object["client"])
        refused = Self.bodies(object["refusedFromClient"])
        ofServers = Self.bodies(object["server"])
        lengths = (object["refusedLengths"] as? [String] ?? []).compactMap(Self.bytes)
        guard !valid.isEmpty, !refused.isEmpty, !ofServers.isEmpty, !lengths.isEmpty else {
            throw .badVectors(path: path, reason: "lists are missing")
        }
    }

    func next(_ random: inout SeededGenerator, stream: UInt32) -> Sample {
        let moment: Moment = random.chance(0.1) ? .beforeHello : random.chance(0.25) ? .onStream : .afterHello
        let bytes: [UInt8] =
            switch random.below(100) {
            case ..<25: FrameWriter.frame(onStream(pick(refused, &random), stream, moment))
            case ..<65: altered(onStream(pick(valid, &random), stream, moment), &random)
            case ..<72: FrameWriter.frame(pick(ofServers, &random))
            case ..<80: FrameWriter.frame([UInt8(random.below(16))] + random.bytes(random.below(300)))
            case ..<85: pick(lengths, &random) + random.bytes(random.below(64))
            case ..<90: random.bytes(1 + random.below(500))
            default: written(&random, stream)
            }
        return Sample(moment: moment, bytes: bytes)
    }

    private func pick(_ list: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] { list[random.below(list.count)] }

    /// The body for the stream that has a session: every frame but hello and ping has its stream after its type.
    private func onStream(_ body: [UInt8], _ stream: UInt32, _ moment: Moment) -> [UInt8] {
        guard moment == .onStream, body.count >= 5, ![0x01, 0x0b].contains(body[0]) else { return body }
        var writer = FrameWriter(type: body[0])
        writer.integer(stream)
        return writer.bytes + body[5...]
    }

    private func altered(_ body: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var body = body
        switch random.below(6) {
        case 0:
            for _ in 0...random.below(4) where !body.isEmpty {
                body[random.below(body.count)] ^= 1 << UInt8(random.below(8))
            }
        case 1: body.removeLast(min(body.count, 1 + random.below(body.count)))
        case 2: body += random.bytes(1 + random.below(40))
        case 3:
            // Where a length or a number stands, often.
            let place = random.below(max(1, body.count - 4))
            for offset in 0..<4 where place + offset < body.count { body[place + offset] = 0xff }
        case 4:
            let place = random.below(body.count + 1)
            body.insert(contentsOf: random.bytes(1 + random.below(16)), at: place)
        default:
            let (first, second) = (random.below(body.count + 1), random.below(body.count + 1))
            body.removeSubrange(min(first, second)..<max(first, second))
        }
        guard random.chance(0.1) else { return FrameWriter.frame(body) }
        // The length before it says something else.
        var writer = FrameWriter()
        writer.integer(UInt32(truncatingIfNeeded: body.count + 1 + random.below(200) - 100))
        return writer.bytes + body
    }

    /// From the protocol's words.
    private func written(_ random: inout SeededGenerator, _ stream: UInt32) -> [UInt8] {
        switch random.below(7) {
        case 0: return FrameWriter.frame(FrameWriter.hello)  // a second one
        case 1: return FrameWriter.frame(FrameWriter.initiate(stream: 0, kind: "text"))
        case 2:
            let attach = FrameWriter.attach(
                stream: stream &+ 7, kind: "text", session: random.bytes(16), vector: random.bytes(32),
                nonce: random.bytes(32))
            return FrameWriter.frame(attach)
        case 3, 4:
            // Updates: a wrong seal, or more contents than a frame may have.
            var writer = FrameWriter(type: 0x04)
            writer.integer(stream)
            writer.append([0])
            writer.integer(UInt64(1))
            writer.append(random.bytes(32))
            for _ in 0..<(random.chance(0.5) ? 1 : 1025) { writer.block([1]) }
            return writer.frame
        case 5:
            // A history that nobody asked for.
            var writer = FrameWriter(type: 0x09)
            writer.integer(stream)
            writer.integer(UInt32(random.below(3)))
            writer.append([1])
            writer.integer(UInt64(1))
            writer.append([0])
            return writer.frame
        default:
            // A confirmation of what there never was.
            var writer = FrameWriter(type: 0x05)
            writer.integer(stream)
            writer.integer(random.next())
            writer.append(random.bytes(64))
            return writer.frame
        }
    }

    private static func bodies(_ list: Any?) -> [[UInt8]] {
        (list as? [[String: Any]] ?? []).compactMap { $0["bytes"] as? String }.compactMap(bytes)
    }

    private static func bytes(_ hexadecimal: String) -> [UInt8]? {
        let digits = Array(hexadecimal.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
