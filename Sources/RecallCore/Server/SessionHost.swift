/// Names a session's place in a handler; reused after the session is gone.
package struct SlotID: Hashable, Sendable, BitwiseCopyable {
    /// Four bytes, since tables of a million hold it.
    private let place: UInt32
    package var index: Int { Int(place) }
    package init(_ index: Int) { place = UInt32(truncatingIfNeeded: index) }
}

/// Names a connection of a handler; never reused.
package struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// Counts the copies that a handler made: what comes late for an older copy is told from the present one by it.
package struct Incarnation: Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// An update on its way to the user's code.
package struct UpdateCall: Sendable {
    package var slot: SlotID
    package var incarnation: Incarnation
    package var session: SessionID
    package var number: SequenceNumber
    package var seal: Digest
    package var keys: SessionKeys
    /// Nil when the update is new; in a replay what it took from outside.
    package var recorded: Determinants?
}

/// How an update ended in the user's code.
package enum UpdateVerdict: Sendable {
    /// Applied; the reply was written. With the clock if it was read.
    case applied(clock: WallTime?)
    /// `validate` refused it; the encoded rejection was written in place of the reply. The state is as before.
    case refused
    /// It cannot be applied. The state is as before.
    case failed(FaultCode, [UInt8])
    /// It wants its effect to run first; the host holds it. Nothing changed yet.
    case effect
    /// The state changed and is of no use: the copy must be deleted.
    case broken([UInt8])
    /// The host will call `applied` later. Leaves room for user code that is asynchronous, in replay as well.
    case pending
}

/// How a request ended in the user's code.
package enum RequestVerdict: Sendable {
    case replied
    /// The encoded rejection was written in place of the reply.
    case refused
    case failed(FaultCode, [UInt8])
}

/// How an effect's async half ended.
package enum EffectResult: Sendable {
    case outcome([UInt8])
    /// The message's own rejection, encoded.
    case refused([UInt8])
    case failed(FaultCode, [UInt8])
}

/// Something that happened to a session, for whoever watches.
package enum HostEvent: Sendable {
    case recalled(messages: Int, nanoseconds: Int64)
    case recallStarted
    case refused(FaultCode)
    case checkpointKept(bytes: Int)
    case superseded
}

/// What a handler asks of the process around it: the user's sessions, time, randomness. Called between transitions
/// only, always on the handler's thread. It may not call the handler from within.
package protocol SessionHost: AnyObject {
    /// A fresh instance of a kind, in its initial state.
    func create(_ slot: SlotID, _ incarnation: Incarnation, session: SessionID, kind: Int)
    func destroy(_ slot: SlotID)
    /// Replaces the state by an encoded one; false if it does not decode.
    func restore(_ slot: SlotID, state: [UInt8]) -> Bool
    /// The encoded state; nil if it does not encode.
    func encode(_ slot: SlotID) -> [UInt8]?
    /// Verifies a chunk of a history elsewhere, if it is large enough to be worth that; its end comes back as
    /// `chunkVerified`. False if it is to be verified here and now.
    func verify(_ verification: ChunkVerification) -> Bool
    func apply(_ call: UpdateCall, content: RawSpan, reply: inout ByteWriter) -> UpdateVerdict
    func request(
        _ slot: SlotID, of session: SessionID, content: RawSpan, reply: inout ByteWriter
    ) -> RequestVerdict
    /// Starts the async half of the effect that `apply` announced; its end comes back as `effectEnded`.
    func perform(_ slot: SlotID, _ incarnation: Incarnation, idempotencyKey: Digest)
    /// Applies the outcome of the effect that was performed.
    func finish(_ slot: SlotID, outcome: RawSpan, reply: inout ByteWriter) -> UpdateVerdict
    /// Takes back what the effect had borrowed, since it is not to be applied.
    func abandon(_ slot: SlotID)
    /// False while no update is known to have killed the process.
    var hasSuspects: Bool { get }
    /// True if this update has killed the process so often that it is given up. What its effect killed counts too, but
    /// not against a replay, which needs no effect.
    func isPoisoned(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest, isReplay: Bool) -> Bool
    /// Notes that this update broke a copy, as if it had killed the process.
    func suspect(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest)
    func observe(_ slot: SlotID, of session: SessionID, _ event: HostEvent)
    /// A sign of life of its client.
    func heard(_ slot: SlotID)
    /// False while no session is interested in `heard`.
    var observesHeard: Bool { get }
    func wallTime() -> WallTime
    func instant() -> Instant
    func randomBytes(_ count: Int) -> [UInt8]
}
