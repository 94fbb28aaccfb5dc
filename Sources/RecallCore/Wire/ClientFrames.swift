// Frames from client to server. Layouts: docs/protocol.md, section "Frames".

/// The protocol's version; it fixes every algorithm and layout.
package let protocolVersion: UInt16 = 1
/// "RCAL": the first four bytes of either hello.
package let protocolMagic: UInt32 = 0x5243_414c

/// The first frame of a connection.
package struct ClientHello: FrameFields {
    package static let type = FrameType.clientHello
    package var version = protocolVersion
    /// What the server's authentication hook gets; empty for nobody.
    package var authentication: [UInt8]

    package init(authentication: [UInt8] = []) { self.authentication = authentication }

    package func write(to writer: inout ByteWriter) {
        writer.integer(protocolMagic)
        writer.integer(version)
        writer.block(authentication.span.bytes)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        guard try reader.integer(UInt32.self) == protocolMagic else { throw .malformed }
        version = try reader.integer()
        authentication = try reader.block(limit: WireLimits.authentication).array
        try reader.end()
    }
}

/// Asks for a new session.
package struct Initiate: FrameFields {
    package static let type = FrameType.initiate
    package var stream: StreamID
    package var kindVersion: UInt32
    package var kindName: [UInt8]

    package init(stream: StreamID, kindVersion: UInt32, kindName: [UInt8]) {
        (self.stream, self.kindVersion, self.kindName) = (stream, kindVersion, kindName)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(kindVersion)
        writer.name(kindName)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, kindVersion, kindName) = (try reader.stream(), try reader.integer(), try reader.name())
        try reader.end()
    }
}

/// What a client says of its log when it attaches; sealed as a leaf on the acknowledged position, with the server's
/// nonce.
package struct AttachClaim: Sendable, Hashable {
    package var session: SessionID
    package var kindVersion: UInt32
    package var kindName: [UInt8]
    /// The newest receipt: its position is the last acknowledged one. Nil before the first acknowledgement.
    package var receipt: Receipt?
    /// The last message in the log, acknowledged or not, and its seal.
    package var last: SequenceNumber
    package var lastSeal: Digest
    /// The newest checkpoint in hand: its number and its bytes.
    package var checkpoint: (number: SequenceNumber, byteCount: UInt64)?
    /// True if the whole history follows this frame unasked.
    package var historyFollows: Bool

    package init(
        session: SessionID, kindVersion: UInt32, kindName: [UInt8], receipt: Receipt?, last: SequenceNumber,
        lastSeal: Digest, checkpoint: (number: SequenceNumber, byteCount: UInt64)?, historyFollows: Bool
    ) {
        self.session = session
        self.kindVersion = kindVersion
        self.kindName = kindName
        self.receipt = receipt
        self.last = last
        self.lastSeal = lastSeal
        self.checkpoint = checkpoint
        self.historyFollows = historyFollows
    }

    package var acknowledged: Position { receipt?.position ?? .start }

    package static func == (a: Self, b: Self) -> Bool {
        a.session == b.session && a.kindVersion == b.kindVersion && a.kindName == b.kindName && a.receipt == b.receipt
            && a.last == b.last && a.lastSeal == b.lastSeal && a.checkpoint?.number == b.checkpoint?.number
            && a.checkpoint?.byteCount == b.checkpoint?.byteCount && a.historyFollows == b.historyFollows
    }
    package func hash(into hasher: inout Hasher) {
        hasher.combine(session)
        hasher.combine(last)
    }

    package func write(to writer: inout ByteWriter) {
        writer.session(session)
        writer.integer(kindVersion)
        writer.name(kindName)
        writer.integer(UInt8(receipt == nil ? 0 : 1))
        if let receipt { writer.receipt(receipt) }
        writer.number(last)
        writer.digest(lastSeal)
        writer.integer(UInt8(checkpoint == nil ? 0 : 1))
        if let checkpoint {
            writer.number(checkpoint.number)
            writer.integer(checkpoint.byteCount)
        }
        writer.integer(UInt8(historyFollows ? 1 : 0))
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (session, kindVersion, kindName) = (try reader.session(), try reader.integer(), try reader.name())
        receipt = try reader.flag() ? try reader.receipt() : nil
        (last, lastSeal) = (try reader.number(), try reader.digest())
        checkpoint = try reader.flag() ? (try reader.number(), try reader.integer()) : nil
        historyFollows = try reader.flag()
        let acknowledged = receipt?.position.number ?? .zero
        // A receipt at 0 would be one over nothing.
        guard receipt == nil || acknowledged > .zero, last >= acknowledged else { throw .malformed }
    }

    /// False if the checkpoint lies ahead of what was acknowledged: then no receipt proves what it stands on. A damaged
    /// log may look so, which is no reason to end its connection.
    package var isProven: Bool { (checkpoint?.number ?? .zero) <= acknowledged.number }

    /// The leaf's content: the claim, then the nonce of the server's hello.
    package func sealed(nonce: Digest, by sealer: Sealer) -> Digest {
        var writer = ByteWriter(capacity: 512)
        write(to: &writer)
        #if RECALL_PLANTED_BUGS
            writer.digest(PlantedBug.isActive(.nonceNotBound) ? Digest() : nonce)
        #else
            writer.digest(nonce)
        #endif
        let position = acknowledged
        return sealer.seal(.attach, writer.bytes.span.bytes, number: position.number, after: position.seal)
    }
}

