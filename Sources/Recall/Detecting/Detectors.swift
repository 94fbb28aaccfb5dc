public import RecallCore

/// Fails when what the session runs on is gone.
public struct CrashDetector: FailureDetector {
    private var isDown = false

    public init(for session: SessionID, at now: Instant) {}

    public mutating func observe(_ event: SessionEvent, at now: Instant) {
        if event.kind == .crashed { isDown = true }
    }

    public func hasFailed(at now: Instant) -> Bool { isDown }
    public func nextCheck(after now: Instant) -> Instant? { isDown ? now : nil }
    public var observesHeard: Bool { false }
}

/// Fails when the copy cannot be trusted: a broken chain, a replay that diverges, a false invariant.
public struct ConsistencyDetector: FailureDetector {
    private var isLost = false

    public init(for session: SessionID, at now: Instant) {}

    public mutating func observe(_ event: SessionEvent, at now: Instant) {
        if event.kind == .inconsistent { isLost = true }
    }

    public func hasFailed(at now: Instant) -> Bool { isLost }
    public func nextCheck(after now: Instant) -> Instant? { isLost ? now : nil }
    public var observesHeard: Bool { false }
}

/// Fails when one update runs for longer than a deadline: an endless loop (seen only by a watcher on another thread),
/// or an effect that never comes back.
///
/// The deadline covers the whole of an effect, so it must be longer than the slowest of them.
public struct DeadlineDetector: FailureDetector {
    /// 30 seconds.
    public static let defaultDeadline: Duration = .seconds(30)

    private let limit: Int64
    private var run = Run()

    public init(for session: SessionID, at now: Instant) { self.init(deadline: Self.defaultDeadline) }

    /// An update may run up to and including `deadline`.
    public init(deadline: Duration) { limit = deadline.wholeNanoseconds }

    public mutating func observe(_ event: SessionEvent, at now: Instant) { run.observe(event, at: now) }
    public func hasFailed(at now: Instant) -> Bool { run.exceeds(limit, at: now) }
    public func nextCheck(after now: Instant) -> Instant? { run.end(of: limit).map { max(now, $0) } }
    public var observesHeard: Bool { false }

    /// The update that runs, and since when.
    struct Run {
        private var start = Instant(nanoseconds: 0)
        /// Zero, which no update has, if none runs.
        private var running = SequenceNumber.zero

        mutating func observe(_ event: SessionEvent, at now: Instant) {
            switch event.kind {
            // Begun again under the same number it is still the same run: the time counts from the first.
            case .began where event.number != running: (running, start) = (event.number, now)
            case .completed where event.number == running: running = .zero
            default: break
            }
        }

        /// True if it runs for longer than so many nanoseconds.
        func exceeds(_ limit: Int64, at now: Instant) -> Bool {
            running != .zero && now.elapsed(since: start) > limit
        }

        /// When it will; nil if none runs.
        func end(of limit: Int64) -> Instant? { running == .zero ? nil : start.later(by: limit).later(by: 1) }
    }
}

/// Fails when a session did nothing and its client said nothing for a while. Not a fault at all: deleting an idle
/// session frees its memory, and its client's next message brings it back.
public struct IdleDetector: FailureDetector {
    /// 10 minutes.
    public static let defaultLimit: Duration = .seconds(600)

    private let limit: Int64
    private var last: Instant
    private var isRunning = false

    public init(for session: SessionID, at now: Instant) { self.init(limit: Self.defaultLimit, at: now) }

    /// The session may be idle up to and including `limit`.
    public init(limit: Duration, at now: Instant) {
        self.limit = limit.wholeNanoseconds
        last = now
    }

    public mutating func observe(_ event: SessionEvent, at now: Instant) {
        switch event.kind {
        case .began: isRunning = true
        case .completed: isRunning = false
        case .heard: break
        default: return
        }
        last = now
    }

    public func hasFailed(at now: Instant) -> Bool { !isRunning && now.elapsed(since: last) > limit }

