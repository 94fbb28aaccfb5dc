/// When a checkpoint is offered: when what a recall would replay has outgrown a bound, so that the log stays within a
/// constant factor of the state at amortised constant cost.
package struct CheckpointPolicy: Sendable, Hashable {
    /// Bytes of messages and determinants, whatever the state's size.
    package var minimumBytes = 64 << 10
    /// And so many times the bytes of the last checkpoint.
    package var growth = 2
    /// Or so many messages.
    package var messages = 100_000
    /// Or so many nanoseconds of applying them, as measured the first time or in a recall.
    package var nanoseconds: Int64 = 200_000_000
    /// Past this multiple of the bound, a client that keeps no checkpoint is refused further updates.
    package var patience = 8
    /// False for kinds whose state cannot be encoded.
    package var isEnabled = true

    package init() {}
}

/// What a recall of one session would replay now.
package struct ReplayDebt: Sendable {
    /// Apart, since most sessions have none at most times.
    private final class Offered: Sendable {
        let position: Position
        let bytes: Int, messages: Int, nanoseconds: Int64, size: Int

        init(_ position: Position, after debt: ReplayDebt, size: Int) {
            (self.position, self.size) = (position, size)
            (bytes, messages, nanoseconds) = (debt.bytes, debt.messages, debt.nanoseconds)
        }
    }

    /// Bytes and count of messages since the checkpoint that the client has kept.
    package private(set) var bytes = 0
    package private(set) var messages = 0
    package private(set) var nanoseconds: Int64 = 0
    /// Bytes of that checkpoint; 0 if there is none.
    package private(set) var checkpointBytes = 0
    /// The checkpoint under way: where it is and what had been counted there.
    private var offered: Offered?
    /// Messages to come before a state that did not encode is tried again.
    private var postponedMessages = 0

    /// What stays of it while a session rests, in little room.
    struct Rest {
        let bytes: UInt32, messages: UInt32, checkpointBytes: UInt32
        /// In units of 1,024 ns: they were measured, and not to a microsecond.
        let time: UInt32
    }

    package init(checkpointBytes: Int = 0) { self.checkpointBytes = checkpointBytes }

    init(_ rest: Rest) {
        (bytes, messages, checkpointBytes) = (Int(rest.bytes), Int(rest.messages), Int(rest.checkpointBytes))
        nanoseconds = Int64(rest.time) << 10
    }

    /// Nil while a checkpoint is under way or put off, or if it is beyond all bounds.
    var rest: Rest? {
        guard offered == nil, postponedMessages == 0, let bytes = UInt32(exactly: bytes),
            let messages = UInt32(exactly: messages), let checkpointBytes = UInt32(exactly: checkpointBytes)
        else { return nil }
        return Rest(
            bytes: bytes, messages: messages, checkpointBytes: checkpointBytes,
            time: UInt32(clamping: nanoseconds >> 10))
    }

    package mutating func add(bytes count: Int) {
        bytes += count
        messages += 1
        if postponedMessages > 0 { postponedMessages -= 1 }
    }

    package mutating func add(nanoseconds time: Int64) { nanoseconds &+= max(0, time) }

    package func isDue(_ policy: CheckpointPolicy) -> Bool {
        guard policy.isEnabled, offered == nil, messages > 0, postponedMessages == 0 else { return false }
        return bytes > bound(policy) || messages > policy.messages || nanoseconds > policy.nanoseconds
    }

    /// True if the client has kept none of what it was offered for too long: past the bound's multiple, and past what
    /// it may have had on its way when the offer reached it.
    package func isOverdue(_ policy: CheckpointPolicy, windowBytes: Int, windowMessages: Int) -> Bool {
        guard policy.isEnabled, let offered else { return false }
        let (newBytes, newMessages) = (bytes - offered.bytes, messages - offered.messages)
        return (bytes > Self.product(bound(policy), policy.patience) && newBytes > Self.product(2, windowBytes))
            || (messages > Self.product(policy.messages, policy.patience)
                && newMessages > Self.product(2, windowMessages))
    }

    private func bound(_ policy: CheckpointPolicy) -> Int {
        max(policy.minimumBytes, Self.product(policy.growth, checkpointBytes))
    }

    /// Saturates: a policy's numbers are the user's.
    private static func product(_ a: Int, _ b: Int) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? .max : product
    }

    package mutating func offer(at position: Position, size: Int) {
        offered = Offered(position, after: self, size: size)
    }

    /// The state did not encode: it is tried again after as many messages as there were already, so that a state that
    /// never does costs a constant per message. The log is not bounded meanwhile.
    package mutating func postpone() { postponedMessages = messages }

    /// The offer went to a stream that is no more.
    package mutating func withdrawOffer() { offered = nil }

    /// False if no such checkpoint was offered.
    package mutating func keep(_ position: Position) -> Bool {
        guard let offered, offered.position == position else { return false }
        bytes -= offered.bytes
        messages -= offered.messages
        nanoseconds -= offered.nanoseconds
        checkpointBytes = offered.size
        self.offered = nil
        return true
    }
}
