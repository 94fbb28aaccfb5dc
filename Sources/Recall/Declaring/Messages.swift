/// What a client may send to sessions with this `State`. Conform to one of the four roles, not to this:
/// ``UpdateMessage``, ``ContextualUpdateMessage``, ``EffectMessage``, ``RequestMessage``.
///
/// Messages, replies, rejections and outcomes are encoded by the kind's codec, or by themselves if they are
/// ``BinaryCodable``. A `Reply` is `Void` (no bytes), `Codable` or `BinaryCodable`. The replies of updates are
/// compared when a session is replayed, so their encoding must depend on their value alone: put no `Set`, and no
/// `Dictionary` but one keyed by `String` or `Int`, into a reply.
public protocol Message<State>: Codable, Sendable {
    associatedtype State: SessionState
    /// What `send` returns.
    associatedtype Reply: Sendable
    /// What the message may be refused with; `send` throws that very value.
    associatedtype Rejection: Error & Codable = Never

    /// The message's own coder. Provided.
    static func _message(_ codec: any Codec) -> Coder<Self>
    /// The reply's coder. Provided for `Void`, `Codable` and `BinaryCodable` replies.
    static func _reply(_ codec: any Codec) -> Coder<Reply>
    /// What a server does with the message. Provided by each role.
    static func _entry(_ codec: any Codec) -> _Entry<State>
}

/// A function from state to state: the message *is* the update.
///
/// It runs once when the message is new and again at every replay, always on the state that the messages before it
/// made. So it reads nothing but its own fields and the state, and cannot fail; what may fail belongs into `validate`.
public protocol UpdateMessage<State>: ContextualUpdateMessage {
    // Redeclared in every role, with the requirements that mention them: what only a base protocol declares is not
    // inferred through refinements. Were `validate` missing here, `Rejection` would be `Never` whatever a message's own
    // `validate` throws, and that would never be called.
    associatedtype State
    associatedtype Reply
    associatedtype Rejection = Never

    /// Reads the state and may refuse. Asked once, when the message is new, and never in a replay.
    func validate(against state: State) throws(Rejection)

    /// Changes the state. Must not throw: an update marked `throws` is reported by the compiler as a missing type
    /// `State`.
    func update(_ state: inout State) -> Reply
}

/// An update that needs the time, a random number or a fresh identifier. A replay sees the same values.
public protocol ContextualUpdateMessage<State>: Message {
    associatedtype State
    associatedtype Reply
    associatedtype Rejection = Never

    /// Reads the state and may refuse. A refused message changes nothing, and the rejection is what `send` throws.
    ///
    /// Asked once, when the message is new. The answer is recorded, so a replay never asks again: a later version may
    /// judge by other rules without changing the past.
    func validate(against state: State) throws(Rejection)

    /// Changes the state.
    func update(_ state: inout State, in context: inout UpdateContext) -> Reply
}

/// An update that reaches the outside world in two halves: `perform` when the message is new, then `update` with the
/// outcome. A replay runs `update` only, with the outcome read from the client's log.
public protocol EffectMessage<State>: Message {
    associatedtype State
    associatedtype Reply
    associatedtype Rejection = Never
    /// What `perform` brings back. Logged by the client, so keep it small: at most the kind's reply limit, encoded.
    associatedtype Outcome: Codable & Sendable
    /// The kind whose stored properties `perform` needs.
    associatedtype Host: Session where Host.State == State

    /// As for updates: before anything happens, and never in a replay.
    func validate(against state: State) throws(Rejection)

    /// Reaches the outside world. Runs off the server's loop, with the state as it was when the message arrived; the
    /// session's later messages wait.
    ///
    /// At least once: if the server dies before the outcome is in the client's log, it runs again with the same
    /// `idempotencyKey`, possibly while the first run is still under way elsewhere. Hand the key on to whatever you
    /// call. Its task is cancelled when the session's copy here is deleted, as by a deadline: nobody waits for that run
    /// any more, and what it brings is not used.
    ///
    /// Throwing the message's `Rejection` refuses the message. Any other error fails it (`effectFailed`), and the
    /// error's description, cut at 1,024 bytes, travels to the client: throw nothing that describes secrets. In both
    /// cases the state is as before, and the ending is recorded.
    func perform(on state: State, in context: EffectContext<Host>) async throws -> Outcome

    /// Changes the state by the outcome; the only half that a replay runs.
    func update(_ state: inout State, outcome: Outcome) -> Reply
}

/// A read: any view of the state. Never logged, never replayed, and answered only when everything it saw is in the
/// client's log.
public protocol RequestMessage<State>: Message {
    associatedtype State
    associatedtype Reply
    associatedtype Rejection = Never

    func reply(from state: State) throws(Rejection) -> Reply
}

/// What `perform` may use.
public struct EffectContext<Host: Session>: Sendable {
    /// The hosted session, with its gateways.
    public let host: Host
    /// 64 hexadecimal digits that name this message of this session and nothing else: the same whenever the effect runs
    /// again. An outside service that is told the key can recognise the repetition.
    public let idempotencyKey: String

    /// For calling `perform` as a plain function, in a test for example.
    public init(host: Host, idempotencyKey: String) {
        self.host = host
        self.idempotencyKey = idempotencyKey
    }
}

extension ContextualUpdateMessage {
    @inlinable public func validate(against state: State) throws(Rejection) {}
}

extension EffectMessage {
    @inlinable public func validate(against state: State) throws(Rejection) {}
}

extension UpdateMessage {
    @inlinable public func update(_ state: inout State, in context: inout UpdateContext) -> Reply { update(&state) }
}
