internal import Recall
internal import RecallCore
internal import RecallServer

/// A stream that a session attached on, as the wire shows it. Confined to the simulation's thread.
final class WireStream: @unchecked Sendable {
    unowned let member: Member
    /// The name of the server's process.
    let server: String
    /// The server has said that the session is live.
    fileprivate var isAttached = false
    /// The server has said that there is no session any more.
    fileprivate var hasEnded = false
    /// Updates that a recall may replay: those that the log had since the older of its checkpoints. (What a copy misses
    /// may begin before the newer.)
    fileprivate var replayable: UInt64 = 0
    /// The server recalled the session on another stream after it had on this one.
    fileprivate var isLeft = false
    /// What the server's last recall asks the client to go on after.
    fileprivate var asked: WirePosition?
    /// The digests of determinants that were acknowledged and confirmed here, by number.
    fileprivate(set) var acknowledged: [UInt64: [UInt8]] = [:]
    fileprivate var confirmed: [UInt64: [UInt8]] = [:]

    init(of member: Member, to server: String) { (self.member, self.server) = (member, server) }
}

/// What may go over the wire, and when.
extension Checker {
    func saw(
        _ frame: WireTap.Frame, _ whole: ArraySlice<UInt8>, on connection: SimulatedConnection, of node: ClientNode,
        toServer: Bool
    ) {
        world.mix(UInt64(connection.id) << 32 | UInt64(whole.count))
        world.mix(whole)
        switch frame {
        case .other(type: 0x0b), .other(type: 0x4b): break  // signs of life
        default: world.note("\(connection.id) \(toServer ? "->" : "<-") \(connection.server.name) \(frame)")
        }
        connection.remember(whole, frame, toServer: toServer)
        if case .attach(let number, let session, let acknowledged, let last) = frame {
            guard let member = memberOfSession[session] else { return }
            attaches(member, connection.attached(number, member), acknowledged, last)
        } else if let number = frame.stream, let stream = connection.streams[number] {
            toServer ? says(frame, stream) : answers(frame, stream, connection, number)
        }
    }

    // MARK: The client

    private func attaches(_ member: Member, _ stream: WireStream, _ acknowledged: WirePosition, _ last: UInt64) {
        member.stream = stream
        let view = member.store.view
        let start = view.checkpoints.dropFirst().first ?? view.base
        stream.replayable = view.acknowledged - min(start, view.acknowledged)
        if acknowledged.number > view.acknowledged || last > view.last {
            violate(
                "4: \(member.name) claims \(acknowledged.number)/\(last), its log has \(view.place)")
        }
        // Its receipt says so.
        if acknowledged != .start { claims(acknowledged, stream, "attaches at") }
    }

    private func says(_ frame: WireTap.Frame, _ stream: WireStream) {
        let member = stream.member
        let view = member.store.view
        switch frame {
        case .update(_, let position, let first, let contents):
            for (index, content) in contents.enumerated()
            where view.message(first + UInt64(index))?.content != content {
                violate("4: update \(first + UInt64(index)) of \(member.name) is on the wire, and not in its log")
            }
            if let position { confirms(position, stream) }
        case .confirm(_, let position): confirms(position, stream)
        case .history(_, let base, let position):
            if base == 0, let asked = stream.asked { agrees(asked, stream) }
            if let position { claims(position, stream, "shows a history up to") }
        case .kept(_, let position):
            if !view.checkpoints.contains(position.number) {
                violate("16: \(member.name) says it keeps \(position.number), its log has \(view.checkpoints)")
            }
            claims(position, stream, "keeps a checkpoint at")
        default: break
        }
    }

    private func confirms(_ position: WirePosition, _ stream: WireStream) {
        stream.confirmed[position.number] = position.inputs
        claims(position, stream, "confirms")
    }

    /// The client goes on after a position that the server named, and so says that its log agrees there. A receipt at
    /// it may be gone from the log.
    private func agrees(_ position: WirePosition, _ stream: WireStream) {
        let member = stream.member
        if position.number > member.store.view.acknowledged {
            violate("4: \(member.name) goes on after \(position.number), its log is at \(member.store.view.place)")
        }
        note(position, stream)
    }

