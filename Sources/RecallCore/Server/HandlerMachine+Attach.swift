// Initiation and attachment: the checks in the order of their cost, then the agreement rule.

extension HandlerMachine {
    mutating func initiate(_ connection: Connection, _ frame: Initiate, session: SessionID) {
        guard claimStream(connection, frame.stream) else { return }
        guard !isDraining else { return refuse(connection, frame.stream, .draining, "the server is going away") }
        guard let kind = hostedKind(connection, frame.stream, frame.kindName, frame.kindVersion) else { return }
        guard let vector = vector(of: session, kind: kind, principal: connection.principal) else {
            return refuse(connection, frame.stream, .unknownKey, "the server holds no key to issue sessions with")
        }
        write(to: connection) { $0.frame(Initiated(stream: frame.stream, session: session, vector: vector)) }
    }

    mutating func attach(_ connection: Connection, _ frame: Attach, now: Instant, _ host: some SessionHost) {
        let claim = frame.claim
        let stream = frame.stream
        guard claimStream(connection, stream) else { return }
        guard !isDraining else { return refuse(connection, stream, .draining, "the server is going away") }
        guard let kind = hostedKind(connection, stream, claim.kindName, claim.kindVersion) else { return }
        guard let root = ring.secret(claim.session.keyID), let vectorKey = vectorKeys[claim.session.keyID] else {
            return refuse(
                connection, stream, .unknownKey,
                "key \(claim.session.keyID.rawValue), which issued the session, is not held")
        }
        let identity = SessionIdentity(
            session: claim.session, kindName: claim.kindName, principal: connection.principal, cryptography)
        // One that rests is woken when the claim has been verified, and not before: an invalid one is to cost little.
        let known = place(of: claim.session)
        let vector =
            if let slot = known?.working, slot.belongs(to: identity, kind: kind) { slot.keys.vector } else {
                SessionKeys.vector(vectorKey: vectorKey, identity: identity, cryptography)
            }
        guard claim.sealed(nonce: connection.nonce, by: Sealer(vector: vector, cryptography)) == frame.leaf else {
            return refuse(
                connection, stream, .brokenChain,
                "the attach is not sealed by this session's vector: another server key under the same id, another "
                    + "principal or kind, or an altered log")
        }
        guard claim.isProven else {
            return refuse(
                connection, stream, .badCheckpoint,
                "the checkpoint at update \(claim.checkpoint?.number ?? .zero) lies past the newest receipt")
        }
        if let known, !known.belongs(to: identity, kind: kind) || version(of: known) != claim.kindVersion {
            // Only a server with the same key that issued one id twice gets here.
            return refuse(
                connection, stream, .unsupportedVersion, "the session is live here as another kind or version")
        }
        let keys = known?.working?.keys ?? SessionKeys(root: root, vector: vector, cryptography)
        if let receipt = claim.receipt {
            guard keys.verify(receipt, kindVersion: claim.kindVersion, cryptography) else {
                return refuse(
                    connection, stream, .badReceipt, "the receipt at update \(receipt.position.number) does not verify")
            }
            if let age = kinds[kind].maximumIdleAge, host.wallTime().nanoseconds &- receipt.time.nanoseconds > age {
                return refuse(
                    connection, stream, .expired, "the receipt at update \(receipt.position.number) is too old")
            }
        }
        let slot: SessionSlot
        if let known, let awake = known.working ?? wake(known, keys: keys) {
            slot = awake
            supersede(slot, by: connection, host)
        } else {
            guard makeRoom(host) else {
                return refuse(connection, stream, .overloaded, "the server has as many sessions as it takes on")
            }
            slot = makeSlot(identity, vector: vector, root: root, kind: kind, now: now, host)
        }
        route(slot, to: connection, stream, claim, now)
        decide(slot, claim, now, host)
    }

    /// Streams ascend and are never reused; one that does not ends the connection.
    private mutating func claimStream(_ connection: Connection, _ stream: StreamID) -> Bool {
        guard stream > connection.lastStream else {
            refuse(connection, .unexpectedFrame, "stream \(stream.rawValue) was used before")
            return false
        }
        guard connection.streams.count < WireLimits.streams else {
            refuse(connection, stream, .overloaded, "the connection has too many streams")
            return false
        }
        connection.lastStream = stream
        return true
    }

    private mutating func hostedKind(
        _ connection: Connection, _ stream: StreamID, _ name: [UInt8], _ version: UInt32
    ) -> Int? {
        if let kind = kinds.firstIndex(where: { $0.name == name && $0.version == version }) { return kind }
        let text = String(decoding: name, as: UTF8.self)
        if kinds.contains(where: { $0.name == name }) {
            refuse(connection, stream, .unsupportedVersion, "version \(version) of kind '\(text)' is not hosted here")
        } else {
            refuse(connection, stream, .unknownKind, "kind '\(text)' is not hosted here")
        }
        return nil
    }

