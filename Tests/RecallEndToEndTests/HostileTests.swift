import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

/// Peers that do not keep to the protocol: the server refuses them by code, and lives.
@Suite struct HostileTests {
    private func serves(_ server: TestServer) async throws {
        let client = try await SessionClient<Counter>.open(
            at: server.endpoint, log: .memory, configuration: .quick, logger: .silent)
        #expect(try await client.send(Counter.Add(amount: 1)) == 1)
        await client.close()
    }

    private func hello() -> [UInt8] {
        var writer = ByteWriter()
        writer.frame(ClientHello())
        return writer.bytes
    }

    private func length(_ count: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        writer.integer(count)
        return writer.bytes
    }

    @Test(.timeLimit(.minutes(1))) func badBeginnings() async throws {
        try await withServer(TestServer(Counter())) { server in
            let beginnings: [[UInt8]] = [
                Array("GET / HTTP/1.1\r\n\r\n".utf8), length(0), length(.max), length(100_000),
                length(1) + [0xff], length(1) + [FrameType.ping.rawValue],
                length(3) + [FrameType.clientHello.rawValue, 1, 2],
            ]
            for bytes in beginnings {
                let peer = try await RawPeer(server.endpoint)
                peer.send(bytes)
                try await eventually("\(bytes.prefix(8)) is refused") { peer.hasEnded }
                #expect(peer.refusal == .protocolVersion)
            }
            var other = ClientHello()
            other.version = 99
            let peer = try await RawPeer(server.endpoint)
            peer.send(other)
            try await eventually("another version is refused") { peer.hasEnded }
            #expect(peer.refusal == .protocolVersion)
            try await serves(server)
        }
    }

    @Test(.timeLimit(.minutes(1))) func badFrames() async throws {
        try await withServer(TestServer(Counter())) { server in
            let frames: [([UInt8], FaultCode)] = [
                (length(0), .malformedFrame), (length(3 << 20), .malformedFrame), (length(1) + [0x7f], .malformedFrame),
                (length(2) + [FrameType.update.rawValue, 1], .malformedFrame),
                (length(1) + [FrameType.pong.rawValue], .unexpectedFrame), (hello(), .unexpectedFrame),
            ]
            for (bytes, code) in frames {
                let peer = try await RawPeer(server.endpoint)
                peer.send(hello() + bytes)
                try await eventually("\(bytes.prefix(8)) is refused") { peer.hasEnded }
                #expect(peer.refusal == code, "\(bytes.prefix(8))")
            }
            // What is for a stream that is not there is late and harmless.
            let peer = try await RawPeer(server.endpoint)
            peer.send(hello())
            peer.send(Confirm(stream: StreamID(9), position: .start))
            peer.send(Initiate(stream: StreamID(1), kindVersion: 1, kindName: Array("no such kind".utf8)))
            try await eventually("an unknown kind is refused") { peer.refusal != nil }
            #expect(peer.refusal == .unknownKind)
            #expect(!peer.hasEnded)
            peer.close()
            try await serves(server)
        }
    }

    /// A peer that goes on sending, and reads late, hears all the same why it was refused.
    @Test(.timeLimit(.minutes(1))) func refusalInSpiteOfUnreadBytes() async throws {
        var pings = ByteWriter()
        for token in 0..<80_000 { pings.frame(Ping(token: UInt64(token))) }
        // Its answers are more than a socket takes whose peer does not read, and less than what the server holds.
        let bad = length(1) + [0x7f] + [UInt8](repeating: 0, count: 2 << 20)
        try await withServer(TestServer(Counter())) { server in
            let peer = try await RawPeer(server.endpoint)
            peer.setReading(false)
            try await eventually("it is there") { await server.statistics.strangers == 1 }
            peer.send(hello() + pings.bytes)
            try await eventually("it is let in") { await server.statistics.connections == 1 }
            #expect(await server.statistics.strangers == 0)
            peer.send(bad)
            try await eventually("the server is done with it") { await server.statistics.connections == 0 }
            peer.setReading(true)
            try await eventually("the connection ends") { peer.hasEnded }
            #expect(peer.frames.count == 80_002)
            #expect(peer.refusal == .malformedFrame)
            try await serves(server)
        }
    }

    /// Every kind of frame with random bytes in it, and random cuts.
    @Test(.timeLimit(.minutes(1))) func randomFrames() async throws {
        var random = SeededGenerator(seed: printedSeed())
        try await withServer(TestServer(Counter())) { server in
            for _ in 0..<150 {
                let peer = try await RawPeer(server.endpoint)
                var bytes = hello()
                for _ in 0..<5 {
                    let body = (0..<Int.random(in: 0...90, using: &random)).map { _ -> UInt8 in random.next() }
                    let type = FrameType.allCases.randomElement(using: &random) ?? .ping
                    bytes += length(UInt32(body.count + 1)) + [type.rawValue] + body
                }
                peer.send(Array(bytes.prefix(Int.random(in: 1...bytes.count, using: &random))))
                if random.chance(50) { peer.close() }
            }
            try await serves(server)
        }
    }

    @Test(.timeLimit(.minutes(1))) func silentAndHalfConnections() async throws {
        try await withServer(TestServer(Counter())) { server in
            var peers: [RawPeer] = []
            for number in 0..<200 {
                let peer = try await RawPeer(server.endpoint)
                if number % 2 == 1 { peer.send(Array(hello().prefix(number % 12))) }
                peers.append(peer)
            }
            try await serves(server)
            #expect(await server.statistics.connections <= 1)
            for peer in peers { peer.close() }
            // A frame that is cut off by the end of the connection is as if it had never been begun.
            let peer = try await RawPeer(server.endpoint)
            peer.send(hello() + length(5000) + [FrameType.update.rawValue, 0, 0])
            try await eventually("the hello is answered") { !peer.frames.isEmpty }
            peer.close()
            try await eventually("connections end") { await server.statistics.connections == 0 }
            try await serves(server)
        }
    }

    /// Hello and a long frame in one piece, and every byte by itself.
    @Test(.timeLimit(.minutes(1))) func pieces() async throws {
        try await withServer(TestServer(Counter())) { server in
            var writer = ByteWriter()
            writer.frame(ClientHello())
            writer.frame(Initiate(stream: StreamID(1), kindVersion: 1, kindName: Array("counter".utf8)))
            writer.frame(Ping(token: 7))
            let peer = try await RawPeer(server.endpoint)
            for byte in writer.bytes { peer.send([byte]) }
            try await eventually("all is answered") { peer.frames.count == 3 }
            #expect(
                peer.frames.map(\.type) == [FrameType.serverHello, .initiated, .pong].map(\.rawValue))
            peer.close()
            // A frame over what a hello may have, right behind the hello.
            var long = ByteWriter()
            long.frame(UpdateRun(stream: StreamID(5), confirmed: nil, first: SequenceNumber(1), seal: Digest())) {
                $0.block([UInt8](repeating: 1, count: 100_000).span.bytes)
            }
            let other = try await RawPeer(server.endpoint)
            other.send(hello() + long.bytes + writer.bytes.suffix(13))
            try await eventually("the ping is answered") { other.frames.count == 2 }
            #expect(other.frames.last?.type == FrameType.pong.rawValue)
            other.close()
        }
    }
}
