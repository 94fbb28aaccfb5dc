internal import Recall
internal import RecallClient
internal import RecallCore
internal import RecallServer

/// Somebody with a session's log who shows a server another history than the log's, or another kind of session. The
/// server has the keys and no copy; it must refuse what is not genuine. Confined to the simulation's thread.
final class Impostor: @unchecked Sendable {
    private unowned let world: SimulatedWorld
    private let fault: SimulationFault
    private let process: SimulatedProcess
    private let server: ServerNode

    private init(_ fault: SimulationFault, in world: SimulatedWorld, seed: UInt64) {
        (self.fault, self.world) = (fault, world)
        process = SimulatedProcess("impostor", world.timeline, seed: seed, weather: nil)
        server = ServerNode(
            25, in: world, ring: world.servers[0].ring, seed: seed, authenticates: false, isPlain: true)
        if fault == .otherVersion { server.hosts = { [SimulatedSession<NextTerms>(outside: $0)] } }
    }

    static func begin(_ fault: SimulationFault, in world: SimulatedWorld, _ random: inout SeededGenerator) {
        let impostor = Impostor(fault, in: world, seed: random.next())
        let members = world.members.filter {
            $0.ending == nil && $0.store.view.acknowledged > 2 && $0.store.view.isWhole && !$0.isRetired
                && ($0.node.credentials.isEmpty || !world.authenticates)
        }
        if fault == .otherVersion {
            let older = members.filter { $0.kind as? SimulatedKindName == .adopting }
            guard random.chance(70), let member = older.randomElement(using: &random) else {
                return impostor.initiateOtherVersion()
            }
            return impostor.resumeOnOtherVersion(member)
        }
        guard let member = members.randomElement(using: &random) else { return }
        impostor.show(member, random.next())
    }

    private var configuration: ClientConfiguration {
        var configuration = ClientConfiguration()
        configuration.eventLoop = process
        let process = process
        configuration.surroundings = Surroundings(random: { process.draw() }, executor: process)
        configuration.openTimeout = .seconds(20)
        return configuration
    }

    private func connector() -> SessionConnector {
        server.start()
        return SessionConnector(
            to: [Endpoint(DirectConnector(server: server, process: process, network: world.network))],
            configuration: configuration, logger: .silent)
    }

    // MARK: Other versions

    /// A new session of a version that the server does not host.
    private func initiateOtherVersion() {
        expectOtherVersion("a session") { connector in
            try await connector.initiate(SimulatedSession<AdoptingTerms>.self, log: MemoryLog()).close()
        }
    }

    /// A session that was begun under another version than the server hosts, as after a deploy.
    private func resumeOnOtherVersion(_ member: Member) {
        let steps = member.store.history
        expectOtherVersion("\(member.name)'s session") { [self] connector in
            let log = MemoryLog()
            _ = try await log.open()
            for step in steps { try await log.carryOut(step) }
            await log.close()
            let client = try await connector.resume(SimulatedSession<AdoptingTerms>.self, log: log)
            let task = Task(executorPreference: process) { try await client.send(Look()) }
            world.timeline.after(30_000_000_000, in: process) { task.cancel() }
            defer { Task(executorPreference: process) { await client.close() } }
            _ = try await task.value
        }
    }

    private func expectOtherVersion(_ what: String, _ attempt: @escaping (SessionConnector) async throws -> Void) {
        world.injected(fault, what)
        let connector = connector()
        let attempt = Attempt(run: attempt)
        Task(executorPreference: process) { [self] in
            do {
                try await attempt.run(connector)
                world.checker.violate("12: \(what) was served by a version that it is not of")
            } catch let error as RecallError where error.code == .unsupportedVersion {
                world.note("another version is refused: \(error)")
            } catch {
                world.checker.violate("12: \(what) of a version that is not hosted is refused with: \(error)")
            }
            server.crash()
        }
    }

    private struct Attempt: @unchecked Sendable {  // confined to the simulation's thread
        let run: (SessionConnector) async throws -> Void
    }

