internal import NIOCore
internal import Recall
internal import RecallCore
internal import RecallServer

/// A machine on which servers run, one after the other, with what outlives their crashes: the keys they are given, the
/// poison file. Confined to the simulation's thread.
final class ServerNode: @unchecked Sendable {
    let name: String
    let index: Int
    private(set) var life: ServerLife?
    var ring: KeyRing
    /// What the poison file held when the last process died.
    private var poison: [UInt8]?
    /// Added to the time for the wall clock, in nanoseconds.
    var clockError: Int64 = 0
    /// Nobody reaches it before, though it runs.
    var isolatedUntil: Int64 = 0
    private unowned let world: SimulatedWorld
    private var random: SeededGenerator
    private var lives = 0
    private let authenticates: Bool
    private let isPlain: Bool
    private var hasTightMemory = false
    /// No copy had to go for it yet.
    private var isPressed = false
    /// How many deaths an update may have to do with before it is given up.
    let poisonDeaths: Int
    /// What it hosts in place of the population's kinds.
    var hosts: ((OutsideDoor) -> [any Session])?

    /// - Parameter isPlain: a server with ample room and without moods.
    init(
        _ index: Int, in world: SimulatedWorld, ring: KeyRing, seed: UInt64, authenticates: Bool, isPlain: Bool = false
    ) {
        (self.index, self.world, self.ring, self.authenticates) = (index, world, ring, authenticates)
        self.isPlain = isPlain
        name = String(Character(Unicode.Scalar(UInt8(65 + index))))
        random = SeededGenerator(seed: seed)
        poisonDeaths = Int.random(in: 2...3, using: &random)
    }

    var isIsolated: Bool { world.timeline.now < isolatedUntil }

    /// There is hardly any memory from the next start on.
    func pressMemory() { (hasTightMemory, isPressed) = (true, true) }

    /// A copy is gone; in a life without memory that is why.
    func lostCopy() {
        guard isPressed, life?.isTight == true else { return }
        isPressed = false
        world.injected(.pressMemory, name)
    }

    // MARK: Life

    func start() {
        lives += 1
        let process = SimulatedProcess(
            "\(name)\(lives)", world.timeline, seed: random.next(), weather: isPlain ? nil : world.weather)
        let life = ServerLife(self, process, in: world)
        self.life = life
        do {
            let configuration = try configuration(for: life)
            // What an impostor does is to have no part in what is judged.
            let outside = isPlain ? Outside(world.timeline, seed: random.next(), world.weather) : world.outside
            let door = OutsideDoor(outside: outside, process: process)
            let handler = try SessionHandler(
                keys: ring, hostingAll: hosts?(door) ?? world.population.hosts(door), configuration: configuration)
            life.handler = handler
            begin(life, handler)
        } catch {
            world.checker.violate("a server does not start: \(error)")
        }
        world.note("\(process.name) starts")
    }

    private func begin(_ life: ServerLife, _ handler: SessionHandler) {
        let process = life.process
        var authenticate: Authentication?
        if authenticates {
            authenticate = { credentials in
                try await process.sleep(Int64(process.draw() % 2_000_000))
                return credentials.isEmpty ? nil : credentials
            }
        }
        Task(executorPreference: process) { [authenticate] in
            let run = try await HandlerRun.start(handler, on: process, authenticate: authenticate, logger: .silent)
            if process.isDead { await run.stop() } else { life.run = run }
        }
    }

    private func configuration(for life: ServerLife) throws -> HandlerConfiguration {
        var configuration = HandlerConfiguration()
        let process = life.process
        configuration.surroundings = Surroundings(random: { process.draw() }, executor: process)
        configuration.clock = { [unowned self] in
            stepClock()
            return WallTime(nanoseconds: 1_700_000_000_000_000_000 + world.timeline.now + clockError)
        }
        guard !isPlain else { return configuration }
        configuration.onMoment = { [unowned life] in life.passed($0) }
        configuration.poisonFile = try world.files.write(poison, for: process.name)
        // Most have room: a copy that stays where its client left it is the more interesting one.
        configuration.maximumSessions = [1, 2, 1000, 1000, 1000, 1000].randomElement(using: &random) ?? 1000
        let memory = [6000, 1 << 30, 1 << 30, 1 << 30].randomElement(using: &random) ?? 1
        configuration.memoryBudget = hasTightMemory ? 1 : memory
        life.isTight = hasTightMemory
        configuration.concurrentRecalls = [1, 64].randomElement(using: &random) ?? 64
        configuration.recallMemory = [1, 200_000, 512 << 20].randomElement(using: &random) ?? 1
        configuration.waitingRecalls = [1, 200_000].randomElement(using: &random) ?? 1
        configuration.idleLimit =
            [.seconds(3), .seconds(600), .seconds(600)].randomElement(using: &random) ?? .seconds(600)
        configuration.verificationBytes = [0, 64, 16 << 10].randomElement(using: &random) ?? 0
        configuration.restAfter = [.zero, .seconds(1), .seconds(5)].randomElement(using: &random) ?? .seconds(5)
        configuration.recallPatience = [.seconds(1), .seconds(30)].randomElement(using: &random) ?? .seconds(30)
        configuration.poisonDeaths = poisonDeaths
        configuration.detection = detection(for: life)
        return configuration
    }

    private func stepClock() {
        guard !isPlain, world.weather.strikes(.stepClock) else { return }
        world.weather.count(.stepClock)
        clockError += world.weather.delay() * (world.weather.draw(below: 2) == 0 ? 1 : -1)
    }