/// Takes a session over for this connection.
package struct Attach: FrameFields {
    package static let type = FrameType.attach
    package var stream: StreamID
    package var leaf: Digest
    package var claim: AttachClaim

    package init(stream: StreamID, leaf: Digest, claim: AttachClaim) {
        (self.stream, self.leaf, self.claim) = (stream, leaf, claim)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.digest(leaf)
        claim.write(to: &writer)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, leaf) = (try reader.stream(), try reader.digest())
        claim = try AttachClaim(reading: &reader)
        try reader.end()
    }
}

/// A run of updates under one seal, that of the last. The messages follow, each a 4-byte length and its content.
package struct UpdateRun: FrameFields {
    package static let type = FrameType.update
    package var stream: StreamID
    /// Up to where the client's log holds acknowledgements, if that moved.
    package var confirmed: Position?
    package var first: SequenceNumber
    /// The seal of the run's last message.
    package var seal: Digest

    package init(stream: StreamID, confirmed: Position?, first: SequenceNumber, seal: Digest) {
        (self.stream, self.confirmed, self.first, self.seal) = (stream, confirmed, first, seal)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(UInt8(confirmed == nil ? 0 : 1))
        if let confirmed { writer.position(confirmed) }
        writer.number(first)
        writer.digest(seal)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        stream = try reader.stream()
        confirmed = try reader.flag() ? try reader.position() : nil
        (first, seal) = (try reader.number(), try reader.digest())
        guard first > .zero else { throw .malformed }
    }
}

/// Says up to where the client's log holds acknowledgements.
package struct Confirm: FrameFields {
    package static let type = FrameType.confirm
    package var stream: StreamID
    package var position: Position

    package init(stream: StreamID, position: Position) { (self.stream, self.position) = (stream, position) }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.position(position)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, position) = (try reader.stream(), try reader.position())
        try reader.end()
    }
}

/// A read, sealed as a leaf on the newest sent update. The content follows to the frame's end.
package struct RequestLeaf: FrameFields {
    package static let type = FrameType.request
    package var stream: StreamID
    package var request: RequestID
    package var number: SequenceNumber
    package var leaf: Digest

    package init(stream: StreamID, request: RequestID, number: SequenceNumber, leaf: Digest) {
        (self.stream, self.request, self.number, self.leaf) = (stream, request, number, leaf)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(request.rawValue)
        writer.number(number)
        writer.digest(leaf)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, request) = (try reader.stream(), RequestID(try reader.integer()))
        (number, leaf) = (try reader.number(), try reader.digest())
    }
}

