// Frames from server to client. Layouts: docs/protocol.md, section "Frames".

/// The server's answer to the client's hello.
package struct ServerHello: FrameFields {
    package static let type = FrameType.serverHello
    package var version = protocolVersion
    /// What the client may have in flight on one stream.
    package var windowMessages: UInt32
    package var windowBytes: UInt32
    /// Random; every attach on this connection is sealed over it, so that none can be played back.
    package var nonce: Digest

    package init(windowMessages: UInt32, windowBytes: UInt32, nonce: Digest) {
        (self.windowMessages, self.windowBytes, self.nonce) = (windowMessages, windowBytes, nonce)
    }

    package func write(to writer: inout ByteWriter) {
        writer.integer(protocolMagic)
        writer.integer(version)
        writer.integer(windowMessages)
        writer.integer(windowBytes)
        writer.digest(nonce)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        guard try reader.integer(UInt32.self) == protocolMagic else { throw .malformed }
        (version, windowMessages, windowBytes) = (try reader.integer(), try reader.integer(), try reader.integer())
        nonce = try reader.digest()
        try reader.end()
        guard windowMessages > 0, windowBytes > 0 else { throw .malformed }
    }
}

/// A new session's id and initialization vector.
package struct Initiated: FrameFields {
    package static let type = FrameType.initiated
    package var stream: StreamID
    package var session: SessionID
    package var vector: Digest

    package init(stream: StreamID, session: SessionID, vector: Digest) {
        (self.stream, self.session, self.vector) = (stream, session, vector)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.session(session)
        writer.digest(vector)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, session, vector) = (try reader.stream(), try reader.session(), try reader.digest())
        try reader.end()
    }
}

/// The session is live on this stream.
package struct Attached: FrameFields {
    package static let type = FrameType.attached
    package var stream: StreamID
    /// How many messages were replayed for it; 0 if a copy was there.
    package var replayed: UInt64
    /// How long the recall took, in microseconds, from the attach on.
    package var microseconds: UInt64

    package init(stream: StreamID, replayed: UInt64, microseconds: UInt64) {
        (self.stream, self.replayed, self.microseconds) = (stream, replayed, microseconds)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(replayed)
        writer.integer(microseconds)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, replayed, microseconds) = (try reader.stream(), try reader.integer(), try reader.integer())
        try reader.end()
    }
}

/// Updates were applied: a receipt over all, then what the client does not know yet of those numbered from `first` on.
///
/// Items follow for those that have determinants or a reply: index from `first` (4), determinants and reply as blocks.
package struct Acknowledgement: FrameFields {
    package static let type = FrameType.acknowledgement
    package var stream: StreamID
    package var first: SequenceNumber
    /// The last update covered.
    package var number: SequenceNumber
    package var inputs: Digest
    package var outputs: Digest
    package var time: WallTime
    package var mac: Digest

    package init(stream: StreamID, first: SequenceNumber, receipt: Receipt) {
        (self.stream, self.first, number) = (stream, first, receipt.position.number)
        (inputs, outputs) = (receipt.position.inputs, receipt.outputs)
        (time, mac) = (receipt.time, receipt.mac)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.number(first)
        writer.number(number)
        writer.digest(inputs)
        writer.digest(outputs)
        writer.integer(time.nanoseconds)
        writer.digest(mac)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, first, number) = (try reader.stream(), try reader.number(), try reader.number())
        (inputs, outputs) = (try reader.digest(), try reader.digest())
        (time, mac) = (WallTime(nanoseconds: try reader.integer()), try reader.digest())
        guard first > .zero, first <= number else { throw .malformed }
    }
}

/// The answer to a request. The reply's bytes follow to the frame's end.
package struct Reply: FrameFields {
    package static let type = FrameType.reply
    package var stream: StreamID
    package var request: RequestID
    /// The update that the answer saw last.
    package var number: SequenceNumber
    /// 0: replied. Else refused by the message (`refusedByMessage`), or a code and the bytes are its text.
    package var status: UInt16

    package static let refusedByMessage: UInt16 = 1

    package init(stream: StreamID, request: RequestID, number: SequenceNumber, status: UInt16) {
        (self.stream, self.request, self.number, self.status) = (stream, request, number, status)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(request.rawValue)
        writer.number(number)
        writer.integer(status)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, request) = (try reader.stream(), RequestID(try reader.integer()))
        (number, status) = (try reader.number(), try reader.integer())
    }
}

