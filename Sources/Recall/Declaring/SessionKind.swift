package import RecallCore

/// The declaration of a kind of session: what it is called and which messages it understands.
///
/// ```swift
/// static let kind = SessionKind<Bank>("bank", [1: Deposit.self, 2: Transfer.self, 3: Balance.self])
/// ```
///
/// The name, and the numbers of the messages, are on the wire and in logs: never reuse a number for another message.
public struct SessionKind<S: Session>: Sendable {
    /// Names the kind on the wire: 1 to 255 bytes of UTF-8.
    public let name: String
    /// Raise it when an update comes to give another state or reply than before: old logs do not replay on new code.
    public let version: UInt32
    public let limits: SessionLimits
    public let whenBehind: WhenBehind

    @usableFromInline package let codec: any Codec
    /// By message number; 256 of them.
    @usableFromInline package let entries: [_Entry<S.State>?]
    private let numbers: [ObjectIdentifier: UInt8]
    private let listed: MessageList<S.State>

    // Room for migrations: an old version's `SessionKind` and a function from its `State` to this one, applied when a
    // checkpoint of the old version is restored. Old messages are replayed by the old kind, hosted beside this one.

    /// - Parameters:
    ///   - name: 1 to 255 bytes of UTF-8.
    ///   - version: of the kind's updates; logs replay only on the version that wrote them.
    ///   - codec: for everything that is not `BinaryCodable`.
    ///   - limits: sizes and the checkpoint policy.
    ///   - whenBehind: what a client may do whose log lost its tail.
    ///   - messages: each type once, each under a number of its own.
    ///
    /// Mistakes are not reported here but by ``validate()``.
    public init(
        _ name: String, version: UInt32 = 1, codec: any Codec = .json, limits: SessionLimits = SessionLimits(),
        whenBehind: WhenBehind = .refuse, _ messages: MessageList<S.State>
    ) {
        self.name = name
        self.version = version
        self.codec = codec
        self.limits = limits
        self.whenBehind = whenBehind
        listed = messages
        var entries = [_Entry<S.State>?](repeating: nil, count: 256)
        var numbers: [ObjectIdentifier: UInt8] = [:]
        for element in messages.elements {
            let number = Int(element.number)
            if entries[number] == nil { entries[number] = element.type._entry(codec) }
            if numbers[ObjectIdentifier(element.type)] == nil {
                numbers[ObjectIdentifier(element.type)] = element.number
            }
        }
        self.entries = entries
        self.numbers = numbers
    }

    /// Throws `misconfigured` if the declaration is unusable: the name is empty or too long, a number or a type is
    /// listed twice, nothing is listed, a limit is out of range, or an effect is made for another kind. Called when
    /// the kind is hosted or opened; call it in a test to know sooner.
    public func validate() throws(RecallError) {
        if let fault { throw RecallError(.misconfigured, "kind \"\(name.prefix(64))\": \(fault)") }
    }

    private var fault: String? {
        if name.isEmpty || name.utf8.count > 255 { return "the name has \(name.utf8.count) bytes, not 1 to 255" }
        if listed.elements.isEmpty { return "no message is listed" }
        if let number = listed.repeatedNumber { return "message number \(number) is listed twice" }
        if let type = listed.repeatedType { return "\(type) is listed twice" }
        for element in listed.elements {
            if case .effect(let effect)? = entries[Int(element.number)], effect.host != ObjectIdentifier(S.self) {
                return "\(element.type) is an effect of another kind"
            }
        }
        return limits.fault
    }
}

// MARK: The client's side

extension SessionKind {
    /// How a type of message travels.
    package struct Route: Hashable, Sendable {
        package let number: UInt8
        /// A read; else an update, with or without an effect.
        package let isRequest: Bool
    }

    /// Nil if the kind does not list the type.
    package func route<M: Message<S.State>>(of type: M.Type) -> Route? {
        guard let number = numbers[ObjectIdentifier(type)] else { return nil }
        if case .request? = entries[Int(number)] { return Route(number: number, isRequest: true) }
        return Route(number: number, isRequest: false)
    }
}

extension ByteWriter {
    /// Forgets what was written after the first `count` bytes.
    package mutating func cut(to count: Int) {
        if bytes.count > count { bytes.removeLast(bytes.count - count) }
    }
}
