internal import NIOCore
internal import RecallCore

/// One connection of a link: bytes out, whole frames in. Confined to the link's event loop.
final class LinkConnection: ByteReceiver, Equatable {
    private weak var link: ServerLink?
    private var carrier: (any ByteConnection)?
    private var pending: ByteBuffer?
    private var output: ByteBuffer?
    /// Why it ended, once it has.
    private(set) var ending: String?

    private init(_ link: ServerLink) { self.link = link }

    static func == (a: LinkConnection, b: LinkConnection) -> Bool { a === b }

    static func connect(
        to endpoint: Endpoint, _ link: ServerLink, within limit: TimeAmount, on eventLoop: any EventLoop
    ) -> EventLoopFuture<NIOLoopBound<LinkConnection>> {
        let connection = LinkConnection(link)
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        let receiver = NIOLoopBound<any ByteReceiver>(connection, eventLoop: eventLoop)
        return endpoint.connector.connect(receiver, on: eventLoop, within: limit).map { carrier in
            bound.value.carrier = carrier.value
            return bound
        }
    }

    /// Gathers bytes; they go out with the next flush.
    func write(_ bytes: [UInt8]) {
        guard ending == nil else { return }
        if output == nil { output = ByteBuffer(bytes: bytes) } else { output?.writeBytes(bytes) }
    }

    var gatheredBytes: Int { output?.readableBytes ?? 0 }

    func flush() {
        guard let buffer = output, ending == nil else { return }
        output = nil
        carrier?.send(buffer)
    }

    func close() {
        guard ending == nil else { return }
        flush()
        ending = "closed"
        carrier?.close()
        carrier = nil
    }

    // MARK: Reading: never held back, so that neither side waits for the other with full queues

    func received(_ bytes: ByteBuffer) {
        var bytes = bytes
        if pending != nil { pending?.writeBuffer(&bytes) } else { pending = bytes }
        cut()
    }

    func batchEnded() { link?.batchEnded(self) }

    func ended(_ reason: String) {
        guard ending == nil else { return }
        ending = reason
        carrier = nil
        link?.lost(self, reason)
    }

    private func cut() {
        guard var buffer = pending, let link else { return }
        pending = nil
        link.batchBegan()
        while ending == nil, let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self).map(Int.init) {
            guard length > 0, length <= WireLimits.frame else {
                return link.lost(self, link.isOpen ? "the server sent a frame of \(length) bytes" : ServerLink.stranger)
            }
            guard buffer.readableBytes >= 4 + length else { break }
            link.receive(self, buffer.readableBytesSpan.extracting(4..<(4 + length)))
            buffer.moveReaderIndex(forwardBy: 4 + length)
        }
        if buffer.readableBytes > 0 {
            buffer.discardReadBytes()
            pending = buffer
        }
    }
}