/// Begins the answer to a recall.
package struct HistoryStart: FrameFields {
    package static let type = FrameType.historyStart

    /// Where the history begins.
    package enum Base: Sendable, Hashable {
        /// After the position that the recall named, where the log agrees.
        case gap
        /// Before the first message.
        case start
        /// At a checkpoint, whose segments follow.
        case checkpoint(CheckpointHeader)
    }
    package var stream: StreamID
    package var recall: RecallID
    package var base: Base

    package init(stream: StreamID, recall: RecallID, base: Base) {
        (self.stream, self.recall, self.base) = (stream, recall, base)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(recall.rawValue)
        switch base {
        case .gap: writer.integer(UInt8(0))
        case .start: writer.integer(UInt8(1))
        case .checkpoint(let header):
            writer.integer(UInt8(2))
            header.write(to: &writer)
        }
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, recall) = (try reader.stream(), RecallID(try reader.integer()))
        switch try reader.integer(UInt8.self) {
        case 0: base = .gap
        case 1: base = .start
        case 2: base = .checkpoint(try CheckpointHeader(reading: &reader))
        default: throw .malformed
        }
        try reader.end()
    }
}

/// One encrypted segment of the checkpoint that a history begins with. The bytes follow to the frame's end.
package struct HistorySegment: FrameFields {
    package static let type = FrameType.historySegment
    package var stream: StreamID
    package var recall: RecallID
    package var index: UInt32

    package init(stream: StreamID, recall: RecallID, index: UInt32) {
        (self.stream, self.recall, self.index) = (stream, recall, index)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(recall.rawValue)
        writer.integer(index)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, recall, index) = (try reader.stream(), RecallID(try reader.integer()), try reader.integer())
    }
}

/// A run of acknowledged messages that ends at a receipt. They follow, each content and determinants as blocks.
package struct HistoryChunk: FrameFields {
    package static let type = FrameType.historyChunk
    package var stream: StreamID
    package var recall: RecallID
    package var isLast: Bool
    /// The first message's number; if the chunk is empty, that after the base.
    package var first: SequenceNumber
    /// The receipt at the last message. Nil only in an empty chunk at the very start.
    package var receipt: Receipt?

    package init(stream: StreamID, recall: RecallID, isLast: Bool, first: SequenceNumber, receipt: Receipt?) {
        (self.stream, self.recall, self.isLast, self.first, self.receipt) = (stream, recall, isLast, first, receipt)
    }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.integer(recall.rawValue)
        writer.integer(UInt8(isLast ? 1 : 0))
        writer.number(first)
        writer.integer(UInt8(receipt == nil ? 0 : 1))
        if let receipt { writer.receipt(receipt) }
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, recall) = (try reader.stream(), RecallID(try reader.integer()))
        (isLast, first) = (try reader.flag(), try reader.number())
        receipt = try reader.flag() ? try reader.receipt() : nil
    }
}

/// Says that a checkpoint is durable in the client's log.
package struct Kept: FrameFields {
    package static let type = FrameType.kept
    package var stream: StreamID
    package var position: Position

    package init(stream: StreamID, position: Position) { (self.stream, self.position) = (stream, position) }

    package func write(to writer: inout ByteWriter) {
        writer.stream(stream)
        writer.position(position)
    }
    package init(reading reader: inout ByteReader) throws(WireError) {
        (stream, position) = (try reader.stream(), try reader.position())
        try reader.end()
    }
}

/// Asks for a sign of life.
package struct Ping: FrameFields {
    package static let type = FrameType.ping
    package var token: UInt64

    package init(token: UInt64) { self.token = token }

    package func write(to writer: inout ByteWriter) { writer.integer(token) }
    package init(reading reader: inout ByteReader) throws(WireError) {
        token = try reader.integer()
        try reader.end()
    }
}

/// Ends a stream from the client's side; the session's copy may stay.
package struct Detach: FrameFields {
    package static let type = FrameType.detach
    package var stream: StreamID

    package init(stream: StreamID) { self.stream = stream }

    package func write(to writer: inout ByteWriter) { writer.stream(stream) }
    package init(reading reader: inout ByteReader) throws(WireError) {
        stream = try reader.stream()
        try reader.end()
    }
}