    /// The session belongs to the newest connection; the former one is told, unless it is the same.
    private mutating func supersede(_ slot: SessionSlot, by connection: Connection, _ host: some SessionHost) {
        guard let former = slot.route else { return }
        if former.connection !== connection {
            write(to: former.connection) {
                $0.frame(Refusal(stream: former.stream, .superseded, "another connection attached to the session"))
            }
            host.observe(slot.id, of: slot.session, .superseded)
        }
        unroute(slot)
    }

    private mutating func route(
        _ slot: SessionSlot, to connection: Connection, _ stream: StreamID, _ claim: AttachClaim, _ now: Instant
    ) {
        slot.route = SessionSlot.Route(connection: connection, stream: stream)
        connection.streams[stream] = slot.id
        let position = claim.acknowledged
        slot.received = (position.number, position.seal)
        (slot.matched, slot.sent) = (position.number, position.number)
        touch(slot, now)
    }

    /// The agreement rule on an attach.
    private mutating func decide(_ slot: SessionSlot, _ claim: AttachClaim, _ now: Instant, _ host: some SessionHost) {
        // A recall under way moves to the connection that attached last; it begins anew, since the claim may differ.
        // What its copy had confirmed is remembered before the claim is judged.
        if slot.phase != .live {
            slot.recall = nil
            bury(slot, host)
        }
        if let tombstone = slot.tombstone, claim.acknowledged.number < tombstone.number {
            return refuse(
                slot, .clientBehind, "the log ends before update \(tombstone.number), which it had confirmed", host)
        }
        guard slot.phase == .live else {
            guard mayDrop(slot, host) else { return }
            return beginRecall(slot, claim, isGap: false, now, host)
        }
        if case .confirmation = slot.awaiting {
            // The effect has not started. The client sends its update again, if it still has it, behind those whose
            // acknowledgements it lost; waiting for their confirmation here would hold these back.
            host.abandon(slot.id)
            slot.awaiting = .nothing
        }
        switch slot.window.agreement(
            acknowledged: claim.acknowledged, last: claim.last, lastSeal: claim.lastSeal)
        {
        case .current:
            _ = slot.window.confirm(claim.acknowledged)
            account(slot)
            goOn(slot, now)
        case .behind:
            beginRecall(slot, claim, isGap: slot.awaiting == .nothing, now, host)
        case .orphan:
            recallInFull(slot, claim, now, host)
        case .forked:
            refuse(
                slot, .forked,
                Self.forkedText(claim.acknowledged.number),
                host)
        case .clientBehind:
            offerAdoption(slot, claim, host)
        }
    }

    /// The session is live for its client: tell it, and go through what it sends.
    mutating func goOn(_ slot: SessionSlot, _ now: Instant, replayed: Int = 0, nanoseconds: Int64 = 0) {
        let (count, time) = (UInt64(clamping: replayed), UInt64(clamping: nanoseconds / 1000))
        write(to: slot) { $0.frame(Attached(stream: $1, replayed: count, microseconds: time)) }
        setReady(slot)
    }

    /// The log's acknowledgements end before what it had confirmed here.
    private mutating func offerAdoption(_ slot: SessionSlot, _ claim: AttachClaim, _ host: some SessionHost) {
        let confirmed = slot.window.confirmed.number
        let text =
            "the log's acknowledgements end at update \(claim.acknowledged.number), but it had confirmed \(confirmed)"
        guard kinds[slot.kind].adoptsBehind else { return refuse(slot, .clientBehind, text, host) }
        guard slot.awaiting == .nothing else {
            return refuse(slot, .overloaded, "an effect is under way; try again when it has ended", host)
        }
        // Else who attaches again and again, and reads nothing, has states piled up.
        guard mayWrite(slot) else {
            return refuse(slot, .overloaded, "the connection does not take what is written to it", host)
        }
        guard sendCheckpoint(slot, adopting: true, host) else { return refuse(slot, .clientBehind, text, host) }
        slot.awaiting = .adoption(slot.window.head)
    }

    /// Ends a stream before it has a slot.
    mutating func refuse(_ connection: Connection, _ stream: StreamID, _ code: FaultCode, _ text: String) {
        write(to: connection) { $0.frame(Refusal(stream: stream, code, text)) }
    }

    /// Ends a slot's stream. A live copy stays; one that was being built goes.
    mutating func refuse(
        _ slot: SessionSlot, _ code: FaultCode, first: SequenceNumber = .zero, last: SequenceNumber = .zero,
        _ text: String, _ host: some SessionHost
    ) {
        write(to: slot) { $0.frame(Refusal(stream: $1, code, first: first, last: last, text)) }
        host.observe(slot.id, of: slot.session, .refused(code))
        unroute(slot)
        if slot.phase != .live {
            abandonRecall(slot, host)
            startAdmitted(host)
        }
    }
}
