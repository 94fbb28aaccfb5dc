/// What a handler hosts and how much it takes on.
package struct HandlerLimits: Sendable, Hashable {
    /// Sessions here at once, live or recalling; the least recently used idle one makes room.
    package var sessions = 1_000_000
    /// Bytes of sessions, estimated from their checkpoints and messages; beyond, idle ones are evicted.
    package var memory = 1 << 30
    package var recalls = RecallAdmission.Limits()
    /// Updates and requests of one session that wait for their turn.
    package var windowMessages = WireLimits.windowMessages
    package var windowBytes = WireLimits.windowBytes
    /// Orphaned copies dropped for one session before something is confirmed; beyond, `overloaded` makes it pause.
    package var drops = 64
    /// Applied and unconfirmed updates of one session; beyond, it waits for a confirmation.
    package var unconfirmed = 4 * WireLimits.windowMessages
    /// Bytes of their determinants and replies; beyond, as above.
    package var unconfirmedBytes = 16 << 20
    /// Bytes of replies for one connection that have not gone out; beyond, its sessions wait until they have.
    package var replyBytes = 4 << 20
    /// Nanoseconds in which a recall whose client sends nothing of its history is not evicted for want of room.
    package var recallGrace: Int64 = 2_000_000_000
    /// Messages applied, or replayed, for one session before another has its turn.
    package var turn = 256

    package init() {}
}

/// A kind that a handler hosts, without its code.
package struct KindTerms: Sendable {
    package var name: [UInt8]
    package var version: UInt32
    package var checkpoints = CheckpointPolicy()
    /// What to do with a client whose log ends before what it had confirmed.
    package var adoptsBehind = false
    /// A receipt older than this refuses the attach as `expired`; nil: never. Nanoseconds.
    package var maximumIdleAge: Int64?

    package init(name: [UInt8], version: UInt32) { (self.name, self.version) = (name, version) }
}

