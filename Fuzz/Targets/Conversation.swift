import RecallCore
import RecallTesting

/// One or two servers, one or two clients and the real machines, moved by a script that also spoils what goes to one
/// side.
///
/// Most of what the script says is honest work, so that it gets deep into a conversation; the rest is bytes.
final class Conversation {
    enum Side { case server, client }

    let network: CoreNetwork
    private let side: Side
    private var script: Script
    /// Frames that were delivered, for a replay out of place.
    private var recorded: [[UInt8]] = []
    private var submitted = 0
    private(set) var names: Set<String> = []
    /// Frames of the script's own that were said.
    private(set) var injected: [[UInt8]] = []
    private static let flags = ["", "+", "@", "@+", "!", "!+", "-", "%", "~", "*"]

    init(_ input: [UInt8], spoiling side: Side) {
        self.side = side
        script = Script(input)
        var limits = HandlerLimits()
        if script.flag() {
            (limits.sessions, limits.memory, limits.drops, limits.unconfirmed, limits.turn) = (1, 4096, 2, 4, 2)
            (limits.unconfirmedBytes, limits.replyBytes, limits.windowMessages) = (64, 64, 3)
            (limits.recalls.concurrent, limits.recalls.waiting) = (1, 1)
        }
        let policy = CoreNetwork.checkpoints(afterBytes: [12, 64, 1 << 16][script.number(below: 3)], patience: 1000)
        let terms = CoreNetwork.terms(adoptsBehind: script.flag(), checkpoints: policy)
        network = CoreNetwork(
            servers: 1 + script.number(below: 2), terms: terms, limits: limits, cryptography: .standIn)
        for server in network.servers {
            server.host.verifiesLater = limits.turn == 2
            server.restsAtOnce = limits.turn != 2
        }
        for name in ["c", "d"].prefix(1 + script.number(below: 2)) {
            var limits = ClientLimits()
            limits.rideAlong = script.flag() ? 16 << 10 : 0
            limits.receiptInterval = script.flag() ? 64 << 10 : 0
            let client = network.client(name, limits: limits)
            client.logIsImmediate = script.flag()
            network.connect(client, to: network.servers[0])
        }
    }

    /// Runs the script to its end.
    func run() {
        var steps = 0
        while !script.isOver, steps < 512 {
            steps += 1
            network.advance(nanoseconds: 1000)
            step()
        }
    }

    private var client: CoreClient { network.clients[script.number(below: network.clients.count)] }
    private var server: CoreServer { network.servers[script.number(below: network.servers.count)] }
    private var connection: CoreConnection? {
        network.connections.isEmpty ? nil : network.connections[script.number(below: network.connections.count)]
    }

    private func step() {
        switch script.number(below: 16) {
        case 0, 1: send()
        case 2: client.read(script.flag() ? "get" : "no")
        case 3: network.connect(client, to: server)
        case 4, 5: network.round(script.flag())
        case 6: deliver(spoiling: false)
        case 7, 8: deliver(spoiling: true)
        case 9: raw()
        case 10: replay()
        case 11: work()
        case 12: server.pump()
        case 13: endEffect()
        default: disturb()
        }
    }

    private func send() {
        submitted += 1
        let name = "m\(submitted)"
        names.insert(name)
        client.send(name + Self.flags[script.number(below: Self.flags.count)])
    }

    private func deliver(spoiling: Bool) {
        guard let connection else { return }
        if spoiling {
            if side == .server, !connection.toServer.isEmpty { script.spoil(&connection.toServer[0]) }
            if side == .client, !connection.toClient.isEmpty { script.spoil(&connection.toClient[0]) }
        }
        for _ in 0...script.number(below: 4) {
            if let body = side == .server ? connection.toServer.first : connection.toClient.first {
                if recorded.count < 64 { recorded.append(body) }
            }
            if side == .server {
                network.deliverToServer(connection)
            } else {
                network.deliverToClient(connection)
            }
        }
        connection.client.work()
    }

    /// Bytes of the script's own.
    private func raw() {
        guard let connection else { return }
        let body = [script.byte()] + script.string()
        injected.append(body)
        inject(body, connection)
    }

    /// A frame that was delivered before, here or on another connection.
    private func replay() {
        guard let connection, !recorded.isEmpty else { return }
        var body = recorded[script.number(below: recorded.count)]
        script.spoil(&body)
        inject(body, connection)
    }

    private func inject(_ body: [UInt8], _ connection: CoreConnection) {
        if side == .server {
            guard connection.serverIsOpen else { return }
            connection.server.receive(connection, body)
        } else {
            connection.client.receive(connection, body)
        }
    }

    private func work() {
        let client = client
        client.work()
        if script.flag() {
            client.stepLog()
            client.work()
        }
    }

    private func endEffect() {
        let server = server
        server.endVerification()
        if script.flag() { server.endApplication() }
        guard !server.host.effects.isEmpty else { return }
        let index = script.number(below: server.host.effects.count)
        switch script.number(below: 4) {
        case 0: server.endEffect(index, .refused(script.string()))
        case 1: server.endEffect(index, .failed(.effectFailed, script.string()))
        default: server.endEffect(index)
        }
    }

    private func disturb() {
        switch script.number(below: 12) {
        case 0: if let connection { network.cut(connection) }
        case 1: if let connection { network.cutAtClient(connection) }
        case 2: if let connection { network.cutAtServer(connection) }
        case 3: server.crash()
        case 4: if let session = client.session { server.delete(session) }
        case 5: server.evictIdle(since: network.now - 5000)
        case 6: server.evictStarved(since: network.now - 5000)
        case 7: if let connection { connection.server.setWritable(connection, script.flag()) }
        case 8: if let connection { connection.server.partArrived(connection, byteCount: script.integer()) }
        case 9: client.stall()
        case 10:
            let client = client
            client.crash { $0.loseUnacknowledged(script.number(below: 4)) }
            client.restart()
        default: server.drain()
        }
    }
}
