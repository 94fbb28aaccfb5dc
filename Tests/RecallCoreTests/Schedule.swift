import RecallCore
import RecallCrypto
import RecallTesting

/// One random run: faults for a while, then none until everything is still. The seed tells all of it.
final class Schedule {
    /// What may happen to logs and sessions in a run.
    struct Profile: Sendable {
        var steps = 120
        /// Client crashes lose messages that were not acknowledged.
        var losesUnacknowledged = false
        /// Client crashes lose whatever was not synced, confirmed or not.
        var losesAnything = false
        var breaksCopies = true
        var limits = HandlerLimits()
    }

    let network: CoreNetwork
    let checker: CoreChecker
    private let profile: Profile
    private var random: SeededGenerator
    private var submitted = 0
    private var keys = 1
    /// Steps in a hundred that are faults.
    private let faults: Int
    /// What was done, for whoever looks into a failure.
    private(set) var actions: [String] = []

    init(seed: UInt64, _ profile: Profile = Profile()) {
        self.profile = profile
        var random = SeededGenerator(seed: seed)
        let bytes = [24, 200, 1 << 16].randomElement(using: &random) ?? 24
        var policy = CoreNetwork.checkpoints(afterBytes: bytes, patience: 1000)
        policy.isEnabled = random.chance(80)
        let terms = CoreNetwork.terms(adoptsBehind: random.chance(50), checkpoints: policy)
        let servers = Int.random(in: 1...3, using: &random)
        network = CoreNetwork(servers: servers, terms: terms, limits: Self.limits(profile.limits, &random))
        for server in network.servers {
            server.host.verifiesLater = random.chance(40)
            server.restsAtOnce = random.chance(50)
        }
        for index in 0..<Int.random(in: 1...2, using: &random) {
            var limits = ClientLimits()
            limits.windowMessages = [1, 3, 1024].randomElement(using: &random) ?? 3
            limits.rideAlong = [0, 0, 60, 16 << 10].randomElement(using: &random) ?? 0
            limits.receiptInterval = [0, 8, 64 << 10].randomElement(using: &random) ?? 0
            let client = network.client("c\(index)", log: CoreLog(syncsAlways: !profile.losesAnything), limits: limits)
            client.log.sliceBytes = [1, 8, 64 << 10].randomElement(using: &random) ?? 8
            client.logIsImmediate = random.chance(30)
        }
        faults = [2, 5, 10, 20].randomElement(using: &random) ?? 5
        self.random = random
        checker = CoreChecker(network)
        checker.logsAreDurable = !profile.losesAnything
    }

    /// What a server takes on before it waits for its peer, often so little that it does all the time.
    private static func limits(_ limits: HandlerLimits, _ random: inout SeededGenerator) -> HandlerLimits {
        var limits = limits
        if random.chance(40) { limits.unconfirmedBytes = Int.random(in: 1...30, using: &random) }
        if random.chance(40) { limits.replyBytes = Int.random(in: 1...30, using: &random) }
        if random.chance(20) { limits.unconfirmed = Int.random(in: 1...4, using: &random) }
        if random.chance(30) { limits.memory = Int.random(in: 1...3000, using: &random) }
        if random.chance(20) { limits.recalls.concurrent = 1 }
        return limits
    }

    /// Both phases; gives what went wrong.
    func run() -> [String] {
        for _ in 0..<profile.steps where checker.violations.isEmpty {
            step()
            checker.lookAtServers()
        }
        if checker.violations.isEmpty { calmDown() }
        return checker.violations
    }

    // MARK: Safety: anything may happen

    private func note(_ text: String) { actions.append(text) }

