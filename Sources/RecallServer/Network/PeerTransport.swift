package import NIOCore

/// What carries a peer's bytes. Called on the handler's event loop.
package protocol PeerTransport: AnyObject {
    /// Sends bytes, in order; keeps what cannot go out at once.
    func write(_ bytes: ByteBuffer)
    /// The peer may be read on: `HandlerPeer.isHeld` has become false.
    func resumeReading()
    /// Sends what was written, as far as that can be, and ends the connection.
    func close()
}

/// A connection as its transport sees it. Called on the handler's event loop.
package protocol HandlerPeer: AnyObject {
    /// True while nothing more is to be read.
    var isHeld: Bool { get }
    /// The next bytes, cut anywhere.
    func received(_ bytes: ByteBuffer)
    /// What one read brought was handed over.
    func batchEnded()
    /// The peer reads what is written to it, or has stopped for now. Writable at first.
    func writabilityChanged(_ isWritable: Bool)
    /// The connection is over, whoever ended it.
    func ended()
}
