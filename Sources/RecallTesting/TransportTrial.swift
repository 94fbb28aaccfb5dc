internal import Logging
internal import Recall
internal import RecallClient
internal import RecallCore
internal import RecallServer

/// One rule's server.
struct TransportTrial: Sendable {
    let way: TransportConformance.Way
    let handler: SessionHandler

    private struct Failure: Error, CustomStringConvertible { var description: String }

    private func check(_ condition: Bool, _ detail: @autoclosure () -> String) throws {
        guard condition else { throw Failure(description: detail()) }
    }

    /// Waits until something is so; half a minute is plenty for any transport.
    private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try await !condition() {
            try check(ContinuousClock.now < deadline, "not within 30 seconds: \(what)")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private var configuration: ClientConfiguration {
        var configuration = ClientConfiguration()
        (configuration.backoffFloor, configuration.backoffCeiling) = (.milliseconds(1), .milliseconds(30))
        return configuration
    }

    private func open() async throws -> SessionClient<Parcel> {
        try await .open(at: way.endpoint, log: .memory, configuration: configuration)
    }

    private func connections(_ count: Int) async throws {
        try await eventually("\(count) connections") { await handler.statistics().connections == count }
    }

    private static var hello: [UInt8] {
        var writer = ByteWriter()
        writer.frame(ClientHello())
        return writer.bytes
    }

    // MARK: Rules

    func order() async throws {
        let client = try await open()
        let replies = try await client.send(
            contentsOf: (0..<3000).map { Parcel.Put([UInt8](repeating: 0, count: $0 % 300)) })
        try check(replies == Array(1...3000), "the replies are not in order")
        await client.close()
    }

    func byteByByte() async throws {
        let peer = try await RawPeer(way.endpoint)
        var writer = ByteWriter()
        writer.frame(ClientHello())
        for token in 0..<20 { writer.frame(Ping(token: UInt64(token))) }
        for byte in writer.bytes { peer.send([byte]) }
        try await eventually("every frame is answered") { peer.frames.count == 21 }
        let expected = [FrameType.serverHello.rawValue] + [UInt8](repeating: FrameType.pong.rawValue, count: 20)
        try check(peer.frames.map(\.type) == expected, "the answers are \(peer.frames.map(\.type))")
        peer.close()
    }

    func big() async throws {
        let client = try await open()
        for number in 1...3 {
            let reply = try await client.send(Parcel.Put([UInt8](repeating: 2, count: 1 << 20)))
            try check(reply == number, "a megabyte was not counted")
            let bytes = try await client.send(Parcel.Get(count: 1 << 20)).bytes
            try check(bytes == [UInt8](repeating: 1, count: 1 << 20), "a megabyte came back as \(bytes.count) bytes")
        }
        await client.close()
    }

    func clientCloses() async throws {
        let peer = try await RawPeer(way.endpoint)
        peer.send(Self.hello)
        try await connections(1)
        peer.close()
        try await connections(0)
    }

    func serverCloses() async throws {
        let peer = try await RawPeer(way.endpoint)
        peer.send(Self.hello)
        try await connections(1)
        await way.stop()
        try await eventually("the client hears of it") { peer.hasEnded }
        do {
            let late = try await RawPeer(way.endpoint)
            // Whatever accepts the connection, nobody answers.
            late.send(Self.hello)
            try await eventually("a connection to nobody ends") { late.hasEnded }
            try check(late.frames.isEmpty, "a server that was stopped answers")
        } catch is Failure {
            throw Failure(description: "a connection to a server that was stopped neither fails nor ends")
        } catch {}
    }

    func halfFrame() async throws {
        for count in [1, 3, 4, 5, 60] {
            let peer = try await RawPeer(way.endpoint)
            var writer = ByteWriter()
            writer.frame(UpdateRun(stream: StreamID(1), confirmed: nil, first: SequenceNumber(1), seal: Digest()))
            peer.send(Self.hello + writer.bytes.prefix(count))
            try await eventually("the hello is answered") { !peer.frames.isEmpty }
            peer.close()
            try await connections(0)
        }
        let client = try await open()
        try check(try await client.send(Parcel.Put([1])) == 1, "the server does not serve any more")
        await client.close()
    }

    func refusal() async throws {
        let peer = try await RawPeer(way.endpoint)
        peer.send([0, 0, 0, 1, 0xff])
        try await eventually("the connection ends") { peer.hasEnded }
        try check(peer.refusal == .protocolVersion, "the refusal was lost")
    }

    func backpressure() async throws {
        let client = try await open()
        let peer = try await RawPeer(way.endpoint)
        peer.send(Self.hello)
        try await eventually("the hello is answered") { peer.frames.count == 1 }
        peer.setReading(false)
        // A refusal of some 300 bytes for each: more than any socket or pipe holds.
        var writer = ByteWriter()
        let (count, name) = (50_000, [UInt8](repeating: 120, count: 255))
        for stream in 1...count {
            writer.frame(Initiate(stream: StreamID(UInt32(stream)), kindVersion: 1, kindName: name))
        }
        for start in stride(from: 0, to: writer.bytes.count, by: 1 << 16) {
            peer.send(Array(writer.bytes[start..<min(start + 1 << 16, writer.bytes.count)]))
        }
        for number in 1...50 {
            try check(
                try await client.send(Parcel.Put([UInt8](repeating: 3, count: 1000))) == number, "another suffers")
        }
        peer.setReading(true)
        try await eventually("everything is answered") { peer.bytes.count > 280 * count }
        peer.close()
        await client.close()
    }

    func streams() async throws {
        let connector = SessionConnector(to: way.endpoint, configuration: configuration)
        let clients = try await withThrowingTaskGroup(of: SessionClient<Parcel>.self) { group in
            for _ in 0..<2000 { group.addTask { try await connector.open(Parcel.self, log: .memory) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for client in clients { group.addTask { try await client.send(Parcel.Put([1])) } }
            for try await reply in group { try check(reply == 1, "a session got another's reply") }
        }
        let statistics = await handler.statistics()
        try check(statistics.connections == 1, "there are \(statistics.connections) connections")
        try check(statistics.sessions == 2000, "there are \(statistics.sessions) sessions")
        await withTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { await client.close() } }
        }
        try await connections(0)
    }

    func reconnect() async throws {
        let client = try await open()
        let peer = try await RawPeer(way.endpoint)
        peer.send(Self.hello)
        for number in 1...20 {
            try check(try await client.send(Parcel.Put([4])) == number, "an update was lost or doubled")
            if number % 5 == 0, let session = await client.session { handler.deleteSession(session) }
        }
        try check(await handler.statistics().recalls >= 3, "the session was not rebuilt")
        peer.close()
        await client.close()
        try await connections(0)
    }
}
