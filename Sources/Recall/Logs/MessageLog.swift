public import RecallCore

/// Where a client keeps what it sent: the only durable copy of its session.
///
/// One writer at a time, enforced by the log. Calls come one after the other, never overlapping, except that `close`
/// may come at any time. Every failure is a `RecallError`: `logInUse`, `logDamaged` or `logFailed`.
public protocol MessageLog: Sendable {
    /// Takes the writer's lock and tells what the log holds. Throws `logInUse` if another writer has it.
    ///
    /// A damaged log is cut to what can be read of it if that loses no message and no receipt, or else as
    /// `whenDamaged` says. What was cut is kept aside, never deleted, and reported in `LogContents.damage`.
    func open() async throws -> LogContents

    /// What becomes of a log that lost messages or receipts to damage; `refuse` by itself.
    var whenDamaged: WhenDamaged { get }

    /// Names the session that the log holds. Called once, on an empty log; durable on return.
    func begin(_ header: LogHeader) async throws

    /// Appends entries in order; all or none. On return they are as durable as this log promises.
    func append(_ entries: [LogEntry]) async throws

    /// Keeps a checkpoint: on stable storage on return, whatever the log's durability. Then forgets all messages and
    /// receipts numbered up to `truncating`, and all checkpoints but the newest two.
    func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) async throws

    /// Replaces everything but the header by a checkpoint and the receipt at its position; all or nothing.
    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws

    /// The messages after a number: the longest run that ends at a receipt and holds at most `maximumBytes` of content
    /// and determinants, but at least up to the first receipt; if no receipt follows, the tail after the newest
    /// receipt, cut at `maximumBytes` (at least one message) with no receipt.
    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice

    /// The newest receipt at or before a number.
    func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt?

    /// A kept checkpoint, whole: generation 0 is the newest, 1 the one before it.
    func checkpoint(generation: Int) async throws -> Checkpoint?

    /// Moves everything after a number aside, since it does not verify. It is kept for inspection, never read again.
    func setAside(after number: SequenceNumber, reason: String) async throws

    /// Lets the lock go. What was appended stays as durable as it was.
    func close() async
}

extension MessageLog {
    public var whenDamaged: WhenDamaged { .refuse }
}

/// What happens when a log cannot be read in full and messages, or what the server acknowledged of them, are lost.
public enum WhenDamaged: Hashable, Sendable {
    /// Opening throws `logDamaged` and leaves the log as it is, for a copy of it may be better.
    case refuse
    /// The session goes on from the longest history that can be read. What follows is kept aside; a server that holds
    /// the session still may give its state back (`WhenBehind.adopt`).
    case salvage
}

/// A log whose calls mostly need no waiting, so that a message at a time costs no change of thread.
///
/// While a client has it open, its other operations are called on the client's event loop as well: of those, what
/// blocks belongs on a thread of the log's own, as an actor has that brings its executor.
public protocol ImmediateMessageLog: MessageLog {
    /// As `append`, at once, on the client's event loop: in microseconds mostly, in a millisecond at the most. False if
    /// that would take longer; then nothing was appended, and `append` is called instead.
    func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool

    /// As `keep`, under the same terms as `appendNow`. A log that has to wait for its disk never does; that is the
    /// default.
    func keepNow(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) -> Bool

    /// As `slice`, under the same terms; nil if it would take longer, which is the default. A short history then goes
    /// out in one write with the attach that it belongs to.
    func sliceNow(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice?
}

extension ImmediateMessageLog {
    public func keepNow(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) -> Bool { false }
    public func sliceNow(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice? { nil }
}

/// What a log holds when it is opened.
public struct LogContents: Sendable {
    /// A kept checkpoint without its segments.
    public struct CheckpointSummary: Hashable, Sendable {
        public var position: Position
        public var outputs: Digest
        public var time: WallTime
        public var kindVersion: UInt32
        /// Bytes in all segments.
        public var byteCount: Int

        public init(position: Position, outputs: Digest, time: WallTime, kindVersion: UInt32, byteCount: Int) {
            self.position = position
            self.outputs = outputs
            self.time = time
            self.kindVersion = kindVersion
            self.byteCount = byteCount
        }
    }

    /// Nil in an empty log.
    public var header: LogHeader?
    /// Newest first, at most two.
    public var checkpoints: [CheckpointSummary]
    /// The newest receipt.
    public var receipt: Receipt?
    /// The last message's number; that of the newest checkpoint if no message follows it, zero if there is neither.
    public var last: SequenceNumber
    /// What was found damaged and set aside, in one sentence.
    public var damage: String?

    public init(
        header: LogHeader? = nil, checkpoints: [CheckpointSummary] = [], receipt: Receipt? = nil,
        last: SequenceNumber = .zero, damage: String? = nil
    ) {
        self.header = header
        self.checkpoints = checkpoints
        self.receipt = receipt
        self.last = last
        self.damage = damage
    }
}
