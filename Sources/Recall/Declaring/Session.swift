/// What a session remembers. `init()` makes the state of a session that nobody has written to.
///
/// A value type without references to shared mutable things: `Sendable` because an effect reads it off the server's
/// loop, `Codable` because a checkpoint is the encoded state. Two runs of the same updates must give equal states:
/// beware of iterating a `Set` or `Dictionary` in an update, since Swift's hash order differs from process to process.
public protocol SessionState: Codable, Sendable {
    init()

    /// An invariant of your own, looked at after every update and every restored checkpoint. False reports lost
    /// consistency: the copy is deleted, and rebuilt from the client's log. Cheap, please; true unless you say
    /// otherwise.
    ///
    /// It is no way to refuse a message (that is `validate`): a history that always ends in an inconsistent state
    /// cannot be recalled either.
    var isConsistent: Bool { get }
}

extension SessionState {
    public var isConsistent: Bool { true }
}

/// A kind of session: its state, its messages and, as stored properties, what its effects need of the outside world.
///
/// ```swift
/// struct Counter: Session {
///     struct State: SessionState { var count = 0 }
///     struct Add: UpdateMessage {
///         var amount: Int
///         func update(_ counter: inout State) -> Int { counter.count += amount; return counter.count }
///     }
///     static let kind = SessionKind<Counter>("counter", [1: Add.self])
/// }
/// ```
///
/// Stored properties (gateways, models, clients of other services) live on servers only; a client uses just the type.
/// Updates cannot reach them: what an update needs from outside arrives in its context or as an effect's outcome, where
/// it is recorded.
public protocol Session: Sendable {
    associatedtype State: SessionState

    /// Name, version, codec and messages. Declare it `static let`: a computed property is built anew at every use.
    static var kind: SessionKind<Self> { get }

    /// One hosted instance. Provided; not for your code.
    func _host() -> _Hosted
}
