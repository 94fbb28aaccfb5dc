/// Names a caller that waits; the shell holds its continuation.
package struct CallID: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Calls that follow each other are a range.
extension CallID: Strideable {
    /// The call so many after this one.
    package func advanced(by count: Int) -> CallID { CallID(rawValue &+ UInt64(truncatingIfNeeded: count)) }
    package func distance(to other: CallID) -> Int { Int(truncatingIfNeeded: other.rawValue &- rawValue) }
}

/// What a caller gets.
@usableFromInline
package enum CallResult: Sendable, Hashable {
    /// The encoded reply.
    case reply([UInt8])
    /// The message's own rejection, encoded.
    case rejected([UInt8])
    case failed(FaultCode, String)
}

/// One thing for the log to do. One at a time; its end comes back as an event, and the next follows.
///
/// The large cases are indirect: most operations append, and each is handed on several times.
package enum LogOperation: Sendable, Hashable {
    case append([LogEntry])
    indirect case keep(Checkpoint, truncating: SequenceNumber)
    indirect case adopt(Checkpoint, receipt: Receipt)
    case readSlice(after: SequenceNumber)
    case readReceipt(atOrBefore: SequenceNumber)
    case readCheckpoint(generation: Int)
}

/// What the log answered.
package enum LogAnswer: Sendable, Hashable {
    case done
    indirect case slice(LogSlice)
    indirect case receipt(Receipt?)
    indirect case checkpoint(Checkpoint?)
}

/// What happened to a session, for its caller and its shell; in order.
package enum ClientEvent: Sendable, Hashable {
    /// Callers' waits end, and each of them gets the same. What they get is in the log.
    case deliver(Range<CallID>, CallResult)
    /// The session is live on its stream; a recall of so many messages came before, if any.
    case attached(replayed: UInt64, microseconds: UInt64)
    /// A server asked for the log.
    case recallAsked
    case checkpointKept(at: SequenceNumber, byteCount: Int)
    /// The server's state was adopted, since the log had lost what it had confirmed.
    case adopted(at: SequenceNumber)
    /// The server cannot take the session now: attach again after a pause.
    case refusedForNow(FaultCode, String)
    /// The session has ended for this client.
    case failed(FaultCode, String)
}

/// Pauses before another attempt: exponential with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).
package struct Backoff: Sendable {
    package var floor: Int64 = 50_000_000
    package var ceiling: Int64 = 5_000_000_000
    private var attempts = 0

    package init(floor: Int64 = 50_000_000, ceiling: Int64 = 5_000_000_000) {
        (self.floor, self.ceiling) = (max(1, floor), max(1, ceiling))
    }

    package mutating func reset() { attempts = 0 }

    /// Nanoseconds to wait: uniform between half of the bound and all of it.
    package mutating func next(random: UInt64) -> Int64 {
        let (product, overflow) = floor.multipliedReportingOverflow(by: 1 << min(attempts, 20))
        let bound = overflow ? ceiling : min(ceiling, product)
        attempts = min(attempts + 1, 20)
        return bound / 2 + Int64(random % UInt64(bound / 2 + 1))
    }
}
