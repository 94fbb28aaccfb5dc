public import RecallCore

/// Says when a hosted session is to be deleted. The client's next message rebuilds it, so a wrong suspicion costs a
/// recall and never data.
///
/// One for each hosted session, on the session's thread. It reads no clock: every call brings the time, which may stand
/// still, leap or go backwards.
public protocol FailureDetector: Sendable {
    /// A detector for a session that begins now, with its default settings.
    init(for session: SessionID, at now: Instant)

    /// Something happened to the session. Events of an unknown kind are to be ignored.
    mutating func observe(_ event: SessionEvent, at now: Instant)

    /// True if the session is to be deleted.
    func hasFailed(at now: Instant) -> Bool

    /// When to ask next if nothing is observed until then: `hasFailed` is false at every instant from `now` up to the
    /// one returned. Nil: never, only an event can change the answer. Not before `now`.
    ///
    /// So a server with a million sessions keeps one timer for each at most, and when it fires asks `hasFailed`, then
    /// this again; it need not move a timer when an event made it too early.
    func nextCheck(after now: Instant) -> Instant?

    /// False if `heard` never changes the answer: it need not come then, and the heartbeat of a connection with many
    /// thousand sessions costs none of them anything. Read once, when the detector has been made.
    var observesHeard: Bool { get }
}

extension FailureDetector {
    /// True: every sign of life comes.
    public var observesHeard: Bool { true }

    /// Asks once a second.
    public func nextCheck(after now: Instant) -> Instant? { now.later(by: 1_000_000_000) }
}

/// What a failure detector gets to see. Open: later versions have further kinds of event.
public struct SessionEvent: Hashable, Sendable {
    /// Which kind of event. The numbers are for telling them apart, and never travel.
    public struct Kind: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// An update began to run; `number` says which.
        public static let began = Kind(rawValue: 1)
        /// It ended, in whichever way.
        public static let completed = Kind(rawValue: 2)
        /// The peer gave a sign of life.
        public static let heard = Kind(rawValue: 3)
        /// The copy cannot be trusted: a broken chain, a divergence, a false invariant.
        public static let inconsistent = Kind(rawValue: 4)
        /// What the session runs on is gone: its loop, its process of a pool.
        public static let crashed = Kind(rawValue: 5)
        /// The encoded state was measured; `byteCount` says how large it is.
        public static let measured = Kind(rawValue: 6)
    }

    public let kind: Kind
    /// The update that the event is about; zero if it is about none.
    public let number: SequenceNumber
    /// Bytes of the state; zero unless it was measured.
    public let byteCount: Int
    /// Why, in one phrase.
    public let reason: String?

    /// An event, of a kind of your own perhaps: take numbers from 128 on.
    public init(_ kind: Kind, number: SequenceNumber = .zero, byteCount: Int = 0, reason: String? = nil) {
        self.kind = kind
        self.number = number
        self.byteCount = byteCount
        self.reason = reason
    }

    /// Update `number` begins to run: its synchronous part, or its effect.
    public static func began(_ number: SequenceNumber) -> Self { Self(.began, number: number) }
    /// Update `number` ended: applied, refused or failed.
    public static func completed(_ number: SequenceNumber) -> Self { Self(.completed, number: number) }
    /// A frame of the session's client arrived, a heartbeat or any other.
    public static let heard = Self(.heard)
    /// The copy cannot be trusted any more.
    public static func inconsistent(_ reason: String) -> Self { Self(.inconsistent, reason: reason) }
    /// What the session ran on is gone.
    public static func crashed(_ reason: String) -> Self { Self(.crashed, reason: reason) }
    /// The encoded state takes so many bytes.
    public static func measured(byteCount: Int) -> Self { Self(.measured, byteCount: byteCount) }
}

extension Instant {
    /// Later by so many nanoseconds, not negative; saturates.
    func later(by amount: Int64) -> Instant { advanced(byNanoseconds: max(0, amount)) }

    /// Nanoseconds since an earlier reading; 0 if it is not earlier. Saturates.
    func elapsed(since earlier: Instant) -> Int64 {
        guard self > earlier else { return 0 }
        let (span, overflow) = nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return overflow ? .max : span
    }
}

extension Duration {
    /// Whole nanoseconds, not negative; saturates.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, past) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return past ? .max : sum
    }
}
