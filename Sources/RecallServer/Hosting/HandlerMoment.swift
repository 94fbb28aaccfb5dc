package import RecallCore

/// A point in a handler's work at which a process may die, for whoever simulates deaths or watches the order of things.
package enum HandlerMoment: Sendable, Hashable {
    case willApply(SessionID, SequenceNumber, isReplay: Bool)
    case didApply(SessionID, SequenceNumber, isReplay: Bool)
    /// An effect's async half goes out.
    case effectStarts(SessionID, SequenceNumber)
    /// Its outcome is to be applied.
    case effectReturned(SessionID, SequenceNumber)
    case recallStarts(SessionID)
    case recallEnded(SessionID, messages: Int)
    case checkpointKept(SessionID)
    case refused(SessionID, FaultCode)
    /// A detector gave a session up.
    case detected(SessionID)
    /// What is due was applied; nothing of it has gone out.
    case willFlush
}
