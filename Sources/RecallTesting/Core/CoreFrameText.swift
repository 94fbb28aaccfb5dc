internal import RecallCore

/// Writes frames as a person reads them: what is secret or long has a short name, the same for the same thing.
struct CoreFrameText {
    /// What stands for a position: its number, and a letter for each other history at that number.
    private var branches: [SequenceNumber: [Position]] = [:]
    private var sessions: [SessionID] = []

    private mutating func name(_ position: Position) -> String {
        guard position.number > .zero else { return "the start" }
        var known = branches[position.number, default: []]
        let index: Int
        if let found = known.firstIndex(of: position) {
            index = found
        } else {
            index = known.count
            known.append(position)
        }
        branches[position.number] = known
        return "\(position.number)" + String(repeating: "'", count: index)
    }

    private mutating func name(_ session: SessionID) -> String {
        if !sessions.contains(session) { sessions.append(session) }
        return "session \((sessions.firstIndex(of: session) ?? 0) + 1)"
    }

    /// One line for a frame's body.
    mutating func line(_ body: [UInt8], toServer: Bool) -> String {
        do throws(WireError) {
            var reader = ByteReader(body.span.bytes)
            let type = try reader.frameType()
            return try toServer ? fromClient(type, &reader) : fromServer(type, &reader)
        } catch {
            return "a frame that is \(error)"
        }
    }

    private mutating func fromClient(_ type: FrameType, _ reader: inout ByteReader) throws(WireError) -> String {
        switch type {
        case .clientHello: return "hello"
        case .initiate: return "initiate on stream \(try Initiate(reading: &reader).stream.rawValue)"
        case .attach: return attach(try Attach(reading: &reader))
        case .update: return try update(&reader)
        case .confirm: return "confirm \(name(try Confirm(reading: &reader).position))"
        case .request:
            let frame = try RequestLeaf(reading: &reader)
            return "request \(frame.request.rawValue) on \(frame.number): \(Self.text(reader.rest))"
        case .historyStart: return historyStart(try HistoryStart(reading: &reader))
        case .historySegment: return "  segment \(try HistorySegment(reading: &reader).index)"
        case .historyChunk: return try chunk(&reader)
        case .kept: return "kept the checkpoint at \(name(try Kept(reading: &reader).position))"
        case .ping: return "ping"
        case .detach: return "detach stream \(try Detach(reading: &reader).stream.rawValue)"
        default: return "\(type)"
        }
    }

    private mutating func attach(_ frame: Attach) -> String {
        let claim = frame.claim
        var parts = ["attach \(name(claim.session)) on stream \(frame.stream.rawValue)"]
        parts.append("acknowledged up to \(name(claim.acknowledged))")
        if claim.last > claim.acknowledged.number { parts.append("sent up to \(claim.last)") }
        if let checkpoint = claim.checkpoint { parts.append("a checkpoint at \(checkpoint.number)") }
        if claim.historyFollows { parts.append("the history follows") }
        return parts.joined(separator: ", ")
    }

    private mutating func update(_ reader: inout ByteReader) throws(WireError) -> String {
        let frame = try UpdateRun(reading: &reader)
        var parts: [String] = []
        var number = frame.first
        while reader.remaining > 0 {
            parts.append("\(number) \(Self.text(try reader.block(limit: WireLimits.message)))")
            number = number.next
        }
        let confirmed = frame.confirmed.map { ", confirming \(name($0))" } ?? ""
        return "update \(parts.joined(separator: ", "))\(confirmed)"
    }

    private mutating func historyStart(_ frame: HistoryStart) -> String {
        let base =
            switch frame.base {
            case .gap: "from where the server stands"
            case .start: "from the start"
            case .checkpoint(let header): "from the checkpoint at \(name(header.position))"
            }
        return "history \(frame.recall.rawValue) \(base)"
    }

    private mutating func chunk(_ reader: inout ByteReader) throws(WireError) -> String {
        let frame = try HistoryChunk(reading: &reader)
        var texts: [String] = []
        while reader.remaining > 0 {
            texts.append(Self.text(try reader.block(limit: WireLimits.message)))
            _ = try reader.block(limit: WireLimits.determinants)
        }
        let receipt = frame.receipt.map { "up to the receipt at \(name($0.position))" } ?? "without a receipt"
        return "  chunk \(texts.joined(separator: " ")) \(receipt)\(frame.isLast ? ", the last" : "")"
    }

    private mutating func fromServer(_ type: FrameType, _ reader: inout ByteReader) throws(WireError) -> String {
        switch type {
        case .serverHello: return "hello"
        case .initiated: return "initiated \(name(try Initiated(reading: &reader).session))"
        case .attached:
            let frame = try Attached(reading: &reader)
            return "attached stream \(frame.stream.rawValue)"
                + (frame.replayed > 0 ? ", \(frame.replayed) replayed" : "")
        case .acknowledgement: return try acknowledgement(&reader)
        case .reply:
            let frame = try Reply(reading: &reader)
            let how = frame.status == 0 ? "" : " (status \(frame.status))"
            return "reply \(frame.request.rawValue) on \(frame.number)\(how): \(Self.text(reader.rest))"
        case .recall:
            let frame = try RecallRequest(reading: &reader)
            switch frame.origin {
            case .after(let position): return "recall \(frame.recall.rawValue) after \(name(position))"
            case .newest: return "recall \(frame.recall.rawValue)"
            case .older: return "recall \(frame.recall.rawValue) from the checkpoint before"
            }
        case .credit: return "credit for \(try Credit(reading: &reader).chunks)"
        case .offer:
            let frame = try Offer(reading: &reader)
            return (frame.adoption == nil ? "offer a checkpoint at " : "adopt the state at ")
                + name(frame.header.position)
        case .offerSegment: return "  segment \(try OfferSegment(reading: &reader).index)"
        case .gone: return "gone from stream \(try Gone(reading: &reader).stream.rawValue)"
        case .refusal:
            let frame = try Refusal(reading: &reader)
            return "refused, \(frame.code): \(String(decoding: frame.text, as: UTF8.self))"
        default: return "\(type)"
        }
    }

    private func acknowledgement(_ reader: inout ByteReader) throws(WireError) -> String {
        let frame = try Acknowledgement(reading: &reader)
        var parts: [String] = []
        while reader.remaining > 0 {
            let number = frame.first.advanced(by: Int(clamping: try reader.integer(UInt32.self)))
            let determinants = try Determinants(try reader.block(limit: WireLimits.determinants))
            let reply = try reader.block(limit: WireLimits.reply)
            parts.append(
                "\(number)\(Self.text(determinants))\(reply.byteCount > 0 ? " replied \(Self.text(reply))" : "")")
        }
        let range = frame.first == frame.number ? "\(frame.number)" : "\(frame.first) to \(frame.number)"
        return "acknowledge \(range)" + (parts.isEmpty ? "" : ": " + parts.joined(separator: "; "))
    }

    private static func text(_ determinants: Determinants) -> String {
        let clock = determinants.clock.map { " read the clock at \($0.nanoseconds)" } ?? ""
        switch determinants.ending {
        case .applied: return clock
        case .outcome(let bytes): return clock + " had the outcome \(String(decoding: bytes, as: UTF8.self))"
        case .refused: return clock + " was refused"
        case .failed(let code, _): return clock + " failed with \(FaultCode(rawValue: code))"
        }
    }

    private static func text(_ raw: RawSpan) -> String {
        "'" + String(decoding: raw.array, as: UTF8.self) + "'"
    }
}
