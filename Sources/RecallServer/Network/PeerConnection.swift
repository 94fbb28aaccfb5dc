internal import Logging
internal import NIOCore
internal import Recall
internal import RecallCore

/// One connection, whatever carries it: cuts what is read into frames, lets the peer in after its hello, and hands
/// frames to the handler.
///
/// What one read brought is dealt with as one batch: one receipt and one write for all of it.
final class PeerConnection: HandlerPeer {
    private enum State {
        /// Nothing but a hello is taken, and that not for ever.
        case expectingHello(timeout: Scheduled<Void>?)
        /// The authentication hook thinks; what comes meanwhile waits unread.
        case authenticating
        case open(ConnectionID)
        case closed
    }

    private let loop: HandlerLoop
    private let transport: any PeerTransport
    private let logger: Logger
    private var state = State.expectingHello(timeout: nil)
    private var pending: ByteBuffer?
    private var didRead = false

    init(_ loop: HandlerLoop, _ transport: any PeerTransport, helloWithin limit: TimeAmount, logger: Logger) {
        (self.loop, self.transport, self.logger) = (loop, transport, logger)
        let bound = NIOLoopBound(self, eventLoop: loop.eventLoop)
        state = .expectingHello(timeout: loop.eventLoop.scheduleTask(in: limit) { bound.value.helloTimedOut() })
    }

    private func helloTimedOut() {
        if case .expectingHello = state { refuse(.protocolVersion, "no hello came in time") }
    }

    // MARK: Reading

    var isHeld: Bool { if case .authenticating = state { true } else { false } }

    func received(_ bytes: ByteBuffer) {
        if case .closed = state { return }
        let count = bytes.readableBytes
        var bytes = bytes
        if pending != nil { pending?.writeBuffer(&bytes) } else { pending = bytes }
        didRead = true
        cut()
        if case .open(let id) = state, isInHistory { loop.partArrived(id, byteCount: count) }
    }

    /// True if what was read ends within a frame of a client's history.
    private var isInHistory: Bool {
        let type = pending.flatMap { $0.getInteger(at: $0.readerIndex + 4, as: UInt8.self) }
        return type == FrameType.historyChunk.rawValue || type == FrameType.historySegment.rawValue
    }

    func batchEnded() {
        if didRead, case .open = state { loop.pump() }
        didRead = false
    }

    /// Hands on every whole frame that has been read.
    private func cut() {
        guard var buffer = pending else { return }
        pending = nil
        while !isHeld, let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self).map(Int.init) {
            guard length > 0, length <= frameLimit else { return invalid(length == 0 ? .malformed : .tooLong) }
            guard buffer.readableBytes >= 4 + length else { break }
            guard take(buffer.readableBytesSpan.extracting(4..<(4 + length))) else { return }
            buffer.moveReaderIndex(forwardBy: 4 + length)
        }
        if buffer.readableBytes > 0 {
            buffer.discardReadBytes()
            pending = buffer
        }
    }

    /// A stranger gets no more memory than a hello needs.
    private var frameLimit: Int { if case .open = state { WireLimits.frame } else { WireLimits.authentication + 64 } }

    /// One frame's body; false if the connection is over.
    private func take(_ body: RawSpan) -> Bool {
        switch state {
        case .open(let id):
            loop.receive(id, body)
            return true
        case .expectingHello(let timeout):
            timeout?.cancel()
            return hello(body)
        case .authenticating, .closed: return false
        }
    }

    private func invalid(_ error: WireError) {
        if case .open(let id) = state {
            loop.receiveInvalid(id, error)
            loop.pump()
        } else {
            refuse(.protocolVersion, "the connection does not begin with a hello")
        }
    }

    // MARK: Hello

    private func hello(_ body: RawSpan) -> Bool {
        let hello: ClientHello
        do throws(WireError) {
            var reader = ByteReader(body)
            guard try reader.frameType() == .clientHello else { throw .malformed }
            hello = try ClientHello(reading: &reader)
        } catch {
            refuse(.protocolVersion, "the connection does not begin with a hello")
            return false
        }
        guard hello.version == protocolVersion else {
            refuse(
                .protocolVersion,
                "version \(hello.version) of the protocol is not spoken here, only \(protocolVersion)")
            return false
        }
        guard let authenticate = loop.authenticate else {
            open(principal: nil)
            return true
        }
        state = .authenticating
        let reference = loop.reference
        let bound = NIOLoopBound(self, eventLoop: loop.eventLoop)
        Task(executorPreference: loop.executor) {
            let result: Result<[UInt8]?, any Error>
            do { result = .success(try await authenticate(hello.authentication)) } catch { result = .failure(error) }
            reference?.execute { _ in bound.value.authenticated(result) }
        }
        return true
    }

    private func authenticated(_ result: Result<[UInt8]?, any Error>) {
        guard isHeld else { return }
        switch result {
        case .success(let principal):
            open(principal: principal)
            cut()
            loop.pump()
            transport.resumeReading()
        case .failure(let error):
            logger.info("a connection was not authenticated", metadata: ["error": "\(error)"])
            refuse(.unauthenticated, "the authentication was refused")
        }
    }

    private func open(principal: [UInt8]?) { state = .open(loop.open(self, principal: principal)) }

    private func refuse(_ code: FaultCode, _ text: String) {
        var writer = ByteWriter()
        writer.frame(Refusal(stream: .connection, code, text))
        write(writer.bytes)
        close()
    }

    // MARK: Ending

    func write(_ bytes: [UInt8]) { transport.write(ByteBuffer(bytes: bytes)) }

    func close() {
        if case .closed = state { return }
        if case .expectingHello(let timeout) = state { timeout?.cancel() }
        let former = state
        state = .closed
        pending = nil
        if case .open(let id) = former { loop.closed(id) }
        loop.left(self)
        transport.close()
    }

    func writabilityChanged(_ isWritable: Bool) {
        if case .open(let id) = state { loop.setWritable(id, isWritable) }
    }

    func ended() { close() }
}
