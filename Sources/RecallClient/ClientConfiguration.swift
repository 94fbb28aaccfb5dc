package import NIOCore
package import Recall
internal import RecallCore

/// How a client behaves towards its servers. The defaults suit a person at a terminal and a service alike.
public struct ClientConfiguration: Sendable {
    /// What the server's authentication hook gets; at most 16 KiB.
    public var credentials: [UInt8] = []
    /// Updates sent and not acknowledged; `send` waits beyond. At most what the server announces.
    public var windowMessages = WireLimits.windowMessages
    /// Bytes of them.
    public var windowBytes = WireLimits.windowBytes
    /// The first pause before another attempt to connect; doubled each time, with jitter.
    public var backoffFloor: Duration = .milliseconds(50)
    /// The longest pause.
    public var backoffCeiling: Duration = .seconds(5)
    /// How long an attempt to connect may take.
    public var connectTimeout: Duration = .seconds(5)
    /// A server that was silent for so long is asked for a sign of life.
    public var heartbeat: Duration = .seconds(2)
    /// A server that was silent for so long is given up, and the next attempt made.
    public var silenceLimit: Duration = .seconds(10)
    /// How long `open` waits for a server before it throws `unreachable`; nil: for ever. An open session waits for
    /// ever.
    public var openTimeout: Duration? = .seconds(30)
    /// Bytes of a whole history that goes along with an attach, unasked.
    package var rideAlong = WireLimits.rideAlong
    package var surroundings = Surroundings()
    /// Where the client runs; nil: on one of the clients' own loops.
    package var eventLoop: (any EventLoop)?

    public init() {}
}
