internal import Recall
internal import RecallCore
internal import RecallServer

/// Watches a run from outside: what callers are told, what goes over the wire, what the logs hold, what the world
/// outside was asked for; and compares it with what was meant. The numbers are those of the invariants in
/// `docs/testing.md`. It reads frames and determinants with code of its own; from the library it takes types, and what
/// servers say of themselves where nothing else shows it. Confined to the simulation's thread.
final class Checker: @unchecked Sendable {
    unowned let world: SimulatedWorld
    private(set) var violations: [String] = []
    private var members: [Member] = []
    private(set) var memberOfSession: [[UInt8]: Member] = [:]
    /// Where each update of a member lies in its log.
    private(set) var numbers: [UInt32: UInt64] = [:]
    /// Confirmed positions that a life of a server was seen to hold, by its process's name.
    private var confirmed: [String: [SessionID: [SequenceNumber: Position]]] = [:]
    /// Positions that members told a life of a server that their logs hold: by its process's name and theirs.
    var claimed: [String: [String: [UInt64: Set<WirePosition>]]] = [:]

    /// The stream on which a life of a server recalls a member's session, or did last, by both names.
    var recalling: [String: [String: WireStream]] = [:]

    /// What a server may lay a death to, and how many of its deaths.
    private struct Blame: Hashable {
        let server: String
        let session: SessionID
        let number: SequenceNumber
    }
    private var blames: [Blame: Int] = [:]

    /// A copy of a session, and one of its updates.
    struct Origin: Hashable {
        let process: String
        let place: ServerLife.Place
        let copy: Int
    }
    /// Who asked for an answer of the world outside.
    private(set) var origins: [String: Origin] = [:]
    /// Whose answers were taken.
    private(set) var accepted: Set<Origin> = []

    init(_ world: SimulatedWorld) { self.world = world }

    private func origin(of id: UInt32, in process: SimulatedProcess) -> Origin? {
        guard let life = world.servers.compactMap(\.life).first(where: { $0.process === process }),
            let session = members.first(where: { $0.history.call(id) != nil })?.session, let number = numbers[id]
        else { return nil }
        return origin(ServerLife.Place(session: session, number: SequenceNumber(number)), life)
    }

    private func origin(_ place: ServerLife.Place, _ life: ServerLife) -> Origin {
        Origin(process: life.process.name, place: place, copy: life.copies[place.session, default: 0])
    }

    func violate(_ text: String) {
        guard violations.count < 20 else { return }
        world.note("VIOLATION \(text)")
        violations.append(text)
    }

    // MARK: Logs

    func watch(_ member: Member) {
        members.append(member)
        member.store.onStep = { [unowned self, unowned member] in stepped($0, member) }
        member.store.onLoss = { [unowned self, unowned member] in lost($0, member) }
        member.store.onBreach = { [unowned self, unowned member] in violate("4: \(member.name): \($0)") }
    }

    private func stepped(_ step: LogStep, _ member: Member) {
        switch step {
        case .begin(let header): memberOfSession[Self.bytes(header.session)] = member
        case .append(let entries):
            for entry in entries {
                switch entry {
                case .message(let message): numbers[Self.id(message.content)] = message.number.rawValue
                case .acknowledgement(let entry): acknowledges(entry.receipt.position, member)
                }
            }
        case .keep(let checkpoint, let truncated):
            let older = member.store.view.checkpoints.dropFirst().first ?? 0
            if truncated.rawValue > older {
                violate("16: \(member.name) forgets up to \(truncated), its older checkpoint is at \(older)")
            }
            if checkpoint.position.number.rawValue > member.store.view.acknowledged {
                violate("4: \(member.name) keeps a checkpoint past what is acknowledged")
            }
            if member.store.view.receipts[checkpoint.position.number.rawValue] != checkpoint.position {
                violate("11: \(member.name) keeps a checkpoint at a position that no receipt gave")
            }
        case .adopt(let checkpoint, _):
            if !member.mayAdopt {
                violate("21: \(member.name) adopts a state at \(checkpoint.position.number) and had lost nothing")
            }
            // The state is of another course: what the log held since they parted is given up, acknowledged or not.
            for call in member.history.calls {
                if let number = numbers[call.id], number > member.common.number { call.mayBeMissing = true }
            }
            member.history.rewound(
                to: member.common.number, beyond: member.common.applied, isOnOtherCourse: true)
            member.confirmed = checkpoint.position.number.rawValue
        case .setAside(let number, let reason):
            violate("4: \(member.name) sets aside what follows \(number): \(reason)")
        }
    }

    /// What a client takes for acknowledged must have been said on the stream that it had last.
    private func acknowledges(_ position: Position, _ member: Member) {
        if member.stream?.acknowledged[position.number.rawValue] != position.inputs.bytes {
            violate("17: \(member.name) logs an acknowledgement of \(position.number) that its stream did not bring")
        }
    }

    /// The log turned out to hold less than before, as it may. Servers that live now may know better.
    private func lost(_ before: LogView, _ member: Member) {
        let view = member.store.view
        world.note("\(member.name)'s log is at \(view.place), it was at \(before.place)")
        let lives = world.servers.compactMap { $0.life?.process.name }
        member.livesBeforeLoss.formUnion(lives)
        if member.confirmed > view.acknowledged { member.livesThatSawMore.formUnion(lives) }
        member.confirmed = min(member.confirmed, view.acknowledged)
        if view.acknowledged < member.common.number { member.common = (view.acknowledged, view.applied ?? 0) }
        member.history.rewound(to: view.acknowledged, beyond: view.applied ?? 0, isOnOtherCourse: false)
        for call in member.history.calls {
            guard let number = numbers[call.id], number > view.acknowledged else { continue }
            call.mayBeMissing = true
            if number > view.last { numbers[call.id] = nil }
        }
    }

