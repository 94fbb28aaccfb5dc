internal import Recall
internal import RecallCore
internal import RecallSQLite
internal import RecallServer

/// Everything there is in a run: servers, clients, the network, the world outside, and what watches them. Confined to
/// the simulation's thread.
final class SimulatedWorld: @unchecked Sendable {
    struct Counts: Hashable {
        var messages = 0, connections = 0, recalls = 0, checkpoints = 0, adoptions = 0, comparisons = 0
    }

    let timeline = Timeline()
    let scenario: Scenario
    let population: any Population
    let weather: Weather
    let outside: Outside
    let files: ScratchFiles
    private(set) var servers: [ServerNode] = []
    private(set) var clients: [ClientNode] = []
    private(set) var network: SimulatedNetwork!  // set before anything runs; it needs the world
    private(set) var checker: Checker!  // likewise
    private var random: SeededGenerator
    private var lastIDs: UInt32 = 0

    /// True once faults are over: nothing new is asked for, and everything has to end.
    private(set) var isCalm = false
    /// Nothing of a detector's suspicions has a reason until then.
    var madUntil: Int64 = 0
    var isDetectorMad: Bool { !isCalm && timeline.now < madUntil }

    private(set) var counts = Counts()
    private(set) var injected: [SimulationFault: Int] = [:]
    /// What happened, if somebody wants to read it.
    private(set) var transcript: [String] = []
    private let isTranscribed: Bool
    private var lastNote = (text: "", start: "", count: 0)
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    private var specials: [Operation] = []
    var lastKey: UInt16 = 1
    var retiredKeys: Set<UInt16> = []
    /// Servers ask clients who they are.
    let authenticates: Bool

    init(_ scenario: Scenario, _ population: any Population, isTranscribed: Bool) {
        (self.scenario, self.population, self.isTranscribed) = (scenario, population, isTranscribed)
        files = ScratchFiles()
        random = SeededGenerator(seed: scenario.seed)
        authenticates = random.chance(50)
        weather = Weather(seed: random.next(), severity: scenario.severity)
        outside = Outside(timeline, seed: random.next(), weather)
        checker = Checker(self)
        network = SimulatedNetwork(self, seed: random.next())
        outside.onCall = { [unowned self] in checker.called($0, $1, $2, $3) }
        let ring = KeyRing(id: KeyID(1), secret: Self.secret(1))
        for index in 0..<([1, 2, 2, 3, 3].randomElement(using: &random) ?? 2) {
            servers.append(
                ServerNode(index, in: self, ring: ring, seed: random.next(), authenticates: authenticates))
        }
        for index
            in 0..<(scenario.isCrowded
            ? Int.random(in: 50...80, using: &random) : Int.random(in: 1...3, using: &random))
        {
            let client = ClientNode("c\(index + 1)", in: self, seed: random.next())
            clients.append(client)
            for _ in 0..<Int.random(in: 1...2, using: &random) { client.addMember() }
        }
    }

    static func secret(_ number: UInt16) -> Digest {
        Digest((0..<32).map { UInt8(truncatingIfNeeded: Int(number) &* 7 &+ $0) }) ?? Digest()
    }

    var members: [Member] { clients.flatMap(\.members) }

    /// Where a new member's log is.
    func medium(for name: String, random: inout SeededGenerator) -> any LogMedium {
        let isDurable = random.chance(40)
        // Many files take real time.
        if random.chance(scenario.isCrowded ? 3 : 30) {
            return SQLiteMedium(name, in: files, durability: isDurable ? .disk : .process)
        }
        return MemoryMedium(syncsAlways: isDurable)
    }

    /// The first of a member's ids: no two members share one.
    func takeIDs() -> UInt32 {
        lastIDs += 1
        return lastIDs << 20
    }

    // MARK: What happens

    func note(_ text: @autoclosure () -> String) {
        mix(UInt64(bitPattern: timeline.now))
        guard isTranscribed else { return }
        let text = text()
        if text == lastNote.text, lastNote.count > 0 {
            lastNote.count += 1
            transcript[transcript.count - 1] = "\(lastNote.start)  \(text)  (\(lastNote.count) times)"
        } else {
            lastNote = (text, Self.seconds(timeline.now), 1)
            transcript.append("\(lastNote.start)  \(text)")
        }
    }