/// Asks the client for its log: the one-pager's call-back for the previous messages.
package struct RecallRequest: FrameFields {
    package static let type = FrameType.recall

    package enum Origin: Sendable, Hashable {
        /// After this position, if the log agrees there; else everything from the newest checkpoint.
        case after(Position)
        /// From the newest checkpoint, or the start if there is none.
        case newest
        /// From the checkpoint before the newest, or the start; the newest did not verify or decode.
        case older
    }
    package var stream: StreamID
    package var recall: RecallID
    /// Chunks that may be sent before the first `credit`.
    package var credit: UInt8
    package var origin: Origin

    package init(stream: StreamID, recall: RecallID, credit: UInt8, origin: Origin) {
        (self.stream, self.recall, self.credit, self.origin) = (stream, recall, credit, origin)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(recall.rawValue)
        writer.integer(credit)
        switch origin {
        case .after(let position):
            writer.integer(UInt8(0))
            writer.position(position)
        case .newest: writer.integer(UInt8(1))
        case .older: writer.integer(UInt8(2))
        }
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, recall, credit) = (try reader.stream(), RecallID(try reader.integer()), try reader.integer())
        switch try reader.integer(UInt8.self) {
        case 0: origin = .after(try reader.position())
        case 1: origin = .newest
        case 2: origin = .older
        default: throw .malformed
        }
        try reader.end()
    }
}

/// Lets the client send more chunks of a history.
package struct Credit: FrameFields {
    package static let type = FrameType.credit
    package var stream: StreamID
    package var recall: RecallID
    package var chunks: UInt8

    package init(stream: StreamID, recall: RecallID, chunks: UInt8) {
        (self.stream, self.recall, self.chunks) = (stream, recall, chunks)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(recall.rawValue)
        writer.integer(chunks)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, recall, chunks) = (try reader.stream(), RecallID(try reader.integer()), try reader.integer())
        try reader.end()
    }
}

/// Offers a checkpoint; its segments follow.
package struct Offer: FrameFields {
    package static let type = FrameType.offer
    package var stream: StreamID
    package var header: CheckpointHeader
    /// Present if the client is to adopt the state, since its log ends before what it had confirmed: a receipt there.
    package var adoption: Receipt?

    package init(stream: StreamID, header: CheckpointHeader, adoption: Receipt?) {
        (self.stream, self.header, self.adoption) = (stream, header, adoption)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        header.write(to: &writer)
        writer.integer(UInt8(adoption == nil ? 0 : 1))
        if let adoption { writer.receipt(adoption) }
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, header) = (try reader.stream(), try CheckpointHeader(reading: &reader))
        adoption = try reader.flag() ? try reader.receipt() : nil
        try reader.end()
        guard adoption == nil || adoption?.position == header.position else { throw .malformed }
    }
}

/// One encrypted segment of an offered checkpoint. The bytes follow to the frame's end.
package struct OfferSegment: FrameFields {
    package static let type = FrameType.offerSegment
    package var stream: StreamID
    package var index: UInt32

    package init(stream: StreamID, index: UInt32) { (self.stream, self.index) = (stream, index) }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(index)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, index) = (try reader.stream(), try reader.integer())
    }
}

/// The stream has no session any more; attach again when there is something to say. A hint: it may get lost.
package struct Gone: FrameFields {
    package static let type = FrameType.gone
    package var stream: StreamID

    package init(stream: StreamID) { self.stream = stream }

    package func write(to writer: inout ByteWriter) { writer.stream(stream) }
    package init(reading reader: inout ByteReader) throws(WireError) {
        stream = try reader.stream()
        try reader.end()
    }
}

/// The answer to a ping.
package struct Pong: FrameFields {
    package static let type = FrameType.pong
    package var token: UInt64

    package init(token: UInt64) { self.token = token }

    package func write(to writer: inout ByteWriter) { writer.integer(token) }
    package init(reading reader: inout ByteReader) throws(WireError) {
        token = try reader.integer()
        try reader.end()
    }
}

/// Ends a stream, or with stream 0 the connection, and says why.
package struct Refusal: FrameFields, Error, Hashable {
    package static let type = FrameType.refusal
    package var stream: StreamID
    package var code: FaultCode
    /// The updates it is about; both 0 if none.
    package var first: SequenceNumber
    package var last: SequenceNumber
    /// UTF-8, for a person.
    package var text: [UInt8]

    package init(
        stream: StreamID, _ code: FaultCode, first: SequenceNumber = .zero, last: SequenceNumber = .zero, _ text: String
    ) {
        (self.stream, self.code, self.first, self.last) = (stream, code, first, last)
        self.text = Array(text.utf8.prefix(WireLimits.text))
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(code.rawValue)
        writer.number(first)
        writer.number(last)
        writer.block(text.span.bytes)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, code) = (try reader.stream(), FaultCode(rawValue: try reader.integer()))
        (first, last) = (try reader.number(), try reader.number())
        text = try reader.block(limit: WireLimits.text).array
        try reader.end()
    }
}
