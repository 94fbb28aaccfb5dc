/// The limits of a kind of session. All are checked on the server, for new messages only: a history that was once
/// accepted replays under any limits.
public struct SessionLimits: Hashable, Sendable {
    /// Longest encoded message, in bytes, without its number. A longer one is refused, `messageTooLarge`.
    public var messageBytes: Int
    /// Longest encoded reply, rejection or effect's outcome, in bytes. A request's reply over it is refused with
    /// `messageTooLarge`; an effect's outcome over it, or over 895 KiB, fails the effect. An update's reply over it
    /// comes too late for either, so it counts as lost consistency: bound your updates' replies yourself.
    public var replyBytes: Int
    /// When a checkpoint is offered to the client.
    public var checkpoints: CheckpointBounds
    /// Oldest receipt with which a session is recalled; an older one is refused, `expired`. Nil: any age.
    public var maximumIdleAge: Duration?

    public init(
        messageBytes: Int = 1 << 20, replyBytes: Int = 1 << 20, checkpoints: CheckpointBounds = CheckpointBounds(),
        maximumIdleAge: Duration? = nil
    ) {
        self.messageBytes = messageBytes
        self.replyBytes = replyBytes
        self.checkpoints = checkpoints
        self.maximumIdleAge = maximumIdleAge
    }

    /// What is wrong with them, in one phrase.
    var fault: String? {
        if messageBytes < 1 || messageBytes > Self.maximumBytes {
            return "messageBytes must be 1...\(Self.maximumBytes)"
        }
        if replyBytes < 1 || replyBytes > Self.maximumBytes { return "replyBytes must be 1...\(Self.maximumBytes)" }
        if let maximumIdleAge, maximumIdleAge <= .zero { return "maximumIdleAge must be positive" }
        return checkpoints.fault
    }

    /// What a determinant carries, with its own framing.
    static let maximumOutcomeBytes = WireLimits.determinants - 64
    /// What a frame carries.
    static let maximumBytes = WireLimits.message - 1
}

/// When a server offers a checkpoint: as soon as what a recall would replay has outgrown one of these bounds. So a log
/// stays within a constant factor of the state, at constant amortised cost per message.
public struct CheckpointBounds: Hashable, Sendable {
    /// Bytes of messages and determinants since the last checkpoint below which none is offered for size.
    public var minimumBytes: Int
    /// Nor below this multiple of the last checkpoint's size.
    public var growthFactor: Int
    /// Messages since the last checkpoint.
    public var maximumMessages: Int
    /// Time spent applying them, as measured when they were first applied.
    public var maximumReplayTime: Duration
    /// A client that keeps no checkpoint is refused further updates (`checkpointRequired`) at this multiple of the
    /// bound that was reached.
    public var refusalFactor: Int

    public init(
        minimumBytes: Int = 64 << 10, growthFactor: Int = 2, maximumMessages: Int = 100_000,
        maximumReplayTime: Duration = .milliseconds(200), refusalFactor: Int = 8
    ) {
        self.minimumBytes = minimumBytes
        self.growthFactor = growthFactor
        self.maximumMessages = maximumMessages
        self.maximumReplayTime = maximumReplayTime
        self.refusalFactor = refusalFactor
    }

    var fault: String? {
        if minimumBytes < 1 || growthFactor < 1 || maximumMessages < 1 || maximumReplayTime <= .zero {
            return "the checkpoint policy's bounds must be positive"
        }
        return refusalFactor < 2 ? "the checkpoint policy's refusalFactor must be at least 2" : nil
    }
}

/// What happens when a client's log ends before what it had confirmed: a lost tail, or an old backup.
public enum WhenBehind: Hashable, Sendable {
    /// The session is refused, `clientBehind`, until a log that holds it all comes back.
    case refuse
    /// The client adopts the server's live state as a checkpoint. Every message of its log that was not acknowledged
    /// ends as `outcomeUnknown` and is not sent again.
    case adopt
}