    // MARK: Lies

    private func show(_ member: Member, _ seed: UInt64) {
        let steps = member.store.history
        var view = LogView()
        for step in steps { view.apply(step) }
        // A step in which its process died may have adopted a state.
        guard view.isWhole else { return }
        let genuine = view
        var random = SeededGenerator(seed: seed)
        let stolen = fault == .spliceHistory && random.chance(50) ? loot(of: member, &random) : nil
        let log = LyingLog(fault, view, receipts: steps.receipts, seed: seed)
        log.onLie = { [self] lie in world.injected(fault, "\(member.name) at \(genuine.acknowledged): \(lie)") }
        log.isHeard = { [self] in
            guard let session = genuine.header?.session else { return false }
            return server.life?.run?.status(of: session)?.phase != .live
        }
        let connector = connector()
        Task(executorPreference: process) { [self] in
            do {
                try await log.fill(steps, stolen)
                guard let client = try await member.kind.open(connector, log) as? any SimulatedClient else { return }
                let task = Task(executorPreference: process) { try await client.inspect() }
                world.timeline.after(30_000_000_000, in: process) { task.cancel() }
                defer { Task(executorPreference: process) { await client.close() } }
                let state = try await task.value
                world.checker.accepted(state, from: log.lies, of: member, genuine)
            } catch {
                world.note("the impostor is refused: \(error)")
                world.checker.refused(error, for: log.lies)
            }
            server.crash()
        }
    }

    /// A checkpoint and the receipt at its position, of another session.
    private func loot(of member: Member, _ random: inout SeededGenerator) -> (Checkpoint, Receipt)? {
        let others = world.members.filter {
            $0 !== member && $0.session != nil && $0.store.view.header?.kindName == member.store.view.header?.kindName
        }
        guard let steps = others.randomElement(using: &random)?.store.history else { return nil }
        let receipts = steps.receipts
        for case .keep(let checkpoint, _) in steps.reversed() {
            if let receipt = receipts.last(where: { $0.position == checkpoint.position }) {
                return (checkpoint, receipt)
            }
        }
        return nil
    }
}

extension [LogStep] {
    /// All receipts that were written, oldest first.
    fileprivate var receipts: [Receipt] {
        flatMap { step -> [Receipt] in
            guard case .append(let entries) = step else { return [] }
            return entries.compactMap { if case .acknowledgement(let entry) = $0 { entry.receipt } else { nil } }
        }
    }
}

/// A log that is genuine when it is opened and verified, and lies when it is asked for its history. Confined to the
/// simulation's thread.
private final class LyingLog: MessageLog, @unchecked Sendable {
    private let memory = MemoryLog()
    private let fault: SimulationFault
    private let last: UInt64
    private var random: SeededGenerator
    private var isVerified = false
    /// What it was told, and that is not so.
    private(set) var lies: [Lie] = []
    /// Told of the first lie when it is told.
    var onLie: (Lie) -> Void = { _ in }
    /// False if the server has a copy, so that it needs no history and looks at none.
    var isHeard: () -> Bool = { true }
    /// Where the newest checkpoint is said to stand.
    private var forged: Receipt?
    /// Another session's state: what it holds is lie enough.
    private var stolen: Lie?

    init(_ fault: SimulationFault, _ view: LogView, receipts: [Receipt], seed: UInt64) {
        (self.fault, last, random) = (fault, view.last, SeededGenerator(seed: seed))
        // A later position for the checkpoint, so that what lies between is left out.
        if fault == .forgeHistory, let newest = view.checkpoints.first, newest < view.acknowledged, random.chance(50) {
            forged = receipts.last
        }
    }

    private func tell(_ lie: Lie) {
        if lies.isEmpty { onLie(lie) }
        lies.append(lie)
    }

