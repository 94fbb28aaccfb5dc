import RecallCore
import RecallCrypto
import RecallTesting
import Synchronization

/// One conversation with one bit of it flipped, or none, and what is to be true afterwards.
final class FlipRun {
    static let principal = Array("p".utf8)

    /// Derives every key once, which is a third of the work.
    static let cryptography: Cryptography = {
        let keys = Mutex<[[UInt8]: Digest]>([:])
        let real = Cryptography.swiftCrypto
        return Cryptography(
            sha256: real.sha256, hmac: real.hmac,
            hkdf: { secret, salt, purpose in
                var name = ByteWriter()
                name.digest(secret)
                name.block(salt)
                name.block(purpose)
                if let key = keys.withLock({ $0[name.bytes] }) { return key }
                let key = real.hkdf(secret, salt, purpose)
                keys.withLock { $0[name.bytes] = key }
                return key
            },
            encrypt: real.encrypt, decrypt: real.decrypt)
    }()

    static func limits(rideAlong: Int, window: Int = 8) -> ClientLimits {
        var limits = ClientLimits()
        (limits.rideAlong, limits.receiptInterval, limits.windowMessages) = (rideAlong, 0, window)
        return limits
    }

    /// A bit of one frame: the first of its type, the second, and so on from 0.
    struct Target: CustomStringConvertible {
        var type: FrameType
        var occurrence: Int
        var bit: Int
        var offset: Int { bit / 8 }
        var description: String { "\(type) \(occurrence), byte \(offset), bit \(bit % 8)" }
    }

    let scenario: FlipScenario
    let network: CoreNetwork
    let client: CoreClient
    private let checker: CoreChecker
    private let target: Target?
    /// Contents that were in the log before.
    private let former: [[UInt8]]
    private var seen: [FrameType: Int] = [:]
    /// Frames of the type in question.
    private(set) var frames: [[UInt8]] = []
    /// What is wrong.
    private(set) var problems: [String] = []
    /// How the session ended for the client, and for one that opens its log afterwards.
    var ends: [FaultCode] { [client.failure?.code, reopened?.failure?.code].compactMap { $0 } }
    private(set) var reopened: CoreClient?

    init(_ scenario: FlipScenario, _ log: CoreLog, _ target: Target?, watching type: FrameType) {
        (self.scenario, self.target) = (scenario, target)
        network = scenario.makeNetwork()
        let own = log.copy()
        own.sliceBytes = 1
        scenario.prepare(network, own)
        former = log.messages.map(\.content)
        client = network.client(
            log: own, limits: Self.limits(rideAlong: scenario.rideAlong, window: scenario.window))
        client.credentials = Self.principal
        checker = CoreChecker(network)
        // What the checker makes of frames takes them for whole ones.
        network.onFrame = { _, _, _ in }
        network.alters = { [unowned self] _, _, body in
            guard body.first == type.rawValue else { return }
            let occurrence = frames.count
            frames.append(body)
            if let target, target.occurrence == occurrence { body[target.offset] ^= 1 << UInt8(target.bit % 8) }
        }
    }

    /// Plays, lets everything come to rest, and judges.
    func run() {
        scenario.play(network, client)
        if !network.settle() { problems.append("nothing comes to rest") }
        network.alters = { _, _, _ in }
        calmDown()
        judgeServers()
        reopen()
        judgeLog()
    }

    /// What a shell does when answers are missing: attach anew, and then on another connection.
    private func calmDown() {
        for round in 0..<8 where client.failure == nil && !(client.isQuiet && client.isConnected) {
            if !client.isConnected { network.connect(client, to: network.servers[0]) }
            if !network.settle() { return problems.append("nothing comes to rest any more") }
            guard client.failure == nil, !client.isQuiet, let connection = client.connection else { continue }
            if round < 2 { client.stall() } else { network.cut(connection) }
        }
        if client.failure == nil, !client.isQuiet { problems.append("not everything is answered") }
    }

    /// No server has a session, a message or an outcome that an honest run has not.
    private func judgeServers() {
        let names = sent.map { CoreMessage($0.span.bytes).name }.filter { $0 != "d" }  // which is refused
        for server in network.servers {
            if server.sessionCount > 1 { problems.append("\(server.name) has \(server.sessionCount) sessions") }
            guard let session = client.session, let state = server.state(of: session) else { continue }
            if !names.starts(with: state.items.map { String($0.prefix { $0.isLetter }) }) || !isDrawn(state) {
                problems.append("\(server.name) has the state \(state) of \(names)")
            }
        }
    }

    /// True if all that the state took from outside came from where it says: servers 1 to 4, a few draws each.
    private func isDrawn(_ state: CoreState) -> Bool {
        state.items.allSatisfy { item in
            item.split { !$0.isNumber }.allSatisfy { number in
                guard let value = Int(number) else { return false }
                return (1...4).contains(value / 1000) && (1...9).contains(value % 1000)
            }
        }
    }

    var sent: [[UInt8]] { former + client.calls.filter { !$0.isRequest }.map { Array($0.text.utf8) } }

    /// Another process opens the log, and a server that has forgotten everything gets all of it.
    private func reopen() {
        client.leave()
        network.servers[0].crash()
        let again = network.client(
            "again", log: client.log, limits: Self.limits(rideAlong: scenario.rideAlong))
        again.credentials = Self.principal
        reopened = again
        network.connect(again, to: network.servers[0])
        let read = again.read()
        if !network.settle() { problems.append("the reopened log does not come to rest") }
        if let breach = again.breach { problems.append("the log does not open: \(breach)") }
        guard again.failure == nil else { return }
        guard let state = read.reply, let session = again.session else {
            return problems.append("the reopened session does not answer")
        }
        if state != network.servers[0].state(of: session)?.description { problems.append("\(state) is no state") }
        if client.log.isWhole, state != client.log.acknowledgedState.description {
            problems.append("the state is \(state), the log says \(client.log.acknowledgedState)")
        }
        // A client that was refused leaves messages behind that are sent now: its own calls are not judged by these.
        guard client.failure == nil else { return }
        checker.finish(client, final: client.log.isWhole ? state : nil)
    }

    private func judgeLog() {
        if let breach = client.breach { problems.append("a breach of the log: \(breach)") }
        problems += checker.violations
        guard client.log.isWhole, scenario != .adoption else { return }
        let logged = client.log.messages.map(\.content)
        if !sent.starts(with: logged) { problems.append("the log has other messages than were sent") }
        if !isDrawn(client.log.acknowledgedState) { problems.append("the log has \(client.log.acknowledgedState)") }
    }
}
