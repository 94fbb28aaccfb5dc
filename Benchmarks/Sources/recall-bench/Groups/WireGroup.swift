internal import NIOSSL
internal import Recall
internal import RecallClient

extension Suite {
    /// Updates end to end beside an echo of the same bytes: windows, connections, payloads, codecs, sessions, TLS.
    func measureWire() async throws {
        say("wire: updates end to end beside an echo of as many bytes")
        let loads = try await WireLoads()
        defer { loads.end() }
        try await measureWindows(loads)
        for bytes in [16, 256, 4096] {
            try await compare(
                "payload", "\(bytes) bytes",
                [loads.echo(1, 256, bytes: bytes), loads.updates("batches") { $0.bytes = bytes }])
        }
        try await compare(
            "codec", "two numbers and a text",
            [loads.updates("compact") { $0.content = .compact }, loads.updates("JSON") { $0.content = .json }])
        for (sessions, connections) in [(64, 1), (64, 64), (1000, 1), (1000, 64)] {
            for window in pace.isQuick ? [16] : [1, 16, 256] {
                try await measureSessions(loads, sessions, connections, window)
            }
        }
        for window in pace.isQuick ? [256] : [1, 16, 256] { try await measureTLS(loads, window) }
    }

    /// Beside an echo with as many messages under way on each connection, up to 4,096.
    private func measureSessions(
        _ loads: WireLoads, _ sessions: Int, _ connections: Int, _ window: Int
    ) async throws {
        let underWay = min(4096, sessions * window / connections)
        try await compare(
            "sessions", "\(sessions) sessions, \(connections) connections, window \(window)",
            [
                loads.echo(connections, underWay, named: "echo, \(underWay) under way on each connection"),
                loads.updates("batches") {
                    ($0.sessions, $0.connections, $0.window) = (sessions, connections, window)
                },
            ])
    }

    private func measureWindows(_ loads: WireLoads) async throws {
        try await compare(
            "wire", "1 connection, window 1",
            [
                loads.echo(1, 1),
                loads.sealed(1, 1),
                loads.updates("send, on the loop") { ($0.window, $0.way) = (1, .onLoop) },
                loads.updates("send") { ($0.window, $0.way) = (1, .single) },
            ])
        try await compare(
            "wire", "1 connection, window 16",
            [
                loads.echo(1, 16),
                loads.updates("batches") { $0.window = 16 },
                loads.updates("send, on the loop") { ($0.window, $0.way) = (16, .onLoop) },
                loads.updates("send") { ($0.window, $0.way) = (16, .single) },
            ])
        try await compare(
            "wire", "1 connection, window 256",
            [
                loads.echo(1, 256),
                loads.echo(1, 256, part: 64),
                loads.sealed(1, 256),
                loads.updates("batches") { _ in },
                loads.updates("send, on the loop") { $0.way = .onLoop },
            ])
        try await compare(
            "wire", "64 connections, window 16",
            [
                loads.echo(64, 16),
                loads.sealed(64, 16),
                loads.updates("batches") { ($0.sessions, $0.connections, $0.window) = (64, 64, 16) },
            ])
    }

    private func measureTLS(_ loads: WireLoads, _ window: Int) async throws {
        let certificate = try Certificate(folder: folder)
        let server = try Child.role("serve", "recall", "--tls", folder)
        let echo = try Child.role("serve", "echo", "--tls", folder)
        defer {
            server.end()
            echo.end()
        }
        let (port, echoPort) = (try await server.port(), try await echo.port())
        try await compare(
            "TLS", "1 connection, window \(window)",
            [
                loads.updates("plain TCP") { $0.window = window },
                Contender("TLS", server: server) {
                    var load = RecallLoad()
                    (load.window, load.seconds, load.tls) = (window, $0, certificate.client)
                    return try await load.measure(port: port)
                },
                Contender("echo, TLS", server: echo) {
                    try await Pipelined.measure(
                        { .echo(bytes: 64) }, port: echoPort,
                        .init(connections: 1, window: window, seconds: $0, tls: certificate.client))
                },
            ])
    }
}

/// An echo and a server of ours, each in a process of its own.
private struct WireLoads {
    private let echo: Child
    private let sealing: Child
    private let recall: Child
    private let echoPort: Int
    private let sealingPort: Int
    private let recallPort: Int

    init() async throws {
        (echo, recall) = (try Child.role("serve", "echo"), try Child.role("serve", "recall"))
        sealing = try Child.role("serve", "sealed")
        (echoPort, sealingPort) = (try await echo.port(), try await sealing.port())
        recallPort = try await recall.port()
    }

    func end() {
        echo.end()
        sealing.end()
        recall.end()
    }

    /// A chain of seals written by hand, and nothing else of the protocol.
    func sealed(_ connections: Int, _ window: Int, bytes: Int = 64) -> Suite.Contender {
        Suite.Contender("chain by hand", server: sealing) { [sealingPort] in
            try await Pipelined.measure(
                { .sealed(bytes: bytes) }, port: sealingPort,
                .init(connections: connections, window: window, seconds: $0))
        }
    }

    /// - Parameter part: so many messages go out with one write at most; 0 for all that there are.
    func echo(
        _ connections: Int, _ window: Int, bytes: Int = 64, part: Int = 0, named name: String? = nil
    ) -> Suite.Contender {
        let name = name ?? (part > 0 ? "echo, in parts of \(part)" : "echo")
        return Suite.Contender(name, server: echo) { [echoPort] in
            try await Pipelined.measure(
                { .echo(bytes: bytes, part: part > 0 ? part : .max) }, port: echoPort,
                .init(connections: connections, window: window, seconds: $0))
        }
    }

    func updates(_ name: String, _ change: @escaping (inout RecallLoad) -> Void) -> Suite.Contender {
        Suite.Contender(name, server: recall) { [recallPort] in
            var load = RecallLoad()
            load.seconds = $0
            change(&load)
            return try await load.measure(port: recallPort)
        }
    }
}
