internal import Foundation

/// One session after the other, each with a real client that is killed, stopped and started again.
struct SessionSlot: Sendable {
    /// How the clients of a run are treated.
    struct Treatment: Sendable {
        /// Updates in a session.
        var updates = 100...1500
        /// Seconds between one fault of a client and the next.
        var pauses = 0.2...60.0
        /// The part of the sessions that go through the proxies.
        var proxied = 0.4
        /// Seconds that the last session may take after the faults have ended.
        var patience = 240.0
    }

    /// After so many ends that nobody caused the session is given up.
    private static let endLimit = 500

    let workspace: Workspace
    let judge: Judge
    let servers: [Int]
    let proxies: [Int]
    /// Opens when there are to be no more faults.
    let ending: Gate<Bool>
    let treatment: Treatment
    private let place: Int
    private var random: SeededGenerator

    init(
        _ workspace: Workspace, _ judge: Judge, place: Int, servers: [Int], proxies: [Int], ending: Gate<Bool>,
        _ treatment: Treatment
    ) {
        (self.workspace, self.judge, self.place) = (workspace, judge, place)
        (self.servers, self.proxies, self.ending, self.treatment) = (servers, proxies, ending, treatment)
        random = SeededGenerator(seed: workspace.seed, stream: 10_000 + UInt64(place))
    }

    mutating func run() async {
        var count = 0
        repeat {
            count += 1
            let kind: Kind = random.chance(0.75) ? .text : .json
            let session = place * 100_000 + count
            let name = "\(kind.rawValue)-\(session)"
            let maker = UpdateMaker(
                kind: kind, session: session,
                random: SeededGenerator(seed: workspace.seed, stream: 1_000_000_000 + UInt64(session)))
            let record = workspace.journal.begin(
                maker, name: name, log: "\(workspace.folder)/sessions/\(name).db")
            do throws(TortureError) {
                try await play(record)
            } catch {
                workspace.tally.problem("\(name): \(error)")
                return
            }
        } while !ending.isOpen
    }

    private mutating func play(_ record: SessionRecord) async throws(TortureError) {
        let isProxied = random.chance(treatment.proxied)
        var plan = ClientProcess.Plan(servers: someOf(isProxied ? proxies : servers))
        plan.durability = random.chance(0.15) ? "disk" : "process"
        let planned = Int.random(in: treatment.updates, using: &random)
        var run = ClientRun(workspace, record, plan, isProxied: isProxied)
        try await run.start()
        var next = now() + random.logUniform(treatment.pauses)
        var deadline: Double?
        while true {
            if ending.isOpen {
                let limit = deadline ?? now() + treatment.patience
                deadline = limit
                guard now() < limit else { return await giveUp(run, record) }
            } else if now() >= next {
                try await disturb(&run, record)
                next = now() + random.logUniform(treatment.pauses)
            }
            if ending.isOpen || record.now.updates.count >= planned { run.complete() }
            if try await run.hasEnded() { break }
            guard run.unexpectedEnds < Self.endLimit else { return await giveUp(run, record) }
            if !run.isComplete, record.outstanding < 64 { run.client?.child.write(record.make(1 + random.below(4))) }
            await pause(Double.random(in: 0.02...0.16, using: &random))
        }
        if await judge.judge(record, isComplete: true) { removeLog(record) }
    }

    /// Kills the client, now and then looks at its session through a new server, and starts it again; or stops it for a
    /// while.
    private mutating func disturb(_ run: inout ClientRun, _ record: SessionRecord) async throws(TortureError) {
        if random.chance(0.08) {
            workspace.tally.add(.clientStops)
            run.client?.child.signal(SIGSTOP)
            _ = await ending.wait(within: random.logUniform(0.1...30))
            run.client?.child.signal(SIGCONT)
            return
        }
        guard await run.kill() else { return }
        workspace.tally.add(.clientKills)
        if random.chance(0.15) { _ = await judge.judge(record, isComplete: false) }
        if random.chance(0.3) { run.plan.servers = someOf(run.isProxied ? proxies : servers) }
        _ = await ending.wait(within: random.logUniform(0.001...2))
        try await run.start()
    }

    private func giveUp(_ run: ClientRun, _ record: SessionRecord) async {
        workspace.tally.problem("\(record.name): \(record.outstanding) updates got no answer: \(record.now.said)")
        _ = await run.client?.child.killed()
        _ = await judge.judge(record, isComplete: false)
    }

    private mutating func someOf(_ ports: [Int]) -> [Int] {
        Array(ports.shuffled(using: &random).prefix(1 + random.below(4)))
    }

    private func removeLog(_ record: SessionRecord) {
        for ending in ["", "-wal", "-shm"] { unlink(record.log + ending) }
    }
}

/// The processes that are a session's client, one after the other.
struct ClientRun: Sendable {
    var plan: ClientProcess.Plan
    let isProxied: Bool
    private(set) var client: ClientProcess?
    /// No more updates follow.
    private(set) var isComplete = false
    private(set) var unexpectedEnds = 0
    private let workspace: Workspace
    private let record: SessionRecord

    init(_ workspace: Workspace, _ record: SessionRecord, _ plan: ClientProcess.Plan, isProxied: Bool) {
        (self.workspace, self.record, self.plan, self.isProxied) = (workspace, record, plan, isProxied)
    }

    mutating func start() async throws(TortureError) {
        client = try await ClientProcess.start(workspace, record, plan)
        if isComplete {
            client?.child.closeInput()
        } else {
            // What an earlier process had sent may be answered to nobody: the answer to one more says that it counts.
            client?.child.write(record.make(1))
        }
    }

    mutating func complete() {
        guard !isComplete else { return }
        isComplete = true
        client?.child.closeInput()
    }

    /// SIGKILL. False if it had ended before.
    mutating func kill() async -> Bool {
        guard client?.child.ended.value == nil else { return false }
        return await client?.child.killed() == .signal(SIGKILL)
    }

    /// True if it has answered all. If it has ended before that, it is started again.
    mutating func hasEnded() async throws(TortureError) -> Bool {
        guard client?.child.ended.value != nil, let end = await client?.child.end(within: 10) else { return false }
        if end == .code(0), isComplete { return true }
        unexpectedEnds += 1
        let words = record.now.words.joined(separator: " ")
        workspace.tally.problem("\(record.name): a client ended by itself, \(end): \(words.prefix(400))")
        await pause(0.2)
        try await start()
        return false
    }
}
