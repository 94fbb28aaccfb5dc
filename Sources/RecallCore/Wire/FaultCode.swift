/// Why a session, a message or a connection was refused. The numbers are on the wire and in logs and are never reused;
/// `docs/errors.md` has a paragraph of "what to do" for each.
///
/// 1-9 are passing (try again), 10-49 concern a session, 50-79 a message, 80-99 a connection, 100 and above arise in
/// the client and never travel.
public struct FaultCode: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    private init(_ rawValue: UInt16) { self.rawValue = rawValue }

    /// The server has as many recalls or sessions as it takes on; try again after a pause.
    public static let overloaded = FaultCode(1)
    /// The server is going away; try another, or this one after its restart.
    public static let draining = FaultCode(2)

    /// A confirmed position is contradicted: two writers used one log.
    public static let forked = FaultCode(10)
    /// A replay gave other replies than the first run: non-determinism, changed code or corrupted memory.
    public static let diverged = FaultCode(11)
    /// The log ends before what it had confirmed, and the kind does not let it adopt the server's state.
    public static let clientBehind = FaultCode(12)
    /// A seal does not follow from the one before it and the content.
    public static let brokenChain = FaultCode(13)
    /// A receipt's code does not verify: altered, or of another session, kind, version or principal.
    public static let badReceipt = FaultCode(14)
    /// No checkpoint the client holds verifies and decodes.
    public static let badCheckpoint = FaultCode(15)
    /// The newest receipt is older than the server accepts.
    public static let expired = FaultCode(16)
    /// A recall would replay a message that has killed the process before.
    public static let poisoned = FaultCode(17)
    /// The client keeps no checkpoint although its log has outgrown the bound by far.
    public static let checkpointRequired = FaultCode(18)
    /// Another connection attached to the session.
    public static let superseded = FaultCode(19)
    /// The server does not host a kind of that name.
    public static let unknownKind = FaultCode(20)
    /// The server hosts the kind, but not in that version.
    public static let unsupportedVersion = FaultCode(21)
    /// The key that issued the session was retired.
    public static let unknownKey = FaultCode(22)
    /// The server's copy keeps failing on this session's history.
    public static let inconsistent = FaultCode(23)

    /// The kind lists no message with that number.
    public static let unknownMessage = FaultCode(50)
    /// The message's content does not decode.
    public static let undecodable = FaultCode(51)
    /// The effect threw an error other than the message's own rejection.
    public static let effectFailed = FaultCode(52)
    /// The message killed the process several times and was given up; it is recorded as refused.
    public static let poisonedMessage = FaultCode(53)
    /// The message, or its reply, is over the size limit.
    public static let messageTooLarge = FaultCode(55)

    /// The connection's first frame is not a hello of a protocol version spoken here.
    public static let protocolVersion = FaultCode(80)
    /// The authentication was refused.
    public static let unauthenticated = FaultCode(81)
    /// A frame does not decode, is of an unknown type, or is over its limit.
    public static let malformedFrame = FaultCode(82)
    /// A frame that the conversation does not allow at this point.
    public static let unexpectedFrame = FaultCode(83)
    /// More in flight than the window that the server announced.
    public static let windowExceeded = FaultCode(84)

    /// The client was closed.
    public static let closed = FaultCode(100)
    /// Whether the update was applied is not known: the client adopted the server's state.
    public static let outcomeUnknown = FaultCode(101)
    /// The log could not be written or read.
    public static let logFailed = FaultCode(102)
    /// The log's bytes are damaged; its longest valid prefix is kept.
    public static let logDamaged = FaultCode(103)
    /// Another writer has the log open.
    public static let logInUse = FaultCode(104)
    /// The log holds a session of another kind, or none.
    public static let logMismatch = FaultCode(105)
    /// No server answered in time.
    public static let unreachable = FaultCode(106)
    /// The server broke the protocol.
    public static let serverFault = FaultCode(108)
    /// The kind's declaration or the configuration is unusable.
    public static let misconfigured = FaultCode(109)

    /// True if the same attempt may succeed later without anything changing at the client.
    public var isRetryable: Bool { rawValue < 10 }
}

extension FaultCode: CustomStringConvertible {
    /// The constant's name, or the number of an unknown code.
    public var description: String { Self.names[rawValue] ?? "code \(rawValue)" }

    private static let names: [UInt16: String] = [
        1: "overloaded", 2: "draining", 10: "forked", 11: "diverged", 12: "clientBehind", 13: "brokenChain",
        14: "badReceipt", 15: "badCheckpoint", 16: "expired", 17: "poisoned", 18: "checkpointRequired",
        19: "superseded", 20: "unknownKind", 21: "unsupportedVersion", 22: "unknownKey", 23: "inconsistent",
        50: "unknownMessage", 51: "undecodable", 52: "effectFailed", 53: "poisonedMessage",
        55: "messageTooLarge", 80: "protocolVersion", 81: "unauthenticated", 82: "malformedFrame",
        83: "unexpectedFrame", 84: "windowExceeded", 100: "closed", 101: "outcomeUnknown", 102: "logFailed",
        103: "logDamaged", 104: "logInUse", 105: "logMismatch", 106: "unreachable",
        108: "serverFault", 109: "misconfigured",
    ]
}
