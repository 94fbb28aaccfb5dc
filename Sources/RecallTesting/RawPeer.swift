internal import NIOCore
internal import NIOPosix
package import RecallClient
package import RecallCore
internal import Synchronization

/// A peer that speaks bytes, over any endpoint's transport.
package final class RawPeer: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var hasEnded = false
    }
    /// Takes what comes in. Confined to the event loop, except for its state.
    private final class Receiver: ByteReceiver, Sendable {
        let state = Mutex(State())
        func received(_ bytes: ByteBuffer) { state.withLock { $0.bytes.append(contentsOf: bytes.readableBytesView) } }
        func batchEnded() {}
        func ended(_ reason: String) { state.withLock { $0.hasEnded = true } }
    }
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let receiver = Receiver()
    private let connection: NIOLoopBound<any ByteConnection>

    package init(_ endpoint: Endpoint) async throws {
        let (eventLoop, receiver) = (eventLoop, receiver)
        connection = try await eventLoop.flatSubmit {
            endpoint.connector.connect(
                NIOLoopBound<any ByteReceiver>(receiver, eventLoop: eventLoop), on: eventLoop, within: .seconds(30))
        }.get()
    }

    package func send(_ bytes: [UInt8]) {
        eventLoop.execute { [connection] in connection.value.send(ByteBuffer(bytes: bytes)) }
    }

    package func send<F: FrameFields>(_ frame: F) {
        var writer = ByteWriter()
        writer.frame(frame)
        send(writer.bytes)
    }

    /// Stops taking what the server sends, or goes on.
    package func setReading(_ isReading: Bool) {
        eventLoop.execute { [connection] in connection.value.setReading(isReading) }
    }

    package func close() { eventLoop.execute { [connection] in connection.value.close() } }

    package var hasEnded: Bool { receiver.state.withLock { $0.hasEnded } }
    package var bytes: [UInt8] { receiver.state.withLock { $0.bytes } }

    /// The frames that came whole.
    package var frames: [(type: UInt8, body: [UInt8])] {
        var frames: [(type: UInt8, body: [UInt8])] = []
        var rest = bytes[...]
        while rest.count >= 5 {
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            guard length > 0, rest.count >= 4 + length else { break }
            let body = rest.dropFirst(4).prefix(length)
            frames.append((body.first ?? 0, Array(body)))
            rest = rest.dropFirst(4 + length)
        }
        return frames
    }

    /// The code with which the connection or a stream was refused, if it was.
    package var refusal: FaultCode? {
        guard let body = frames.first(where: { $0.type == FrameType.refusal.rawValue })?.body else { return nil }
        var reader = ByteReader(body.span.bytes)
        _ = try? reader.frameType()
        return (try? Refusal(reading: &reader))?.code
    }
}
