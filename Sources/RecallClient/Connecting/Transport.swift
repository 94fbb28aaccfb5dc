package import NIOCore

/// A connection's bytes, whatever carries them. Confined to the event loop that it was opened on.
package protocol ByteConnection: AnyObject {
    /// Sends bytes, in order. That they went out means nothing: only the protocol's acknowledgements do.
    func send(_ bytes: ByteBuffer)
    /// Holds back what the peer sends, or lets it come again. Bytes come from the start.
    func setReading(_ isReading: Bool)
    /// Ends it. The receiver hears nothing more.
    func close()
}

/// Who gets what a connection brings. Called on the connection's event loop.
package protocol ByteReceiver: AnyObject {
    /// The next bytes, cut anywhere.
    func received(_ bytes: ByteBuffer)
    /// What one read brought was handed over.
    func batchEnded()
    /// The peer or the network ended it; nothing follows.
    func ended(_ reason: String)
}

/// A way to a server. Its description names the server for people.
package protocol Connector: Sendable, CustomStringConvertible {
    /// Opens a connection. The future completes on the event loop, before the first byte is handed over; it fails if
    /// nobody answers within the limit.
    func connect(
        _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>>
}
