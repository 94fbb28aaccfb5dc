internal import Recall
internal import RecallCore
internal import RecallServer

/// Watches a run from outside: what callers are told, what goes over the wire, what the logs hold, what the world
/// outside was asked for; and compares it with what was meant. The numbers are those of the invariants in
/// `docs/testing.md`. Confined to the simulation's thread.
final class Checker: @unchecked Sendable {
    unowned let world: SimulatedWorld
    private(set) var violations: [String] = []
    private var members: [Member] = []
    private var memberOfSession: [[UInt8]: Member] = [:]
    /// Where each update of a member lies in its log.
    private var numbers: [UInt32: UInt64] = [:]
    /// Confirmed positions that a life of a server was seen to hold.
    private var confirmed: [ObjectIdentifier: [SessionID: [SequenceNumber: Position]]] = [:]

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
                guard case .message(let message) = entry else { continue }
                numbers[Self.id(message.content)] = message.number.rawValue
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
            if !member.hasLostConfirmed {
                violate("21: \(member.name) adopts a state at \(checkpoint.position.number) and had lost nothing")
            }
            // The state is of another course: what the log held since they parted is given up, acknowledged or not.
            for call in member.history.calls {
                if let number = numbers[call.id], number > member.common ?? 0 { call.mayBeMissing = true }
            }
        case .setAside(let number, let reason):
            violate("4: \(member.name) sets aside what follows \(number): \(reason)")
        }
    }

    /// The log turned out to hold less than before, as it may.
    private func lost(_ before: LogView, _ member: Member) {
        let view = member.store.view
        world.note("\(member.name)'s log is at \(view.place), it was at \(before.place)")
        member.hasLost = true
        member.common = min(member.common ?? .max, view.acknowledged)
        if member.confirmed.number > view.acknowledged { member.hasLostConfirmed = true }
        member.history.rewound()
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

    // MARK: Callers

    /// A caller was told something: its log must have it.
    func delivered(_ call: History.Call, to member: Member) {
        world.mix(UInt64(call.id))
        switch call.result {
        case .answered, .done, .stamped, .paid, .refused: break
        case .failed(let code) where code == 52 || code == 53: break
        case .failed, .abandoned, .waiting: return
        }
        guard let number = numbers[call.id] else { return violate("10: \(call.id) was answered and is in no log") }
        if number > member.store.view.acknowledged {
            let place = member.store.view.place
            violate("10: \(member.name)'s caller was told of update \(number); its log is at \(place)")
        }
    }

    /// A read was shown: what it saw must be in the log, acknowledged.
    func read(_ view: View, by member: Member) {
        guard let applied = member.store.view.applied, view.count > applied else { return }
        violate("10: \(member.name)'s caller reads a state of \(view.count) updates, its log has \(applied)")
    }

    /// A session ended for its client.
    func ended(_ member: Member, _ code: FaultCode, _ text: String) {
        let isAllowed =
            switch code {
            case .forked, .clientBehind: member.hasLostConfirmed
            case .unknownKey: member.isRetired
            case .poisoned: blames.contains { $0.key.session == member.session && $0.value > 1 }
            default: false
            }
        if !isAllowed { violate("21: \(member.name) was refused \(code): \(text)") }
    }

    // MARK: The world outside

    func called(_ process: SimulatedProcess, _ id: UInt32, _ key: String, _ entry: Outside.Entry) {
        world.mix(UInt64(id))
        world.note("\(process.name) asks outside for \(id & 0xfffff) under \(key.prefix(8))")
        if let origin = origin(of: id, in: process) { origins[entry.answer] = origin }
        if entry.id != id { violate("10: one key is used for \(entry.id) and \(id)") }
        guard let member = members.first(where: { $0.history.call(id) != nil }), !member.hasLost,
            let number = numbers[id]
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

    // MARK: The wire

    func saw(
        _ frame: WireTap.Frame, _ whole: ArraySlice<UInt8>, on connection: SimulatedConnection, of node: ClientNode,
        toServer: Bool
    ) {
        world.mix(UInt64(connection.id) << 32 | UInt64(whole.count))
        world.mix(whole.prefix(16))
        world.mix(whole.suffix(8))
        switch frame {
        case .other(type: 0x0b), .other(type: 0x4b): break  // signs of life
        default: world.note("\(connection.id) \(toServer ? "->" : "<-") \(connection.server.name) \(frame)")
        }
        connection.remember(whole, frame)
        switch frame {
        case .attach(let stream, let session, let acknowledged, let last):
            guard let member = memberOfSession[session] else { return }
            connection.attached(stream, member)
            let view = member.store.view
            // Its receipt says so.
            member.confirmed.number = max(member.confirmed.number, acknowledged)
            if acknowledged > view.acknowledged || last > view.last {
                violate(
                    "4: \(member.name) claims \(acknowledged)/\(last), its log has \(view.acknowledged)/\(view.last)")
            }
        case .update(let stream, let position, let first, let contents):
            guard let member = connection.members[stream] else { return }
            for (index, content) in contents.enumerated()
            where member.store.view.message(first + UInt64(index))?.content != content {
                violate("4: update \(first + UInt64(index)) of \(member.name) is on the wire, and not in its log")
            }
            if let position { confirms(position, member) }
        case .confirm(let stream, let position):
            if let member = connection.members[stream] { confirms(position, member) }
        case .acknowledgement(let stream, _, _), .reply(let stream, _):
            if let member = connection.members[stream] { visible(member, connection, stream) }
        default: break
        }
    }

    private func confirms(_ position: WirePosition, _ member: Member) {
        let view = member.store.view
        guard position.number <= view.acknowledged else {
            return violate(
                "4: \(member.name) confirms \(position.number), its log is at \(view.acknowledged)")
        }
        if position.number > member.confirmed.number { member.confirmed = position }
    }

    /// During a recall nothing of the session is shown.
    private func visible(_ member: Member, _ connection: SimulatedConnection, _ stream: UInt32) {
        guard let session = member.session, let status = connection.life?.run?.status(of: session) else { return }
        if status.phase == .recalling, status.route?.stream.rawValue == stream {
            violate("5: something of \(member.name) is shown in the middle of its recall")
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
            let blame = Blame(server: life.node.name, session: cause.session, number: cause.number)
            blames[blame, default: 0] += 1
        }
    }

    private func applies(_ session: SessionID, _ number: SequenceNumber, _ isReplay: Bool, _ life: ServerLife) {
        guard let member = memberOfSession[Self.bytes(session)] else { return }
        guard let content = member.store.view.message(number.rawValue)?.content else {
            if !member.hasLost, member.store.view.isWhole {
                violate("4: \(life.process.name) applies update \(number) of \(member.name), which no log has")
            }
            return
        }
        guard let call = member.history.call(Self.id(content)), case .change(.kill) = call.request else { return }
        world.note("\(life.process.name) dies of update \(number) of \(member.name)")
        life.node.crash(restartAfter: 400_000_000)
    }

    private func look(at life: ServerLife) {
        guard let run = life.run else { return }
        for member in members where member.ending == nil && !member.hasLostConfirmed {
            guard let session = member.session, let status = run.status(of: session), status.hasCopy else { continue }
            let position = status.confirmed
            let known = confirmed[ObjectIdentifier(life), default: [:]][session]?[position.number]
            if let known, known != position {
                violate(
                    "9: update \(position.number) of \(member.name) was confirmed on \(life.process.name), and changed")
            }
            confirmed[ObjectIdentifier(life), default: [:]][session, default: [:]][position.number] = position
            if let receipt = member.store.view.receipts[position.number.rawValue], receipt != position {
                violate(
                    "9: \(life.process.name) has another confirmed \(position.number) than \(member.name)\'s log")
            }
        }
    }
}