    /// The client tells a server that its log holds this: number, messages and what they took from outside.
    private func claims(_ position: WirePosition, _ stream: WireStream, _ what: String) {
        let member = stream.member
        let view = member.store.view
        if position.number > view.acknowledged {
            violate("4: \(member.name) \(what) \(position.number), its log is at \(view.acknowledged)")
        } else if view.receipts[position.number].map({ WirePosition($0) }) != position {
            violate("4: \(member.name) \(what) \(position.number), and its log has another receipt there, or none")
        }
        note(position, stream)
    }

    private func note(_ position: WirePosition, _ stream: WireStream) {
        let member = stream.member
        if position.number > member.confirmed { member.confirmed = position.number }
        claimed[stream.server, default: [:]][member.name, default: [:]][position.number, default: []].insert(position)
    }

    // MARK: The server

    private func answers(
        _ frame: WireTap.Frame, _ stream: WireStream, _ connection: SimulatedConnection, _ number: UInt32
    ) {
        let member = stream.member
        if stream.hasEnded {
            violate("5: \(stream.server) says \(frame) to \(member.name), whose session had ended there")
        }
        switch frame {
        case .attached(_, let replayed):
            if stream.isAttached { violate("5: \(stream.server) attaches \(member.name) twice on a stream") }
            stream.isAttached = true
            if replayed > stream.replayable {
                violate("14: \(stream.server) replays \(replayed) updates of \(member.name), not \(stream.replayable)")
            }
        case .acknowledgement(_, _, let last, let inputs):
            visible(frame, stream, connection, number)
            if let other = stream.confirmed[last] ?? stream.acknowledged[last], other != inputs {
                violate("9: \(stream.server) acknowledges \(last) of \(member.name) twice, and not the same")
            }
            stream.acknowledged[last] = inputs
        case .reply: visible(frame, stream, connection, number)
        case .recall(_, let position):
            stream.asked = position
            recalls(stream)
        case .credit: recalls(stream)
        case .offer(_, let isAdoption):
            if isAdoption { member.adoptionOffers.insert(stream.server) }
            if stream.isAttached == isAdoption {
                violate("5: \(stream.server) says \(frame) to \(member.name), which is not due")
            }
        case .gone:
            stream.hasEnded = true
            connection.life?.node.lostCopy()
        case .refusal(_, let code):
            stream.hasEnded = true
            member.refusals[code, default: []].insert(stream.server)
        default: break
        }
    }

    /// One recall of a session at a time on a server: who attaches anew takes it along to another stream.
    private func recalls(_ stream: WireStream) {
        let member = stream.member
        if stream.isAttached { violate("5: \(stream.server) recalls \(member.name), whose session is live") }
        let before = recalling[stream.server]?[member.name]
        guard before !== stream else { return }
        // What is written in one turn goes out by connections: what ends the other stream may be on its way.
        if stream.isLeft, before?.hasEnded == false {
            violate("6: \(stream.server) recalls \(member.name) on two streams at once")
        }
        before?.isLeft = true
        recalling[stream.server, default: [:]][member.name] = stream
    }

    /// During a recall nothing of the session is shown.
    private func visible(
        _ frame: WireTap.Frame, _ stream: WireStream, _ connection: SimulatedConnection, _ number: UInt32
    ) {
        let member = stream.member
        if !stream.isAttached { violate("5: \(stream.server) says \(frame) to \(member.name) before it is attached") }
        // What the machine itself says of it.
        guard let session = member.session, let status = connection.life?.run?.status(of: session) else { return }
        if status.phase == .recalling, status.route?.stream.rawValue == number {
            violate("5: something of \(member.name) is shown in the middle of its recall")
        }
    }

    /// Whoever has only the bytes of an earlier connection must not be taken for its client: an attach is bound to its
    /// connection's nonce.
    func answeredGhost(_ frame: WireTap.Frame, on connection: SimulatedConnection) {
        switch frame {
        case .attached, .acknowledgement, .reply, .recall, .offer, .credit:
            violate("15: \(connection.server.name) takes a replayed connection for its client's: \(frame)")
        case .attach, .update, .confirm, .request, .history, .kept, .detach, .gone, .refusal, .other: break
        }
    }
}