    /// - Parameter stolen: another session's state, to be shown as this one's.
    func fill(_ steps: [LogStep], _ stolen: (Checkpoint, Receipt)?) async throws {
        _ = try await memory.open()
        if let stolen, case .begin(let header)? = steps.first {
            self.stolen = Lie(.state, "another session's state")
            try await memory.begin(header)
            try await memory.adopt(stolen.0, receipt: stolen.1)
        } else {
            for step in steps { try await memory.carryOut(step) }
        }
        await memory.close()
    }

    func open() async throws -> LogContents {
        // Whatever is said of it now is said of something stolen.
        if let stolen { tell(stolen) }
        return try await memory.open()
    }
    func begin(_ header: LogHeader) async throws { try await memory.begin(header) }
    func append(_ entries: [LogEntry]) async throws { try await memory.append(entries) }
    func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) async throws {
        try await memory.keep(checkpoint, truncating: truncating)
    }
    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws {
        try await memory.adopt(checkpoint, receipt: receipt)
    }
    func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try await memory.receipt(atOrBefore: number)
    }
    func setAside(after number: SequenceNumber, reason: String) async throws {
        try await memory.setAside(after: number, reason: reason)
    }
    func close() async { await memory.close() }

    func checkpoint(generation: Int) async throws -> Checkpoint? {
        var checkpoint = try await memory.checkpoint(generation: generation)
        guard isHeard() else { return checkpoint }
        if let forged, let genuine = checkpoint, forged.position.number > genuine.position.number {
            tell(Lie(.checkpoint, "the position of checkpoint \(generation)"))
            checkpoint?.position = forged.position
            checkpoint?.outputs = forged.outputs
        }
        if fault == .flipBits, random.chance(50), checkpoint?.segments.first?.isEmpty == false {
            tell(Lie(.checkpoint, "a bit of checkpoint \(generation)"))
            flip(&checkpoint!.segments[0])  // looked at above
        }
        return checkpoint
    }

    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        let genuine = try await memory.slice(after: number, maximumBytes: maximumBytes)
        guard isVerified else {
            // A look at whether there is anything is no verification.
            if maximumBytes == 0 { return genuine }
            isVerified = (genuine.messages.last?.number.rawValue ?? last) >= last
            return genuine
        }
        guard isHeard(), genuine.receipt != nil, stolen == nil, forged == nil, let (slice, lie) = altered(genuine)
        else {
            return genuine
        }
        tell(lie)
        return slice
    }

    private func altered(_ genuine: LogSlice) -> (LogSlice, Lie)? {
        var slice = genuine
        guard let index = slice.messages.indices.randomElement(using: &random) else { return nil }
        let number = slice.messages[index].number
        switch fault {
        case .forgeHistory:
            slice.messages[index].content.append(7)
            return (slice, Lie(.history, "the content of \(number)"))
        case .flipBits: return flipped(slice, index)
        case .spliceHistory:
            slice.messages[index].content = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9]
            return (slice, Lie(.history, "another message in the place of \(number)"))
        default:
            // A client does not send a run without its first message.
            let left = max(1, index)
            guard left < slice.messages.count else { return nil }
            slice.messages.removeLast(slice.messages.count - left)
            return (slice, Lie(.history, "\(genuine.messages.count - left) messages are left out"))
        }
    }

    private func flipped(_ genuine: LogSlice, _ index: Int) -> (LogSlice, Lie) {
        var slice = genuine
        let number = slice.messages[index].number
        if random.chance(30) {
            slice.receipt?.mac = Digest()
            return (slice, Lie(.history, "the code of a receipt"))
        }
        if !slice.messages[index].determinants.isEmpty, random.chance(60) {
            flip(&slice.messages[index].determinants)
            return (slice, Lie(.history, "a bit of the determinants of \(number)"))
        }
        flip(&slice.messages[index].content)
        return (slice, Lie(.history, "a bit of the content of \(number)"))
    }

    private func flip(_ bytes: inout [UInt8]) {
        guard let index = bytes.indices.randomElement(using: &random) else { return }
        bytes[index] ^= 1 << UInt8(random.next() % 8)
    }
}