    public func nextCheck(after now: Instant) -> Instant? {
        isRunning ? nil : max(now, last.later(by: limit).later(by: 1))
    }
}

/// A crash, a run of more than 30 seconds or lost consistency: what `AnyDetector` of the three says, for it is asked
/// twice for every update, and a list of existentials took a quarter of what an update costs. Small, since
/// each session has one.
package struct StandardDetector: FailureDetector {
    /// `DeadlineDetector.defaultDeadline` in nanoseconds; a constant, since it is looked at for every update.
    private static var limit: Int64 { 30_000_000_000 }
    private var run = DeadlineDetector.Run()
    private var isLost = false

    package init(for session: SessionID, at now: Instant) {}

    package mutating func observe(_ event: SessionEvent, at now: Instant) {
        if event.kind == .crashed || event.kind == .inconsistent { isLost = true }
        run.observe(event, at: now)
    }

    package func hasFailed(at now: Instant) -> Bool { isLost || run.exceeds(Self.limit, at: now) }
    package func nextCheck(after now: Instant) -> Instant? {
        isLost ? now : run.end(of: Self.limit).map { max(now, $0) }
    }
    package var observesHeard: Bool { false }
}

/// Fails as soon as one of several detectors does.
public struct AnyDetector: FailureDetector {
    private var detectors: [any FailureDetector]

    /// A crash, a run of more than 30 seconds or lost consistency.
    public init(for session: SessionID, at now: Instant) {
        self.init(of: [
            CrashDetector(for: session, at: now), DeadlineDetector(for: session, at: now),
            ConsistencyDetector(for: session, at: now),
        ])
    }

    /// Without any it never fails.
    public init(of detectors: [any FailureDetector]) { self.detectors = detectors }

    public mutating func observe(_ event: SessionEvent, at now: Instant) {
        for index in detectors.indices { detectors[index].observe(event, at: now) }
    }

    public func hasFailed(at now: Instant) -> Bool { detectors.contains { $0.hasFailed(at: now) } }
    public func nextCheck(after now: Instant) -> Instant? { detectors.compactMap { $0.nextCheck(after: now) }.min() }
    public var observesHeard: Bool { detectors.contains { $0.observesHeard } }
}

/// How a server detects failures: makes a detector, with its settings, for each session it hosts.
///
/// ```swift
/// let detection = FailureDetection.any(of: .standard, .idle(after: .seconds(3600)))
/// ```
public struct FailureDetection: Sendable {
    private let make: @Sendable (SessionID, Instant) -> any FailureDetector

    /// A detector of your own, configured as you like.
    public init(_ make: @escaping @Sendable (SessionID, Instant) -> any FailureDetector) { self.make = make }

    /// A detector of your own, with its default settings.
    public init<D: FailureDetector>(_ type: D.Type) { self.init { D(for: $0, at: $1) } }

    /// The detector for a session that begins now.
    public func detector(for session: SessionID, at now: Instant) -> any FailureDetector { make(session, now) }

    /// A crash, a run of more than 30 seconds, or lost consistency.
    public static let standard = Self(StandardDetector.self)
    /// What the session runs on is gone.
    public static let crash = Self(CrashDetector.self)
    /// The copy cannot be trusted.
    public static let consistency = Self(ConsistencyDetector.self)

    /// An update runs for longer than that.
    public static func deadline(_ deadline: Duration) -> Self { Self { _, _ in DeadlineDetector(deadline: deadline) } }

    /// Nothing happened for longer than that.
    public static func idle(after limit: Duration) -> Self { Self { _, now in IdleDetector(limit: limit, at: now) } }

    /// The client has fallen silent, judged by how regularly it was heard before.
    public static func phiAccrual(_ settings: PhiAccrualDetector.Settings = .init()) -> Self {
        let shared = PhiAccrualDetector.Model(settings)
        return Self { _, now in PhiAccrualDetector(model: shared, at: now) }
    }

    /// Any of these.
    public static func any(of choices: Self...) -> Self {
        Self { session, now in AnyDetector(of: choices.map { $0.make(session, now) }) }
    }
}
