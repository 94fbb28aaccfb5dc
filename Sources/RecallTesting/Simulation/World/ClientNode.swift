internal import Logging
internal import NIOCore
internal import Recall
internal import RecallClient
internal import RecallCore

/// A machine on which a client's processes run, one after the other, with the sessions of their caller. Confined to the
/// simulation's thread.
final class ClientNode: @unchecked Sendable {
    let name: String
    let credentials: [UInt8]
    private(set) var process: SimulatedProcess
    private(set) var members: [Member] = []
    private(set) var isUp = false
    /// The server that it was sent to last.
    var server: Int
    private unowned let world: SimulatedWorld
    private var random: SeededGenerator
    private var lives = 0
    private var memberCount = 0
    private var isRestartDue = false
    private let window: Int
    private let heartbeat: Duration
    private let rideAlong: Int
    private let backoff: (floor: Duration, ceiling: Duration)

    init(_ name: String, in world: SimulatedWorld, seed: UInt64) {
        (self.name, self.world) = (name, world)
        random = SeededGenerator(seed: seed)
        credentials = random.chance(50) ? Array(name.utf8) : []
        server = Int(random.next() % 16)
        window = [1, 4, 64, 1024].randomElement(using: &random) ?? 64
        heartbeat = [.milliseconds(500), .seconds(2)].randomElement(using: &random) ?? .seconds(2)
        // Whose history does not go along with the attach is asked for the part that is missing.
        rideAlong = [0, 500, 16 << 10].randomElement(using: &random) ?? 0
        let backoffs: [(Duration, Duration)] = [
            (.milliseconds(5), .seconds(1)), (.milliseconds(50), .seconds(5)),
        ]
        backoff = backoffs.randomElement(using: &random) ?? backoffs[0]
        process = SimulatedProcess(name, world.timeline, seed: random.next(), weather: world.weather)
    }

    func addMember() {
        memberCount += 1
        let name = "\(name).\(memberCount)"
        let store = SimulatedStore(world.medium(for: name, random: &random), seed: random.next(), world.weather)
        store.latency = [0, 100_000, 5_000_000].randomElement(using: &random) ?? 0
        let member = Member(
            name, world.population.kind(&random),
            TrafficShape.allCases.randomElement(using: &random) ?? .mixed,
            store, of: self, in: world, firstID: world.takeIDs(), seed: random.next())
        members.append(member)
        world.checker.watch(member)
        if isUp, let connector { start(member, connector) }
    }

    // MARK: Life

    private var connector: SessionConnector?

    func start() {
        lives += 1
        isUp = true
        process = SimulatedProcess(
            "\(name)#\(lives)", world.timeline, seed: random.next(), weather: world.weather)
        var configuration = ClientConfiguration()
        configuration.credentials = credentials
        configuration.windowMessages = window
        configuration.heartbeat = heartbeat
        configuration.rideAlong = rideAlong
        configuration.backoffFloor = backoff.floor
        configuration.backoffCeiling = backoff.ceiling
        configuration.eventLoop = process
        configuration.surroundings = Surroundings(random: { [process] in process.draw() }, executor: process)
        let connector = SessionConnector(
            to: [Endpoint(SimulatedConnector(node: self, process: process, network: world.network))],
            configuration: configuration, logger: .silent)
        self.connector = connector
        for member in members where member.ending == nil { start(member, connector) }
    }

    private func start(_ member: Member, _ connector: SessionConnector) {
        Task(executorPreference: process) { [process] in await member.run(connector, in: process) }
    }

    /// The process dies, or the machine loses its power.
    func crash(isPowerLoss: Bool) {
        guard isUp else { return }
        isUp = false
        connector = nil
        world.note("\(process.name) \(isPowerLoss ? "loses its power" : "dies")")
        for connection in world.network.connections where connection.client === process {
            connection.clientDied(
                losesSent: random.chance(50),
                serverHearsAfter: random.chance(80) ? Int64.random(in: 0...50_000_000, using: &random) : nil)
        }
        process.die()
        for member in members {
            member.store.died(isPowerLoss: isPowerLoss, random: &random)
            member.abandon()
        }
    }

    func restart(after delay: Int64) {
        guard !isRestartDue else { return }
        isRestartDue = true
        world.timeline.after(delay) { [self] in
            isRestartDue = false
            if !isUp { start() }
        }
    }

    /// A log failed, which ends the sessions of a process; another one may go on with it.
    func restartSoon() {
        guard isUp else { return }
        crash(isPowerLoss: false)
        restart(after: 700_000_000)
    }

    func resume() { process.resume() }
}

extension Logger {
    static var silent: Logger { Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() } }
}
