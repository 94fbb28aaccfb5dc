/// What a client's log begins with: which session it holds. Written once, before the first message.
public struct LogHeader: Hashable, Sendable {
    public var session: SessionID
    /// The session's initialization vector. Whoever has it can extend the chain: a log is as secret as its content.
    public var vector: Digest
    /// The kind's name in UTF-8, 1 to 255 bytes.
    public var kindName: [UInt8]
    public var kindVersion: UInt32

    public init(session: SessionID, vector: Digest, kindName: [UInt8], kindVersion: UInt32) {
        self.session = session
        self.vector = vector
        self.kindName = kindName
        self.kindVersion = kindVersion
    }
}

/// An update as the log holds it.
public struct LoggedMessage: Hashable, Sendable {
    public var number: SequenceNumber
    /// What was sealed: the message's tag, then its payload.
    public var content: [UInt8]
    /// Encoded determinants; empty if it has none or is not acknowledged yet.
    public var determinants: [UInt8]

    public init(number: SequenceNumber, content: [UInt8], determinants: [UInt8] = []) {
        self.number = number
        self.content = content
        self.determinants = determinants
    }
}

/// What an acknowledgement adds to the log.
public struct LoggedAcknowledgement: Hashable, Sendable {
    /// The determinants of the updates it covers that have any, by ascending number.
    public var determinants: [(number: SequenceNumber, bytes: [UInt8])]
    /// The newest receipt; covers every message up to its position.
    public var receipt: Receipt
    /// An older receipt that the log may now forget, since enough newer ones stand between.
    public var supersedes: SequenceNumber?

    public init(
        determinants: [(number: SequenceNumber, bytes: [UInt8])], receipt: Receipt, supersedes: SequenceNumber? = nil
    ) {
        self.determinants = determinants
        self.receipt = receipt
        self.supersedes = supersedes
    }

    public static func == (a: Self, b: Self) -> Bool {
        a.receipt == b.receipt && a.supersedes == b.supersedes && a.determinants.count == b.determinants.count
            && zip(a.determinants, b.determinants).allSatisfy { $0 == $1 }
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(receipt) }
}

/// A session's state at a position, encrypted by the server; the client can keep it but not read it.
public struct Checkpoint: Hashable, Sendable {
    public var kindVersion: UInt32
    public var position: Position
    /// The digest of all replies up to there.
    public var outputs: Digest
    /// The server's wall clock when it was made.
    public var time: WallTime
    /// AES-256-GCM segments in order, each nonce 12, ciphertext, tag 16.
    public var segments: [[UInt8]]

    public init(kindVersion: UInt32, position: Position, outputs: Digest, time: WallTime, segments: [[UInt8]]) {
        self.kindVersion = kindVersion
        self.position = position
        self.outputs = outputs
        self.time = time
        self.segments = segments
    }

    /// Bytes in all segments.
    public var byteCount: Int { segments.reduce(0) { $0 + $1.count } }
}

/// One step in a log's life, in the order in which it must become durable.
public enum LogEntry: Hashable, Sendable {
    /// A message, before the wire sees it. Its number follows the last one's.
    case message(LoggedMessage)
    /// Determinants and a receipt, before the caller sees a reply. Indirect: it is several times as large as a message,
    /// of which there are many to one of it.
    indirect case acknowledgement(LoggedAcknowledgement)
}

/// A run of messages from a log that ends at a receipt, or at the log's end.
public struct LogSlice: Hashable, Sendable {
    public var messages: [LoggedMessage]
    /// The receipt at the last message; nil if the run is the unacknowledged tail.
    public var receipt: Receipt?

    public init(messages: [LoggedMessage], receipt: Receipt?) {
        self.messages = messages
        self.receipt = receipt
    }
}
