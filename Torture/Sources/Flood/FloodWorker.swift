/// Sends malformed frames to a server, one connection each, and sees how the server takes them. Blocks its thread.
struct FloodWorker {
    /// How the server took a frame.
    enum Outcome: Hashable, Sendable {
        /// With a code of the protocol.
        case refused(UInt16)
        /// It went on: the change left a frame that may be sent, or one about a session that is not there.
        case wentOn
        /// The connection ended without a word.
        case closed
        /// It waits for the rest of a frame.
        case waits
        /// The server took no new connection.
        case notConnected
    }

    private let port: Int
    private let frames: MalformedFrames
    private var random: SeededGenerator
    /// A session of this worker's own: its id, and the vector of its seals.
    private var session: (id: [UInt8], vector: [UInt8])?

    init(port: Int, frames: MalformedFrames, random: SeededGenerator) {
        (self.port, self.frames, self.random) = (port, frames, random)
    }

    /// One frame on a connection of its own.
    mutating func next() -> Outcome {
        let stream = UInt32(2)
        let sample = frames.next(&random, stream: stream)
        guard var connection = try? RawConnection(port: port) else { return .notConnected }
        if sample.moment != .beforeHello {
            guard connection.send(FrameWriter.frame(FrameWriter.hello)),
                let hello = connection.receive(type: 0x41, within: 10), hello.count == 47
            else { return .notConnected }
            if sample.moment == .onStream, !attach(&connection, stream, nonce: Array(hello.suffix(32))) {
                return .notConnected
            }
        }
        let token = random.next()
        guard connection.send(sample.bytes + FrameWriter.frame(FrameWriter.ping(token))) else { return .closed }
        return outcome(&connection)
    }

    private func outcome(_ connection: inout RawConnection) -> Outcome {
        for _ in 0..<100 {
            switch connection.receive(within: 0.1) {
            case .silent: return .waits
            case .closed: return .closed
            case .frame(let body):
                switch body.first {
                case 0x4c where body.count >= 7: return .refused(UInt16(body[5]) << 8 | UInt16(body[6]))
                case 0x4b: return .wentOn
                default: continue
                }
            }
        }
        return .wentOn
    }

    /// Attaches to the worker's session, which is initiated first if there is none.
    private mutating func attach(_ connection: inout RawConnection, _ stream: UInt32, nonce: [UInt8]) -> Bool {
        if session == nil {
            guard connection.send(FrameWriter.frame(FrameWriter.initiate(stream: 1, kind: "text"))),
                let initiated = connection.receive(type: 0x42, within: 10), initiated.count == 53
            else { return false }
            session = (Array(initiated[5..<21]), Array(initiated[21...]))
        }
        guard let session else { return false }
        let attach = FrameWriter.attach(
            stream: stream, kind: "text", session: session.id, vector: session.vector, nonce: nonce)
        return connection.send(FrameWriter.frame(attach)) && connection.receive(type: 0x43, within: 10) != nil
    }
}