    static func seconds(_ nanoseconds: Int64) -> String {
        let micros = nanoseconds / 1000
        let fraction = String(micros % 1_000_000)
        return "\(micros / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }

    /// FNV-1a over whatever tells one run from another, in words: so what is high is folded down.
    func mix(_ value: UInt64) {
        digest = (digest ^ value) &* 0x100_0000_01b3
        digest ^= digest >> 32
    }

    /// All of them, eight at a time: frames may be long.
    func mix(_ bytes: ArraySlice<UInt8>) {
        var word: UInt64 = 0, count = 0
        for byte in bytes {
            word = word << 8 | UInt64(byte)
            count += 1
            if count % 8 == 0 { mix(word) }
        }
        if count % 8 != 0 { mix(word) }
    }

    func count(_ what: WritableKeyPath<Counts, Int>, _ amount: Int = 1) { counts[keyPath: what] += amount }

    func injected(_ fault: SimulationFault, _ text: @autoclosure () -> String = "") {
        injected[fault, default: 0] += 1
        note("FAULT \(fault.rawValue) \(text())")
    }

    func memberEnded(_ member: Member, _ code: FaultCode, _ text: String) {
        checker.ended(member, code, text)
        // Its caller begins a new session.
        if !isCalm { member.node.addMember() }
    }

    func order(_ special: Operation) { specials.append(special) }

    func takeSpecial(for member: Member) -> Operation? {
        guard !specials.isEmpty else { return nil }
        let special = specials.removeFirst()
        switch special {
        // Each may kill every server several times, and everything is to end.
        case .kill where injected[.poisonMessage, default: 0] >= 5: return nil
        case .kill: injected(.poisonMessage, member.name)
        case .spoil: injected(.spoilState, member.name)
        default: break
        }
        return special
    }

    // MARK: The run

    /// Virtual nanoseconds within which everything must have ended once faults are over.
    static let patience: Int64 = 240_000_000_000

    /// Runs all of it; gives what went wrong.
    func run() -> [String] {
        for server in servers { server.start() }
        for client in clients { client.start() }
        let injector = Injector(self)
        for planned in scenario.faults {
            timeline.at(planned.time, in: nil) { if !self.isCalm { injector.inject(planned) } }
        }
        advance(until: scenario.safety) { false }
        if checker.violations.isEmpty { calmDown() }
        end()
        return checker.violations
    }

    private func advance(until limit: Int64, unless isDone: () -> Bool) {
        while checker.violations.isEmpty, !isDone(), timeline.step(until: limit) {}
    }

    private func calmDown() {
        note("faults are over")
        isCalm = true
        weather.isOver = true
        specials = []
        for server in servers {
            server.life?.process.resume()
            server.life?.armed = nil
            server.isolatedUntil = 0
            if server.life == nil { server.restart(after: 100_000_000) }
        }
        for client in clients {
            client.resume()
            for member in client.members {
                member.store.calmDown()
            }
            if !client.isUp { client.restart(after: 100_000_000) }
        }
        var limit = timeline.now + Self.patience
        converge(limit)
        guard checker.violations.isEmpty else { return }
        checker.judge(inspect(limit), "at the end")
        guard checker.violations.isEmpty else { return }
        note("all servers are replaced")
        for server in servers { server.crash(restartAfter: 50_000_000) }
        limit = timeline.now + Self.patience
        checker.judge(inspect(limit), "after a recall at the end")
        if !population.isOwn { compareWithReplays() }
    }

    /// A user's states are those that a replay of the logs in this process makes.
    private func compareWithReplays() {
        let replays = Replays()
        // Whose log was cut short by a state that it adopted cannot be replayed.
        let wanted = members.filter { $0.ending == nil && $0.store.view.isWhole && $0.store.view.last > 0 }
        // An open session attaches to a new server of its own accord; idle there, it may soon be evicted.
        let limit = timeline.now + 60_000_000_000
        while checker.violations.isEmpty, timeline.now < limit,
            wanted.contains(where: { $0.ending == nil && !replays.begun.contains($0.name) })
        {
            for member in wanted where !replays.begun.contains(member.name) { compare(member, replays) }
            advance(until: min(limit, timeline.now + 5_000_000)) { false }
        }
        advance(until: timeline.now + 1_000_000_000) { false }
        count(\.comparisons, replays.count)
        // Others may have learned just now that their key was retired; one alone may have been evicted unseen.
        if checker.violations.isEmpty, wanted.count(where: { $0.ending == nil }) > 1, replays.count == 0 {
            checker.violate("7: no server has a state that could be compared with a replay")
        }
    }

    /// Compares what a server has of a member's session, if one has all of it.
    private func compare(_ member: Member, _ replays: Replays) {
        guard let session = member.session else { return }
        for life in servers.compactMap(\.life) {
            guard let run = life.run, let handler = life.handler, let status = run.status(of: session),
                status.phase == .live, status.head.number.rawValue == member.store.view.last,
                let state = run.state(of: session)
            else { continue }
            replays.begun.insert(member.name)
            compare(member, state, handler, in: life.process, replays)
        }
    }

    private final class Replays: @unchecked Sendable {  // confined to the simulation's thread
        /// The members whose states were found.
        var begun: Set<String> = []
        /// Comparisons that were made.
        var count = 0
    }

    private func compare(
        _ member: Member, _ state: [UInt8], _ handler: SessionHandler, in process: SimulatedProcess, _ replays: Replays
    ) {
        let principal = authenticates && !member.node.credentials.isEmpty ? member.node.credentials : nil
        Task(executorPreference: process) { [self] in
            do {
                let view = member.store.view
                guard let replayed = try await member.kind.replayed(view, handler, principal: principal) else { return }
                replays.count += 1
                if replayed != state {
                    checker.violate("7: \(member.name): a replay of its log gives another state than the server's")
                }
            } catch {
                checker.violate("7: \(member.name): its log does not replay: \(error)")
            }
        }
    }

    private func converge(_ limit: Int64) {
        let members = { [self] in self.members.filter { $0.ending == nil } }
        // Looked at now and then: it costs more than an event.
        while checker.violations.isEmpty, timeline.now < limit, !members().allSatisfy(\.isQuiet) {
            advance(until: min(limit, timeline.now + 100_000_000)) { false }
        }
        for member in members() where !member.isQuiet {
            checker.violate("22: \(member.name) does not come to rest: \(member.unrest)")
        }
    }

    /// Every member's state as its client reads it.
    private func inspect(_ limit: Int64) -> [(Member, Inspection)] {
        let results = Inspections()
        let wanted = members.filter { $0.ending == nil && $0.client is any SimulatedClient }
        for member in wanted {
            guard let client = member.client as? any SimulatedClient else { continue }
            Task(executorPreference: member.node.process) {
                do { results.states.append((member, try await client.inspect())) } catch {
                    results.failures.append((member, "\(error)"))
                }
            }
        }
        advance(until: limit) { results.states.count + results.failures.count >= wanted.count }
        for (member, text) in results.failures where member.ending == nil {
            checker.violate("22: \(member.name) cannot be read: \(text)")
        }
        if checker.violations.isEmpty, results.states.count + results.failures.count < wanted.count {
            checker.violate("22: somebody is not answered")
        }
        return results.states
    }

    private final class Inspections: @unchecked Sendable {  // confined to the simulation's thread
        var states: [(Member, Inspection)] = []
        var failures: [(Member, String)] = []
    }

    /// Lets everything unwind, so that nothing is left of the run.
    private func end() {
        isCalm = true
        for client in clients {
            client.resume()
            client.crash(isPowerLoss: false)
        }
        for server in servers {
            server.life?.process.resume()
            server.crash()
        }
        let limit = timeline.now + 90_000_000_000
        while timeline.step(until: limit) {}
        files.removeAll()
    }
}