    private func step() {
        network.advance(nanoseconds: 1000)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<18: submit()
        case 18..<24: connect()
        case 24..<32: endEffect()
        case 32..<(32 + faults): fault()
        default: move()
        }
    }

    private func submit() {
        guard let client = network.clients.randomElement(using: &random), client.isRunning else { return }
        if random.chance(20) {
            note("\(client.name) reads")
            client.read(random.chance(90) ? "get" : "no")
        } else {
            submitted += 1
            var flags = ["", "", "+", "@", "@+", "!", "!+", "-", "%", "~", "~+"]
            if profile.breaksCopies { flags.append("*") }
            let text = "m\(submitted)" + (flags.randomElement(using: &random) ?? "")
            note("\(client.name) sends \(text)")
            client.send(text)
        }
        if random.chance(80) { client.work() }
    }

    /// Something that is under way goes on.
    private func move() {
        switch Int.random(in: 0..<6, using: &random) {
        case 4:
            note("a round")
            network.round(false)
        case 0:
            guard let client = network.clients.randomElement(using: &random), client.isRunning else { return }
            note("\(client.name) works")
            client.work()
            if random.chance(70) {
                note("\(client.name)'s log steps")
                client.stepLog()
                client.work()
            }
        case 1:
            guard let server = network.servers.randomElement(using: &random) else { return }
            note("\(server.name) pumps")
            server.pump()
        default: deliver()
        }
    }

    private func deliver() {
        let busy = network.connections.filter { !$0.toServer.isEmpty || !$0.toClient.isEmpty }
        guard let connection = busy.randomElement(using: &random) else { return }
        let (server, client) = (connection.server.name, connection.client.name)
        if connection.toClient.isEmpty || (random.chance(50) && !connection.toServer.isEmpty) {
            let count = min(connection.toServer.count, Int.random(in: 1...6, using: &random))
            for _ in 0..<count { network.deliverToServer(connection) }
            note("\(count) frames of \(connection.id.rawValue) reach \(server)")
            if random.chance(60) { connection.server.pump() }
        } else {
            let count = min(connection.toClient.count, Int.random(in: 1...6, using: &random))
            for _ in 0..<count {
                network.deliverToClient(connection)
                connection.client.work()
            }
            note("\(count) frames of \(connection.id.rawValue) reach \(client)")
        }
        if random.chance(20) { network.noticeEnd(connection) }
    }

    private func connect() {
        guard let client = network.clients.randomElement(using: &random), client.isRunning, client.failure == nil,
            !client.isConnected || random.chance(5), let server = network.servers.randomElement(using: &random)
        else { return }
        let connection = network.connect(client, to: server)
        note("\(client.name) connects to \(server.name): \(connection.id.rawValue)")
    }

    private func endEffect() {
        guard let server = network.servers.randomElement(using: &random) else { return }
        if random.chance(40) { server.endApplication() }
        if random.chance(60) { server.endVerification() }
        guard !server.host.effects.isEmpty else { return }
        let index = Int.random(in: 0..<server.host.effects.count, using: &random)
        note("effect \(index) of \(server.name) ends")
        switch Int.random(in: 0..<10, using: &random) {
        case 0: server.endEffect(index, .refused(Array("effect refused".utf8)))
        case 1: server.endEffect(index, .failed(.effectFailed, []))
        default: server.endEffect(index)
        }
    }

    private func fault() {
        guard let client = network.clients.randomElement(using: &random),
            let server = network.servers.randomElement(using: &random)
        else { return }
        switch Int.random(in: 0..<30, using: &random) {
        case 0..<8: cut()
        case 8..<13:
            guard let session = client.session else { return }
            note("\(server.name) deletes \(client.name)'s session")
            server.delete(session)
        case 13:
            note("\(server.name) crashes")
            server.crash()
        case 14..<18: crash(client)
        case 18:
            note("\(client.name) stalls")
            client.stall()
        case 19:
            note("\(server.name) evicts")
            server.evictIdle(since: network.now - 20_000)
        case 20:
            guard let call = client.calls.randomElement(using: &random), call.result == nil else { return }
            note("\(client.name) forgets \(call.text)")
            client.forget(call)
            call.isOrphaned = true
        case 21: rotateKeys()
        case 22, 23:
            note("\(server.name) makes room")
            server.evictStarved(since: network.now - (random.chance(50) ? 0 : 20_000))
            server.evictBeyondMemory()
        case 24..<28: stopReading()
        default: lateFrames()
        }
    }

    /// A client reads what a server writes no more, or again.
    private func stopReading() {
        let open = network.connections.filter(\.serverIsOpen)
        guard let connection = open.randomElement(using: &random) else { return }
        note("\(connection.id.rawValue) is read \(connection.isWritable ? "no more" : "again")")
        connection.server.setWritable(connection, !connection.isWritable)
    }

    /// All servers issue under another key from now on, one after the other; the old ones still verify.
    private func rotateKeys() {
        note("keys rotate")
        keys += 1
        let secret = Digest([UInt8](repeating: UInt8(truncatingIfNeeded: keys), count: 32)) ?? Digest()
        for server in network.servers {
            var ring = server.ring
            ring.rotate(to: KeyID(UInt16(keys)), secret: secret)
            server.use(ring)
        }
    }

    private func cut() {
        let open = network.connections.filter { $0.clientIsOpen || $0.serverIsOpen }
        guard let connection = open.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            note("\(connection.id.rawValue) is cut")
            network.cut(connection)
        case 1:
            note("\(connection.id.rawValue) is cut at the client")
            network.cutAtClient(connection)
        default:
            note("\(connection.id.rawValue) is cut at \(connection.server.name)")
            network.cutAtServer(connection)
        }
    }

    private func crash(_ client: CoreClient) {
        guard client.isRunning else { return }
        note("\(client.name) crashes")
        let count = Int.random(in: 0...6, using: &random)
        client.crash { log in
            if profile.losesUnacknowledged { log.loseUnacknowledged(count) }
            if profile.losesAnything { log.lose(steps: count) }
        }
        client.restart()
        note("  \(client.name)'s log ends at \(client.log.acknowledged)/\(client.log.last)")
    }

    /// What a dead connection still had under way arrives out of turn.
    private func lateFrames() {
        guard let connection = network.connections.filter({ !$0.clientIsOpen }).randomElement(using: &random) else {
            return
        }
        note("late frames of \(connection.id.rawValue) reach \(connection.server.name)")
        while network.deliverToServer(connection) {}
        connection.server.pump()
    }

    // MARK: Liveness: no more faults, so everything must end

    private func calmDown() {
        note("-- calm")
        for client in network.clients {
            client.restart()
            client.logIsImmediate = true
        }
        for connection in network.connections { connection.server.setWritable(connection, true) }
        var round = 0
        while round < 100, network.clients.contains(where: { $0.failure == nil && (!$0.isQuiet || !$0.isConnected) }) {
            round += 1
            for client in network.clients where client.failure == nil && !client.isConnected {
                guard let server = network.servers.randomElement(using: &random) else { return }
                note("\(client.name) connects to \(server.name)")
                network.connect(client, to: server)
            }
            if !network.settle() { return checker.violate(22, "nothing comes to rest") }
            checker.lookAtServers()
            for client in network.clients where !client.isQuiet && client.isConnected {
                note("\(client.name) stalls")
                client.stall()
            }
        }
        for client in network.clients {
            note(client.summary)
            finish(client)
        }
    }

    private func finish(_ client: CoreClient) {
        guard client.failure == nil, client.session != nil else { return checker.finish(client, final: nil) }
        for server in network.servers { server.crash() }
        client.leave()
        if let server = network.servers.randomElement(using: &random) { network.connect(client, to: server) }
        let call = client.read()
        network.settle()
        checker.finish(client, final: call.reply)
    }
}