    static func id(_ content: [UInt8]) -> UInt32 {
        guard content.count >= 5 else { return 0 }
        return content[1..<5].reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func bytes(_ session: SessionID) -> [UInt8] {
        [session.high, session.low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
    }

    // MARK: The world outside

    func called(_ process: SimulatedProcess, _ id: UInt32, _ key: String, _ entry: Outside.Entry) {
        world.mix(UInt64(id))
        world.note("\(process.name) asks outside for \(id & 0xfffff) under \(key.prefix(8))")
        if let origin = origin(of: id, in: process) { origins[entry.answer] = origin }
        if entry.id != id { violate("10: one key is used for \(entry.id) and \(id)") }
        guard let member = members.first(where: { $0.history.call(id) != nil }),
            !member.livesBeforeLoss.contains(process.name), let number = numbers[id]
        else { return }
        let view = member.store.view
        for earlier in (view.acknowledged + 1)..<max(number, view.acknowledged + 1) {
            guard let content = view.message(earlier)?.content, let call = member.history.call(Self.id(content))
            else { continue }
            switch call.request {
            case .stamp, .pay:
                violate("10: the effect of update \(number) of \(member.name) is out, and \(earlier) is not in its log")
            case .change, .quiet: break
            }
        }
    }

    // MARK: Servers

    func passed(_ moment: HandlerMoment, on life: ServerLife) {
        switch moment {
        case .willFlush: look(at: life)
        case .willApply(let session, let number, let isReplay): applies(session, number, isReplay, life)
        case .detected(let session):
            if world.isDetectorMad { world.injected(.maddenDetector, life.process.name) }
            world.mix(session.low)
        case .didApply(_, let number, _): world.mix(number.rawValue)
        case .effectReturned(let session, let number):
            accepted.insert(origin(ServerLife.Place(session: session, number: number), life))
            world.note("\(life.process.name) \(moment)")
        case .recallStarts, .recallEnded, .checkpointKept, .effectStarts:
            world.note("\(life.process.name) \(moment)")
        case .refused(_, let code): world.note("\(life.process.name) refuses: \(code)")
        }
    }

    /// A server died: by what was being applied, as it must think, or by effects that were out.
    func died(_ life: ServerLife) {
        let causes = life.applying.map { [$0] } ?? Array(life.effectsOut)
        for cause in causes {
            blame(life, cause.session, cause.number)
        }
    }

    private func blame(_ life: ServerLife, _ session: SessionID, _ number: SequenceNumber) {
        blames[Blame(server: life.node.name, session: session, number: number), default: 0] += 1
    }

    /// True if some server had to do with so many deaths under an update that it gives the update up; nil: any update.
    func isPoison(_ session: SessionID, _ number: UInt64?) -> Bool {
        world.servers.contains { server in
            blames.contains { blame, deaths in
                blame.server == server.name && blame.session == session && deaths >= server.poisonDeaths
                    && number ?? blame.number.rawValue == blame.number.rawValue
            }
        }
    }

    private func applies(_ session: SessionID, _ number: SequenceNumber, _ isReplay: Bool, _ life: ServerLife) {
        guard let member = memberOfSession[Self.bytes(session)] else { return }
        guard let content = member.store.view.message(number.rawValue)?.content else {
            if number.rawValue > member.store.view.base, !member.livesBeforeLoss.contains(life.process.name) {
                violate("4: \(life.process.name) applies update \(number) of \(member.name), which no log has")
            }
            return
        }
        switch member.history.call(Self.id(content))?.request {
        case .change(.kill):
            world.note("\(life.process.name) dies of update \(number) of \(member.name)")
            life.node.crash(restartAfter: 400_000_000)
        // Breaks its copy, which counts as a death.
        case .change(.spoil): if !isReplay { blame(life, session, number) }
        default: break
        }
    }

    private func look(at life: ServerLife) {
        guard let run = life.run else { return }
        for member in members where member.ending == nil {
            guard let session = member.session, let status = run.status(of: session), status.hasCopy else { continue }
            look(at: status.confirmed, of: member, session, on: life)
        }
    }

    /// What a copy takes for confirmed must have been confirmed, never change, and be what the log has.
    private func look(at position: Position, of member: Member, _ session: SessionID, on life: ServerLife) {
        let (name, number) = (life.process.name, position.number)
        let claims = claimed[name]?[member.name]?[number.rawValue]
        if position != .start, claims?.contains(WirePosition(position)) != true {
            violate("9: \(name) takes update \(number) of \(member.name) for confirmed, which nobody told it")
        }
        guard !member.livesThatSawMore.contains(name) else { return }
        if let known = confirmed[name]?[session]?[number], known != position {
            violate("9: update \(number) of \(member.name) was confirmed on \(name), and changed")
        }
        confirmed[name, default: [:]][session, default: [:]][number] = position
        if let receipt = member.store.view.receipts[number.rawValue], receipt != position {
            violate("9: \(name) has another confirmed \(number) than \(member.name)'s log")
        }
    }
}
