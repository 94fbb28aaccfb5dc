package import RecallCore
internal import RecallCrypto

/// Servers, clients and the connections between them, driven step by step: no thread, no clock, no chance but the
/// script's.
///
///     let network = CoreNetwork(servers: 2)
///     let client = network.client("c")
///     network.connect(client, to: network.servers[0])
///     let call = client.send("a+")
///     network.settle()
package final class CoreNetwork {
    package static let kindName = Array("story".utf8)
    package static let rootSecret = Digest([UInt8](repeating: 7, count: 32)) ?? Digest()

    package let cryptography: Cryptography
    package private(set) var servers: [CoreServer] = []
    package private(set) var clients: [CoreClient] = []
    package private(set) var connections: [CoreConnection] = []
    package private(set) var now: Int64 = 0
    private var lastConnection: UInt64 = 0
    /// Frames as they arrive: the sender is the client if `toServer`.
    package var onFrame: (_ connection: CoreConnection, _ toServer: Bool, _ body: [UInt8]) -> Void = { _, _, _ in }

    /// May change a frame on its way, before anybody sees it.
    package var alters: (_ connection: CoreConnection, _ toServer: Bool, _ body: inout [UInt8]) -> Void = { _, _, _ in }

    /// True for a frame to a client that gets lost.
    package var loses: (_ connection: CoreConnection, _ body: [UInt8]) -> Bool = { _, _ in false }

    package init(
        servers count: Int = 1, terms: KindTerms = CoreNetwork.terms(), limits: HandlerLimits = .init(),
        ring: KeyRing = KeyRing(secret: CoreNetwork.rootSecret), cryptography: Cryptography = .swiftCrypto
    ) {
        self.cryptography = cryptography
        for index in 0..<count {
            addServer(kinds: [terms], limits: limits, ring: ring, identity: index + 1)
        }
    }

    /// The harness's kind; checkpoints and adoption as told.
    package static func terms(
        version: UInt32 = 1, adoptsBehind: Bool = false, checkpoints: CheckpointPolicy = .init()
    ) -> KindTerms {
        var terms = KindTerms(name: kindName, version: version)
        (terms.adoptsBehind, terms.checkpoints) = (adoptsBehind, checkpoints)
        return terms
    }

    /// A policy that offers a checkpoint after so many bytes.
    package static func checkpoints(afterBytes count: Int, patience: Int = 8) -> CheckpointPolicy {
        var policy = CheckpointPolicy()
        (policy.minimumBytes, policy.growth, policy.patience) = (count, 0, patience)
        return policy
    }

    @discardableResult
    package func addServer(
        kinds: [KindTerms], limits: HandlerLimits = .init(), ring: KeyRing, identity: Int? = nil
    ) -> CoreServer {
        let identity = identity ?? servers.count + 1
        let letter = Character(Unicode.Scalar(UInt8(64 + identity)))
        let server = CoreServer(letter, identity: identity, kinds: kinds, ring: ring, limits: limits, cryptography)
        servers.append(server)
        return server
    }

    package func client(
        _ name: String = "c", log: CoreLog = CoreLog(), limits: ClientLimits = .init(), kind: [UInt8] = kindName,
        version: UInt32 = 1
    ) -> CoreClient {
        let client = CoreClient(name, kind: kind, version: version, log: log, limits: limits, cryptography)
        clients.append(client)
        return client
    }

    // MARK: Connections

    @discardableResult
    package func connect(_ client: CoreClient, to server: CoreServer) -> CoreConnection {
        lastConnection += 1
        let connection = CoreConnection(ConnectionID(lastConnection), client, server)
        connections.append(connection)
        client.connected(connection)
        return connection
    }

    /// Both sides lose the connection and everything under way on it.
    package func cut(_ connection: CoreConnection) {
        cutAtClient(connection)
        connection.toServer = []
        cutAtServer(connection)
    }

    /// The client gives the connection up. What it sent is still under way to a server that knows nothing of it.
    package func cutAtClient(_ connection: CoreConnection) {
        if connection.client.connection === connection { connection.client.leave() }
        connection.clientIsOpen = false
        connection.toClient = []
    }

    /// The server finds the connection closed; what is under way to it is lost.
    package func cutAtServer(_ connection: CoreConnection) {
        connection.toServer = []
        connection.server.closed(connection)
    }

    /// Delivers one frame to the server; false if there is none.
    @discardableResult
    package func deliverToServer(_ connection: CoreConnection) -> Bool {
        guard !connection.toServer.isEmpty else { return false }
        var body = connection.toServer.removeFirst()
        guard connection.serverIsOpen else { return true }
        alters(connection, true, &body)
        onFrame(connection, true, body)
        connection.server.receive(connection, body)
        return true
    }

    /// Delivers one frame to the client; false if there is none.
    @discardableResult
    package func deliverToClient(_ connection: CoreConnection) -> Bool {
        guard !connection.toClient.isEmpty else { return false }
        var body = connection.toClient.removeFirst()
        guard connection.clientIsOpen, !loses(connection, body) else { return true }
        alters(connection, false, &body)
        onFrame(connection, false, body)
        connection.client.receive(connection, body)
        return true
    }

    // MARK: Time and work

    package func advance(nanoseconds: Int64) {
        now += nanoseconds
        for server in servers { server.now = now }
    }

    /// Runs until nothing moves any more. Effects and late applications end if told.
    ///
    /// - Returns: false if that took more rounds than anything honest does.
    @discardableResult
    package func settle(endingEffects: Bool = true, rounds: Int = 10_000) -> Bool {
        for _ in 0..<rounds {
            advance(nanoseconds: 1000)
            guard round(endingEffects) else { return true }
        }
        return false
    }

    /// One round of everything that can move; false if nothing did.
    @discardableResult
    package func round(_ endingEffects: Bool) -> Bool {
        var didAny = false
        for connection in connections {
            if !connection.holdsToServer { while deliverToServer(connection) { didAny = true } }
        }
        for server in servers {
            while endingEffects, server.endVerification() { didAny = true }
            didAny = server.pump() || didAny
            while endingEffects, !server.host.effects.isEmpty {
                server.endEffect()
                didAny = true
            }
            while endingEffects, server.endApplication() { didAny = true }
        }
        for connection in connections {
            if !connection.holdsToClient { while deliverToClient(connection) { didAny = true } }
            noticeEnd(connection)
        }
        for client in clients { didAny = client.work() || didAny }
        connections.removeAll { $0.isOver && $0.toServer.isEmpty }
        return didAny
    }

    /// A side finds out that the other has ended the connection, once everything before that has arrived.
    package func noticeEnd(_ connection: CoreConnection) {
        if !connection.serverIsOpen, connection.clientIsOpen, connection.toClient.isEmpty { cutAtClient(connection) }
        if !connection.clientIsOpen, connection.serverIsOpen, connection.toServer.isEmpty { cutAtServer(connection) }
    }
}
