internal import RecallCore

/// Plays a script on a network in memory and writes down what comes of it.
package final class CoreScriptRun {
    package private(set) var network = CoreNetwork()
    private var clients: [String: CoreClient] = [:]
    /// One for all clients that share a history.
    private var texts: [String: CoreFrameText] = [:]
    private var families: [String: String] = [:]
    private var output: [String] = []
    private var effectsWait = false
    private var losing: [String: [String]] = [:]
    private var seen: [String: Int] = [:]
    private var checker: CoreChecker?
    /// False once a log lost what it should hold, or has two writers: then nothing is promised.
    private var isHonest = true
    /// What must never happen and did.
    package var violations: [String] { isHonest ? checker?.violations ?? [] : [] }

    package init() {}

    /// The script with what came of each step in place of what it says.
    package static func transcript(_ script: CoreScript) throws(CoreScript.Fault) -> (
        text: String, violations: [String]
    ) {
        let run = CoreScriptRun()
        var lines: [String] = []
        for line in script.lines {
            switch line {
            case .remark(let text): lines.append(text)
            case .step(let text, let step):
                lines.append(text)
                lines += try run.take(step)
            }
        }
        return (lines.joined(separator: "\n"), run.violations)
    }

    /// Takes a step and lets everything come to rest; gives a line for each frame and each result.
    package func take(_ step: CoreScript.Step) throws(CoreScript.Fault) -> [String] {
        output = []
        switch step {
        case .servers, .client, .connect, .send, .read, .hold, .pass, .lose, .cut, .leave, .late, .die, .forge,
            .stall:
            try takeClient(step)
        case .crash, .delete, .effectsWait, .end, .change, .drain: try takeServer(step)
        }
        settle()
        return output
    }

    private func takeClient(_ step: CoreScript.Step) throws(CoreScript.Fault) {
        switch step {
        case .servers(let count, let adopts, let bytes, let sessions): start(count, adopts, bytes, sessions)
        case .client(let name, let options): makeClient(name, options)
        case .connect(let name, let server): network.connect(client(name), to: try self.server(server))
        case .send(let name, let texts): for text in texts { client(name).send(text) }
        case .read(let name, let text): client(name).read(text)
        case .hold(let name, let toServer):
            for connection in connections(name) {
                if toServer { connection.holdsToServer = true } else { connection.holdsToClient = true }
            }
        case .pass(let name):
            for connection in connections(name) {
                (connection.holdsToServer, connection.holdsToClient) = (false, false)
            }
        case .lose(let name, let type): losing[name, default: []].append(type)
        case .cut(let name): for connection in connections(name) { network.cut(connection) }
        case .leave(let name):
            for connection in connections(name) {
                connection.holdsToServer = true
                network.cutAtClient(connection)
            }
        case .late:
            for connection in network.connections where !connection.clientIsOpen { connection.holdsToServer = false }
        case .die(let name, let losing, let rewound):
            if rewound != nil { isHonest = false }
            client(name).crash { log in
                log.loseUnacknowledged(losing)
                if let rewound { log.rewind(to: SequenceNumber(UInt64(rewound))) }
            }
            client(name).restart()
        case .forge(let name, let number):
            isHonest = false
            client(name).log.tamper { messages, _, _ in
                guard let index = messages.firstIndex(where: { $0.number.rawValue == number }) else { return }
                messages[index].determinants = Determinants(clock: WallTime(nanoseconds: 42)).encoded
            }
        case .stall(let name): client(name).stall()
        default: break
        }
    }

    private func takeServer(_ step: CoreScript.Step) throws(CoreScript.Fault) {
        switch step {
        case .crash(let name): try server(name).crash()
        case .delete(let name, let client):
            if let session = self.client(client).session { try server(name).delete(session) }
        case .effectsWait: effectsWait = true
        case .end(let name, let how):
            let result: EffectResult? =
                switch how {
                case "refused": .refused(Array("no".utf8))
                case "failed": .failed(.effectFailed, [])
                default: nil
                }
            try server(name).endEffect(0, result)
        case .change(let name): try server(name).host.answersOtherwise = true
        case .drain(let name): try server(name).drain()
        default: break
        }
    }

    // MARK: Who is who

    private func start(_ count: Int, _ adopts: Bool, _ bytes: Int?, _ sessions: Int?) {
        let policy = CoreNetwork.checkpoints(afterBytes: bytes ?? 1 << 30)
        var limits = HandlerLimits()
        if let sessions { limits.sessions = sessions }
        network = CoreNetwork(
            servers: count, terms: CoreNetwork.terms(adoptsBehind: adopts, checkpoints: policy), limits: limits)
        checker = CoreChecker(network)
        let check = network.onFrame
        network.onFrame = { [unowned self] connection, toServer, body in
            check(connection, toServer, body)
            let (client, server) = (connection.client.name, String(connection.server.name))
            output.append("\(client) \(toServer ? "->" : "<-") \(server)  \(line(client, body, toServer: toServer))")
        }
        network.loses = { [unowned self] in loses($0, $1) }
    }

    private func makeClient(_ name: String, _ options: [String: String]) {
        var limits = ClientLimits()
        if let ride = options["ride"].flatMap(Int.init) { limits.rideAlong = ride }
        if let window = options["window"].flatMap(Int.init) { limits.windowMessages = window }
        if let receipts = options["receipts"].flatMap(Int.init) { limits.receiptInterval = receipts }
        let log = options["copies"].map { client($0).log.copy() } ?? CoreLog()
        let new = network.client(name, log: log, limits: limits)
        if let original = options["copies"] {
            isHonest = false
            families[name] = families[original] ?? original
        }
        if let slices = options["slices"].flatMap(Int.init) { new.log.sliceBytes = slices }
        if let principal = options["principal"] { new.credentials = Array(principal.utf8) }
        checker?.watch(new)
        clients[name] = new
    }

    private func client(_ name: String) -> CoreClient {
        if clients[name] == nil { makeClient(name, [:]) }
        return clients[name] ?? network.client(name)
    }

    private func server(_ name: String) throws(CoreScript.Fault) -> CoreServer {
        guard let server = network.servers.first(where: { String($0.name) == name }) else {
            throw CoreScript.Fault(description: "there is no server \(name)")
        }
        return server
    }

    private func connections(_ name: String) -> [CoreConnection] {
        network.connections.filter { $0.client.name == name && !$0.isOver }
    }

    // MARK: Rest

    private func settle() {
        for _ in 0..<10_000 {
            network.advance(nanoseconds: 1000)
            let didAny = network.round(!effectsWait)
            report()
            checker?.lookAtServers()
            guard didAny else { return }
        }
        output.append("nothing comes to rest")
    }

    /// True, once, for a frame of a type that the script has get lost.
    private func loses(_ connection: CoreConnection, _ body: [UInt8]) -> Bool {
        let client = connection.client.name
        guard let type = body.first.flatMap(FrameType.init),
            let index = losing[client]?.firstIndex(of: "\(type)")
        else { return false }
        losing[client]?.remove(at: index)
        output.append("\(client) <- \(connection.server.name)  lost: \(line(client, body, toServer: false))")
        return true
    }

    private func line(_ client: String, _ body: [UInt8], toServer: Bool) -> String {
        texts[families[client] ?? client, default: CoreFrameText()].line(body, toServer: toServer)
    }

    /// What callers got since the last time.
    private func report() {
        for client in network.clients {
            for event in client.events.dropFirst(seen[client.name, default: 0]) {
                switch event {
                case .adopted(let number): output.append("\(client.name) adopted the state at \(number)")
                case .checkpointKept(let number, _): output.append("\(client.name) kept the checkpoint at \(number)")
                case .refusedForNow(let code, _): output.append("\(client.name) is to try again later: \(code)")
                case .failed(let code, _): output.append("\(client.name) has ended: \(code)")
                case .deliver(let calls, let result):
                    for _ in calls { output.append("\(client.name) returns \(Self.text(result))") }
                case .attached, .recallAsked: break
                }
            }
            seen[client.name] = client.events.count
        }
    }

    private static func text(_ result: CallResult) -> String {
        switch result {
        case .reply(let bytes): "'\(String(decoding: bytes, as: UTF8.self))'"
        case .rejected(let bytes): "the rejection '\(String(decoding: bytes, as: UTF8.self))'"
        case .failed(let code, _): "\(code)"
        }
    }
}
