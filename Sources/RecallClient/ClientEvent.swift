public import RecallCore

/// What happens to a session behind its caller's back. Watching is optional: `send` says everything that matters.
///
/// Later versions add cases; switch with a `default`.
public enum SessionNotice: Sendable {
    /// A connection to this server stands, and the session is live there.
    case connected(to: Endpoint)
    /// The server had no copy of the session, or another one, and rebuilt it from the log.
    case recalled(messages: Int, duration: Duration)
    /// The log keeps a checkpoint of so many bytes and forgot what came before the last.
    case checkpoint(at: SequenceNumber, byteCount: Int)
    /// The log had lost what it had confirmed; it continues from the server's state. What was unacknowledged ended as
    /// `outcomeUnknown`.
    case adopted(at: SequenceNumber)
    /// This server could not be reached, for that reason; the next attempt follows after a pause.
    case unreachable(Endpoint, reason: String)
    /// The connection is gone; the next attempt follows after a pause.
    case disconnected(reason: String)
    /// The server is going away and asked its clients to go elsewhere.
    case drained
    /// The server cannot take the session now; the next attempt follows after a pause.
    case refused(FaultCode, String)
    /// The session has ended for this client; every `send` throws this from now on.
    case failed(FaultCode, String)
}
