/// The protocol's bounds. What lies past one is refused with a typed error; nothing is cut silently.
public enum WireLimits {
    /// Bytes of one frame's body.
    public static let frame = 2 << 20
    /// Bytes of one message's content: its number (1) and payload.
    public static let message = 1 << 20 | 1
    /// Bytes of one reply.
    public static let reply = 1 << 20
    /// Bytes of one update's determinants. Content and determinants of one message and a run of `receiptInterval`
    /// before it fit a frame together.
    public static let determinants = 896 << 10
    /// Bytes of messages and determinants after which a server issues a receipt, and between those a log keeps.
    public static let receiptInterval = 64 << 10
    /// Updates sent and not acknowledged.
    public static let windowMessages = 1024
    /// Bytes of updates sent and not acknowledged; one message of any allowed size always fits.
    public static let windowBytes = 1 << 20
    /// Requests sent and not answered.
    public static let windowRequests = 1024
    /// Bytes of plaintext in a checkpoint's segment.
    public static let segment = 256 << 10
    /// Bytes that a segment's nonce and tag add.
    static let segmentOverhead = 28
    /// Segments of a checkpoint: 1 GiB of state.
    public static let segments = 4096
    /// Bytes of a kind's name.
    public static let kindName = 255
    /// Bytes of what a client sends to authenticate itself.
    public static let authentication = 16 << 10
    /// Bytes of a refusal's text.
    public static let text = 1024
    /// History chunks a client may send ahead of the server's applying.
    public static let historyCredit: UInt8 = 4
    /// Bytes of a whole history that a client may send along with `attach`, unasked.
    public static let rideAlong = 16 << 10
    /// Streams that one connection may have open.
    public static let streams = 131_072
}