    private func detection(for life: ServerLife) -> FailureDetection {
        let (seed, world) = (random.next(), world)
        let random = FailureDetection { session, _ in
            RandomDetector(seed: seed ^ session.low ^ session.high) { [unowned world] in world.isDetectorMad }
        }
        let others: [FailureDetection] = [
            .standard, .any(of: .standard, .idle(after: .seconds(2))), .any(of: .standard, .phiAccrual()),
            .any(of: .standard, .deadline(.milliseconds(200))),
        ]
        return .any(of: others.randomElement(using: &self.random) ?? .standard, random)
    }

    /// The process dies. Nothing that it does from now on is heard.
    func crash() {
        guard let life else { return }
        self.life = nil
        world.checker.died(life)
        world.note("\(life.process.name) dies")
        poison = world.files.read(life.process.name)
        for connection in world.network.connections where connection.server === life.process {
            connection.serverDied(
                losesSent: random.chance(50),
                clientHearsAfter: random.chance(80) ? Int64.random(in: 0...100_000_000, using: &random) : nil)
        }
        life.process.die()
        Task(executorPreference: life.process) {
            await life.run?.stop()
            life.run = nil
        }
    }

    func crash(restartAfter delay: Int64) {
        crash()
        restart(after: delay)
    }

    private var isRestartDue = false

    func restart(after delay: Int64) {
        guard !isRestartDue else { return }
        isRestartDue = true
        world.timeline.after(delay) { [self] in
            isRestartDue = false
            if life == nil { start() }
        }
    }

    /// As a deploy ends it: clients are asked to go elsewhere. False if there is nothing to end.
    func deploy() -> Bool {
        guard let life, let run = life.run, !life.isLeaving else { return false }
        life.isLeaving = true
        world.note("\(life.process.name) is shut down")
        Task(executorPreference: life.process) { [self] in
            await run.drain(within: .seconds(2))
            guard !life.process.isDead else { return }
            await run.stop()
            if self.life === life { crash(restartAfter: 300_000_000) }
        }
        return true
    }

    func use(_ ring: KeyRing) {
        self.ring = ring
        life?.handler?.keys = ring
    }
}

/// One life of a server. Confined to the simulation's thread.
final class ServerLife: @unchecked Sendable {
    /// Where it is to die next.
    enum CrashPoint { case beforeApply, afterApply, duringRecall, duringEffect, afterEffect, beforeFlush }

    unowned let node: ServerNode
    let process: SimulatedProcess
    private unowned let world: SimulatedWorld
    var handler: SessionHandler?
    var run: HandlerRun?
    var armed: CrashPoint?
    /// It has no memory for more than one session.
    var isTight = false
    /// It was told to end.
    var isLeaving = false

    /// An update of a session.
    struct Place: Hashable {
        let session: SessionID
        let number: SequenceNumber
        var order: (UInt64, UInt64, UInt64) { (session.high, session.low, number.rawValue) }
    }
    /// How often each session was recalled.
    private(set) var copies: [SessionID: Int] = [:]
    /// What is being applied at this moment.
    private(set) var applying: Place?
    /// Effects that were begun and have not come back, even if their copy is gone.
    private(set) var effectsOut: Set<Place> = []

    init(_ node: ServerNode, _ process: SimulatedProcess, in world: SimulatedWorld) {
        (self.node, self.process, self.world) = (node, process, world)
    }

    func passed(_ moment: HandlerMoment) {
        guard !process.isDead else { return }
        switch moment {
        case .willApply(let session, let number, _), .didApply(let session, let number, _):
            applying = Place(session: session, number: number)
        case .recallEnded(let session, _): copies[session, default: 0] += 1
        case .effectStarts(let session, let number): effectsOut.insert(Place(session: session, number: number))
        case .effectReturned(let session, let number):
            applying = Place(session: session, number: number)
            effectsOut.remove(Place(session: session, number: number))
        default: break
        }
        defer { applying = nil }
        world.checker.passed(moment, on: self)
        guard !process.isDead else { return }
        switch (moment, armed) {
        case (.willApply(_, _, isReplay: false), .beforeApply): die(.crashBeforeApply)
        case (.didApply(_, _, isReplay: false), .afterApply): die(.crashAfterApply)
        case (.willApply(_, _, isReplay: true), .duringRecall): die(.crashDuringRecall)
        case (.effectStarts, .duringEffect): die(.crashDuringEffect, after: 2_000_000)
        case (.effectReturned, .afterEffect): die(.crashAfterEffect)
        case (.willFlush, .beforeFlush): die(.crashBeforeFlush)
        default: break
        }
    }

    private func die(_ fault: SimulationFault, after delay: Int64 = 0) {
        armed = nil
        guard delay > 0 else { return die(now: fault) }
        world.timeline.after(delay, in: process) { [self] in if node.life === self { die(now: fault) } }
    }

    private func die(now fault: SimulationFault) {
        world.injected(fault, "\(process.name)")
        node.crash(restartAfter: world.scenario.restart)
    }
}

/// Suspects sessions at random.
private struct RandomDetector: FailureDetector {
    private let seed: UInt64
    private let isMad: @Sendable () -> Bool

    init(for session: SessionID, at now: Instant) { self.init(seed: session.low) { false } }

    init(seed: UInt64, isMad: @escaping @Sendable () -> Bool) { (self.seed, self.isMad) = (seed, isMad) }

    mutating func observe(_ event: SessionEvent, at now: Instant) {}

    func hasFailed(at now: Instant) -> Bool {
        guard isMad() else { return false }
        var random = SeededGenerator(seed: seed ^ UInt64(bitPattern: now.nanoseconds))
        return random.chance(10)
    }

    func nextCheck(after now: Instant) -> Instant? { now.advanced(byNanoseconds: 300_000_000) }
}