/// The server's half of the protocol for many sessions, without I/O: frames in, frames out, calls to the host between.
///
/// Faults are of three kinds. A peer's fault refuses its stream or its connection and touches nothing else. Late or
/// lost frames are harmless and ignored. A fault of our own would be a bug; none is provoked by bytes.
package struct HandlerMachine: ~Copyable {
    /// A connection after its hello.
    final class Connection {
        let id: ConnectionID
        let principal: [UInt8]?
        let nonce: Digest
        var streams: [StreamID: SlotID] = [:]
        var lastStream = StreamID.connection
        var output = ByteWriter()
        var isDirty = false
        var isClosing = false
        var lastPing: Instant?
        /// Bytes of unfinished frames of history since they last counted as progress, and when that was.
        var partBytes = 0
        var lastPart: Instant?
        /// False while the peer does not read what is written to it.
        var isWritable = true
        /// Bytes of replies since output was last taken.
        var replyBytes = 0
        /// Sessions that wait until more may be written.
        var heldUp: [SlotID] = []
        /// As above, those that had a turn since output was last taken; they come after the others.
        var heldUpLater: [SlotID] = []

        init(id: ConnectionID, principal: [UInt8]?, nonce: Digest) {
            (self.id, self.principal, self.nonce) = (id, principal, nonce)
        }
    }

    let kinds: [KindTerms]
    let limits: HandlerLimits
    let cryptography: Cryptography
    var ring: KeyRing
    var vectorKeys: [KeyID: Digest] = [:]
    var connections: [ConnectionID: Connection] = [:]
    var slots: [SessionPlace?] = []
    var freeSlots: [Int] = []
    var index = SessionIndex()
    var admission: RecallAdmission
    var ready = Fifo<SlotID>()
    var dirtySlots: [SlotID] = []
    var dirtyConnections: [ConnectionID] = []
    var newest: SlotID?
    var oldest: SlotID?
    /// Up to here from the oldest, sessions had their chance to rest.
    var rested: SlotID?
    var lastIncarnation: UInt64 = 0
    var lastVerification: UInt64 = 0
    var isDraining = false
    /// Estimated bytes of all sessions here.
    package var memoryInUse = 0

    package init(kinds: [KindTerms], ring: KeyRing, limits: HandlerLimits = .init(), _ cryptography: Cryptography) {
        (self.kinds, self.ring, self.limits, self.cryptography) = (kinds, ring, limits, cryptography)
        admission = RecallAdmission(limits.recalls)
        for entry in ring.secrets {
            vectorKeys[entry.id] = SessionKeys.vectorKey(root: entry.secret, cryptography)
        }
    }

    package var sessionCount: Int { index.count }
    package var recallCount: Int { admission.runningCount }
    package var waitingRecallCount: Int { admission.waitingCount }

    // MARK: Connections

    /// A peer said a valid hello and is who it says.
    package mutating func open(_ id: ConnectionID, principal: [UInt8]?, nonce: Digest) {
        let connection = Connection(id: id, principal: principal, nonce: nonce)
        connections[id] = connection
        let hello = ServerHello(
            windowMessages: UInt32(limits.windowMessages), windowBytes: UInt32(limits.windowBytes), nonce: nonce)
        write(to: connection) { $0.frame(hello) }
        if isDraining { write(to: connection) { $0.frame(.drain) } }
    }

    /// The connection ended. Its sessions stay, without a route, until they are evicted.
    package mutating func closed(_ id: ConnectionID, _ host: some SessionHost) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        // In order, so that the same events give the same run whatever the process's hash seed.
        for (_, slotID) in connection.streams.sorted(by: { $0.key < $1.key }) {
            guard let place = slots[slotID.index], place.route?.connection === connection else { continue }
            unroute(place)
            if let slot = place.working, slot.phase != .live { abandonRecall(slot, host) }
        }
        startAdmitted(host)
    }

    /// Takes the bytes that were written for a connection since the last time.
    package mutating func takeOutput(_ id: ConnectionID) -> (bytes: [UInt8], isClosing: Bool) {
        guard let connection = connections[id] else { return ([], true) }
        let bytes = connection.output.bytes
        connection.output = ByteWriter(capacity: min(bytes.count, 1 << 16))
        connection.isDirty = false
        connection.replyBytes = 0
        if connection.isWritable { goOn(connection) }
        return (bytes, connection.isClosing)
    }

    /// Says whether a connection's peer takes what is written. While it does not, nothing new is applied for it.
    package mutating func setWritable(_ id: ConnectionID, _ isWritable: Bool) {
        guard let connection = connections[id] else { return }
        connection.isWritable = isWritable
        if isWritable { goOn(connection) }
    }

    private mutating func goOn(_ connection: Connection) {
        for id in connection.heldUp + connection.heldUpLater {
            guard let slot = working(id), slot.route?.connection === connection else { continue }
            slot.isHeldUp = false
            setReady(slot)
        }
        connection.heldUp.removeAll(keepingCapacity: true)
        connection.heldUpLater.removeAll(keepingCapacity: true)
    }

    /// True if a session has something to do at once.
    package var hasReady: Bool { !ready.isEmpty }

    /// The connections that have output, each once.
    package mutating func takeDirtyConnections() -> [ConnectionID] {
        defer { dirtyConnections = [] }
        return dirtyConnections
    }

    /// Appends to what goes out to a connection.
    mutating func write(to connection: Connection, _ body: (inout ByteWriter) -> Void) {
        body(&connection.output)
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirtyConnections.append(connection.id)
    }

    /// Writes to a session's client, if it is there.
    mutating func write(to place: SessionPlace, _ body: (inout ByteWriter, StreamID) -> Void) {
        guard let route = place.route else { return }
        write(to: route.connection) { body(&$0, route.stream) }
    }

    /// Ends a connection because of its peer's fault.
    mutating func refuse(_ connection: Connection, _ code: FaultCode, _ text: String) {
        write(to: connection) { $0.frame(Refusal(stream: .connection, code, text)) }
        connection.isClosing = true
    }

    // MARK: Keys

    /// A new session's id and vector for a principal. Nothing of it is kept. Nil if the ring is empty.
    package func vector(of session: SessionID, kind: Int, principal: [UInt8]?) -> Digest? {
        guard let vectorKey = vectorKeys[session.keyID] else { return nil }
        let identity = SessionIdentity(
            session: session, kindName: kinds[kind].name, principal: principal, cryptography)
        return SessionKeys.vector(vectorKey: vectorKey, identity: identity, cryptography)
    }

    /// The key that sessions are issued under; nil if there is none.
    package var issuingKey: KeyID? { ring.newest }

    /// Replaces the ring. Sessions whose key is gone or another one are deleted; their clients are refused from then
    /// on.
    package mutating func use(_ ring: KeyRing, _ host: some SessionHost) {
        let former = vectorKeys
        self.ring = ring
        vectorKeys = [:]
        for entry in ring.secrets {
            vectorKeys[entry.id] = SessionKeys.vectorKey(root: entry.secret, cryptography)
        }
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.retiredKeyServed) { return }
        #endif
        for place in slots.compactMap({ $0 }) {
            let key = place.session.keyID
            if vectorKeys[key] == nil || vectorKeys[key] != former[key] { delete(place, host) }
        }
    }

    // MARK: Slots

    func place(_ id: SlotID) -> SessionPlace? { id.index < slots.count ? slots[id.index] : nil }

    /// The session at a place if it is at work: what is under way is under way for none that rests.
    func working(_ id: SlotID) -> SessionSlot? { place(id)?.working }

    /// The session at a place, woken if it rested.
    mutating func awake(_ id: SlotID) -> SessionSlot? {
        guard let place = place(id) else { return nil }
        return place.working ?? wake(place)
    }

    /// The place of a session, if it has one.
    func place(of session: SessionID) -> SessionPlace? { index.place(of: session, in: slots) }

    func version(of place: SessionPlace) -> UInt32 { kinds[place.kind].version }

    func sealer(of slot: SessionSlot) -> Sealer { Sealer(vector: slot.keys.vector, cryptography) }

    mutating func makeSlot(
        _ identity: SessionIdentity, vector: Digest, root: Digest, kind: Int, now: Instant, _ host: some SessionHost
    ) -> SessionSlot {
        let id: SlotID
        if let free = freeSlots.popLast() {
            id = SlotID(free)
        } else {
            id = SlotID(slots.count)
            slots.append(nil)
        }
        let slot = SessionSlot(
            id: id, identity: identity, keys: SessionKeys(root: root, vector: vector, cryptography), kind: kind,
            incarnation: nextIncarnation(), now: now)
        slots[id.index] = slot
        index.insert(slot, in: slots)
        link(slot)
        account(slot)
        return slot
    }

    mutating func nextIncarnation() -> Incarnation {
        lastIncarnation &+= 1
        return Incarnation(lastIncarnation)
    }

    /// Ends a copy; the slot stays. Whatever comes late from the old instance is told by its incarnation.
    mutating func dropCopy(_ slot: SessionSlot, _ host: some SessionHost) {
        if slot.hasInstance { host.destroy(slot.id) }
        slot.hasInstance = false
        slot.incarnation = nextIncarnation()
        slot.awaiting = .nothing
        slot.window = CopyWindow(confirmed: .start)
        slot.outputs = Digest()
        slot.debt = ReplayDebt()
        slot.replies = []
        account(slot)
    }

    /// Forgets a session altogether.
    mutating func remove(_ place: SessionPlace, _ host: some SessionHost) {
        unroute(place)
        if let slot = place.working {
            dropCopy(slot, host)
            admission.finish(slot.id)
            slot.phase = .waiting
            slot.recall = nil
        } else {
            host.destroy(place.id)
        }
        unlink(place)
        memoryInUse -= place.countedBytes
        index.remove(place, in: slots)
        slots[place.id.index] = nil
        freeSlots.append(place.id.index)
    }

    mutating func unroute(_ place: SessionPlace) {
        if let route = place.route { route.connection.streams[route.stream] = nil }
        place.route = nil
        guard let slot = place.working else { return }
        memoryInUse -= slot.queue.bytes
        slot.counted -= slot.queue.bytes
        slot.queue.removeAll()
        slot.ownsCurrent = false
        slot.isHeldUp = false
        slot.replies = []
        slot.debt.withdrawOffer()
        if case .adoption = slot.awaiting { slot.awaiting = .nothing }
    }

    mutating func setReady(_ slot: SessionSlot) {
        guard !slot.isReady else { return }
        slot.isReady = true
        ready.append(slot.id)
    }

    mutating func setDirty(_ slot: SessionSlot) {
        guard !slot.isDirty else { return }
        slot.isDirty = true
        dirtySlots.append(slot.id)
    }
}
