/// One session's place in a handler: what there is to know of it whether it is at work or rests.
///
/// A plain class: confined to the handler that holds it, never shared. Fields are ordered and typed to take little
/// room, since a handler has a million of them.
class SessionPlace {
    /// Where the client is: one stream of one connection.
    struct Route {
        /// The connection itself, since it is looked at several times for each message.
        let connection: HandlerMachine.Connection
        let stream: StreamID
    }

    /// Whom it belongs to. Apart, since many sessions belong to nobody.
    private final class Owner {
        let principal: Digest
        init(_ principal: Digest) { self.principal = principal }
    }

    let session: SessionID
    private let owner: Owner?
    var incarnation: Incarnation
    var lastActive: Instant
    var route: Route?
    let id: SlotID
    private let kindIndex: Int32
    var lastRecall: UInt32 = 0
    // The handler's list of places, least recently used first.
    private var next = SlotID.link(nil), previous = SlotID.link(nil)

    var kind: Int { Int(kindIndex) }
    /// SHA-256 of the principal that it belongs to; zeros for nobody.
    var principal: Digest { owner?.principal ?? Digest() }
    var newer: SlotID? {
        get { SlotID(link: next) }
        set { next = SlotID.link(newValue) }
    }
    var older: SlotID? {
        get { SlotID(link: previous) }
        set { previous = SlotID.link(newValue) }
    }

    init(id: SlotID, identity: SessionIdentity, kind: Int, incarnation: Incarnation, now: Instant) {
        (session, self.id) = (identity.session, id)
        owner = identity.principal == Digest() ? nil : Owner(identity.principal)
        kindIndex = Int32(truncatingIfNeeded: kind)
        (self.incarnation, lastActive) = (incarnation, now)
    }

    /// Takes another's place.
    init(replacing place: SessionPlace) {
        (session, owner, incarnation) = (place.session, place.owner, place.incarnation)
        (lastActive, route, id) = (place.lastActive, place.route, place.id)
        (kindIndex, lastRecall) = (place.kindIndex, place.lastRecall)
        (next, previous) = (place.next, place.previous)
    }

    /// Itself, unless it rests.
    var working: SessionSlot? { nil }
    /// What it is estimated to cost, as it was counted last.
    var countedBytes: Int { 0 }

    /// True if it is of the same principal and kind.
    func belongs(to identity: SessionIdentity, kind: Int) -> Bool {
        session == identity.session && principal == identity.principal && self.kind == kind
    }
}

extension SlotID {
    /// A place in a list of slots, in four bytes; a negative one is none.
    fileprivate init?(link: Int32) {
        guard link >= 0 else { return nil }
        self.init(Int(link))
    }

    fileprivate static func link(_ id: SlotID?) -> Int32 { id.map { Int32(truncatingIfNeeded: $0.index) } ?? -1 }
}

/// A live session that nobody uses for now. Its instance stays; of what else it needs when it is used again it keeps
/// what cannot be computed.
final class RestingSession: SessionPlace {
    /// Apart, since sessions without outside content and without replies have none.
    private final class Digests {
        let inputs: Digest, outputs: Digest
        init(_ inputs: Digest, _ outputs: Digest) { (self.inputs, self.outputs) = (inputs, outputs) }
    }

    private let number: SequenceNumber
    private let seal: Digest
    private let digests: Digests?
    let debt: ReplayDebt.Rest

    /// Nil if it is in the middle of something.
    init?(_ slot: SessionSlot) {
        guard slot.canRest, let debt = slot.debt.rest else { return nil }
        let head = slot.window.head
        (number, seal, self.debt) = (head.number, head.seal, debt)
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.restForgetsDigests) {
                digests = nil
                super.init(replacing: slot)
                return
            }
        #endif
        digests =
            head.inputs == Digest() && slot.outputs == Digest() ? nil : Digests(head.inputs, slot.outputs)
        super.init(replacing: slot)
    }

    override var countedBytes: Int { HandlerMachine.restingBytes + Int(debt.checkpointBytes) + Int(debt.bytes) }

    /// All of it is confirmed.
    var head: Position { Position(number: number, seal: seal, inputs: digests?.inputs ?? Digest()) }
    var outputs: Digest { digests?.outputs ?? Digest() }
}
