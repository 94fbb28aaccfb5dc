internal import Recall
internal import RecallClient
internal import RecallCore

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
    }

    static func begin(_ fault: SimulationFault, in world: SimulatedWorld, _ random: inout SeededGenerator) {
        let impostor = Impostor(fault, in: world, seed: random.next())
        if fault == .otherVersion { return impostor.askForOtherVersion() }
        let members = world.members.filter {
            $0.ending == nil && $0.store.view.acknowledged > 2 && $0.store.view.isWhole && !$0.isRetired
                && ($0.node.credentials.isEmpty || !world.authenticates)
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

    private func askForOtherVersion() {
        world.injected(fault)
        let connector = connector()
        Task(executorPreference: process) { [self] in
            do {
                let client = try await connector.initiate(SimulatedSession<NextTerms>.self, log: MemoryLog())
                await client.close()
                world.checker.violate("12: a session of a version that is not hosted was initiated")
            } catch let error as RecallError where error.code == .unsupportedVersion || process.isDead {
            } catch {
                world.checker.violate("12: a version that is not hosted is refused with: \(error)")
            }
            server.crash()
        }
    }

    private func show(_ member: Member, _ seed: UInt64) {
        let steps = member.store.history
        var view = LogView()
        for step in steps { view.apply(step) }
        // A step in which its process died may have adopted a state.
        guard view.isWhole else { return }
        let genuine = view
        var random = SeededGenerator(seed: seed)
        let stolen = fault == .spliceHistory && random.chance(50) ? loot(of: member, &random) : nil
        world.injected(fault, "\(member.name) at \(view.acknowledged)\(stolen == nil ? "" : " with another's state")")
        let log = LyingLog(fault, view, receipts: steps.receipts, seed: seed)
        let connector = connector()
        Task(executorPreference: process) { [self] in
            do {
                try await log.fill(steps, stolen)
                guard let client = try await member.kind.open(connector, log) as? any SimulatedClient else { return }
                let task = Task(executorPreference: process) { try await client.inspect() }
                world.timeline.after(30_000_000_000, in: process) { task.cancel() }
                defer { Task(executorPreference: process) { await client.close() } }
                judge(try await task.value, genuine, log)
            } catch {
                judge(error)
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

    /// A state was shown: it must be what the genuine log leads to.
    private func judge(_ state: Inspection, _ genuine: LogView, _ log: LyingLog) {
        func ids(_ range: Range<UInt64>) -> [UInt32] {
            range.compactMap { number in
                guard let message = genuine.message(number) else { return nil }
                switch RecordedEnding(message.determinants) {
                case .applied, .outcome: return Checker.id(message.content)
                case .refused, .failed, .unreadable: return nil
                }
            }
        }
        let acknowledged = ids(1..<(genuine.acknowledged + 1))
        let tail = Set(ids((genuine.acknowledged + 1)..<(genuine.last + 1)))
        if !state.ids.starts(with: acknowledged) || !state.ids.dropFirst(acknowledged.count).allSatisfy(tail.contains) {
            let place = zip(state.ids, acknowledged).prefix { $0 == $1 }.count
            world.checker.violate(
                "11: a history of \(genuine.place) that was altered (\(log.lie)) was accepted: of \(state.ids.count) "
                    + "updates shown and \(acknowledged.count) acknowledged the first \(place) are the same")
        }
    }

    private func judge(_ error: any Error) {
        guard let error = error as? RecallError else { return }
        world.note("the impostor is refused: \(error)")
        switch error.code {
        case .brokenChain, .badReceipt, .badCheckpoint, .malformedFrame, .unexpectedFrame, .logDamaged, .logFailed,
            .closed, .unreachable, .serverFault:
            break
        default: world.checker.violate("11: an altered history is refused with \(error.code): \(error.message)")
        }
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
    private(set) var lie = "nothing"
    /// Where the newest checkpoint is said to stand.
    private var forged: Receipt?
    /// What it holds is lie enough.
    private var isHonest = false

    init(_ fault: SimulationFault, _ view: LogView, receipts: [Receipt], seed: UInt64) {
        (self.fault, last, random) = (fault, view.last, SeededGenerator(seed: seed))
        // A later position for the checkpoint, so that what lies between is left out.
        if fault == .forgeHistory, random.chance(50) { forged = receipts.last }
    }

    /// - Parameter stolen: another session's state, to be shown as this one's.
    func fill(_ steps: [LogStep], _ stolen: (Checkpoint, Receipt)?) async throws {
        _ = try await memory.open()
        if let stolen, case .begin(let header)? = steps.first {
            lie = "another session's state"
            isHonest = true
            try await memory.begin(header)
            try await memory.adopt(stolen.0, receipt: stolen.1)
        } else {
            for step in steps { try await memory.carryOut(step) }
        }
        await memory.close()
    }

    func open() async throws -> LogContents { try await memory.open() }
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
        if let forged, let genuine = checkpoint, forged.position.number > genuine.position.number {
            lie = "the checkpoint's position"
            checkpoint?.position = forged.position
            checkpoint?.outputs = forged.outputs
        }
        if fault == .flipBits, random.chance(50), checkpoint?.segments.first?.isEmpty == false {
            lie = "a bit of checkpoint \(generation)"
            flip(&checkpoint!.segments[0])  // looked at above
        }
        return checkpoint
    }

    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        let genuine = try await memory.slice(after: number, maximumBytes: maximumBytes)
        guard isVerified else {
            isVerified = (genuine.messages.last?.number.rawValue ?? last) >= last
            return genuine
        }
        return genuine.receipt == nil || isHonest || forged != nil ? genuine : altered(genuine)
    }

    private func altered(_ genuine: LogSlice) -> LogSlice {
        var slice = genuine
        guard let index = slice.messages.indices.randomElement(using: &random) else { return slice }
        switch fault {
        case .forgeHistory:
            lie = "the content of \(slice.messages[index].number)"
            slice.messages[index].content.append(7)
        case .flipBits:
            if random.chance(30) {
                lie = "a bit of a receipt"
                slice.receipt?.mac = Digest()
            } else if !slice.messages[index].determinants.isEmpty, random.chance(60) {
                lie = "a bit of the determinants of \(slice.messages[index].number)"
                flip(&slice.messages[index].determinants)
            } else {
                lie = "a bit of the content of \(slice.messages[index].number)"
                flip(&slice.messages[index].content)
            }
        case .spliceHistory:
            lie = "another message in the place of \(slice.messages[index].number)"
            slice.messages[index].content = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9]
        default:
            lie = "\(slice.messages.count - index) messages are left out"
            slice.messages.removeLast(slice.messages.count - index)
        }
        return slice
    }

    private func flip(_ bytes: inout [UInt8]) {
        guard let index = bytes.indices.randomElement(using: &random) else { return }
        bytes[index] ^= 1 << UInt8(random.next() % 8)
    }
}
