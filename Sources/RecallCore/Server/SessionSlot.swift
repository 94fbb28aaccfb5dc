/// A session at work: its copy if there is one, a recall if one is under way, and what its client sends.
final class SessionSlot: SessionPlace {
    /// Where the copy stands.
    enum Phase: Equatable {
        /// No copy: waiting for a place among the recalls. Goes to `recalling`.
        case waiting
        /// A copy is being built, or brought up from where it stands. Nothing of it is visible. Goes to `live`.
        case recalling
        /// Current as far as this server knows. A recall leads back to `recalling`.
        case live
    }

    /// What the update whose turn it is waits for.
    ///
    /// What it is about lies apart: most sessions wait for nothing.
    indirect enum Awaiting: Equatable {
        case nothing
        /// An effect may start only when the client has confirmed every earlier update.
        case confirmation(CurrentUpdate)
        /// The effect's async half runs.
        case outcome(CurrentUpdate)
        /// The host applies it in its own time.
        case application(CurrentUpdate)
        /// The client is offered this copy's state, since its log ends too early.
        case adoption(Position)
    }

    struct CurrentUpdate: Equatable {
        var number: SequenceNumber
        var seal: Digest
        var contentBytes: Int
    }

    /// What every update changes, of the copy, the route and the accounts. Together, since each access to a field of a
    /// class is checked for overlapping ones while the program runs: to record an update takes one, and not eight.
    struct PerUpdate {
        var window = CopyWindow(confirmed: .start)
        /// r at the head.
        var outputs = Digest()
        var debt = ReplayDebt()
        /// Up to where the client's messages are known to be this copy's, so that they may be acknowledged.
        var matched = SequenceNumber.zero
        /// True if the update being dealt with came on the present route.
        var ownsCurrent = false
        /// What the session is estimated to cost, as it was counted last.
        var counted = 0

        /// An update was applied, or given up; returns by how many bytes the session grew.
        mutating func record(
            _ update: CurrentUpdate, determinants: [UInt8], reply: [UInt8], _ cryptography: Cryptography
        ) -> Int {
            let position = Position(
                number: update.number, seal: update.seal,
                inputs: cryptography.inputs(
                    determinants.span.bytes, number: update.number, after: window.head.inputs))
            outputs = cryptography.outputs(reply.span.bytes, number: update.number, after: outputs)
            window.append(
                position, outputs: outputs, contentBytes: update.contentBytes, determinants: determinants, reply: reply)
            debt.add(bytes: update.contentBytes + determinants.count)
            if ownsCurrent { matched = update.number }
            let growth = update.contentBytes + 2 * determinants.count + reply.count
            counted += growth
            return growth
        }
    }

    private final class Tombstone {
        let position: Position
        init(_ position: Position) { self.position = position }
    }

    struct PendingReply {
        var request: RequestID
        var number: SequenceNumber
        var status: UInt16
        var bytes: [UInt8]
    }

    let keys: SessionKeys

    var phase = Phase.waiting
    var hasInstance = false
    var awaiting = Awaiting.nothing
    var recall: RecallProgress?

    var perUpdate = PerUpdate()
    var window: CopyWindow {
        get { perUpdate.window }
        _modify { yield &perUpdate.window }
    }
    var outputs: Digest {
        get { perUpdate.outputs }
        set { perUpdate.outputs = newValue }
    }
    var debt: ReplayDebt {
        get { perUpdate.debt }
        _modify { yield &perUpdate.debt }
    }
    var matched: SequenceNumber {
        get { perUpdate.matched }
        set { perUpdate.matched = newValue }
    }
    var ownsCurrent: Bool {
        get { perUpdate.ownsCurrent }
        set { perUpdate.ownsCurrent = newValue }
    }
    var counted: Int {
        get { perUpdate.counted }
        set { perUpdate.counted = newValue }
    }

    /// The last message received on the route and its seal: what the next run or leaf must follow.
    var received = (number: SequenceNumber.zero, seal: Digest())
    /// Up to where acknowledgements were sent on the route.
    var sent = SequenceNumber.zero
    var queue = UpdateQueue()
    var replies: [PendingReply] = []

    /// A confirmed position of a copy that was dropped: the next history must pass through it.
    var tombstone: Position? {
        get { buried?.position }
        set { buried = newValue.map { Tombstone($0) } }
    }
    private var buried: Tombstone?
    /// Copies dropped as orphans since something was last confirmed.
    var drops = 0

    // The handler's bookkeeping.
    var isReady = false, isDirty = false, isHeldUp = false

    init(
        id: SlotID, identity: SessionIdentity, keys: SessionKeys, kind: Int, incarnation: Incarnation, now: Instant
    ) {
        self.keys = keys
        super.init(id: id, identity: identity, kind: kind, incarnation: incarnation, now: now)
    }

    /// Goes on where a session rested.
    init(waking resting: RestingSession, keys: SessionKeys) {
        self.keys = keys
        super.init(replacing: resting)
        let head = resting.head
        (phase, hasInstance) = (.live, true)
        window = CopyWindow(confirmed: head)
        outputs = resting.outputs
        debt = ReplayDebt(resting.debt)
        counted = resting.countedBytes  // until it is counted anew
        received = (head.number, head.seal)
        (matched, sent) = (head.number, head.number)
    }

    override var working: SessionSlot? { self }
    override var countedBytes: Int { counted }

    /// True if all that it knows is its confirmed head, beside what can be computed.
    var canRest: Bool {
        guard phase == .live, hasInstance, awaiting == .nothing, recall == nil, window.isConfirmed else { return false }
        guard queue.isEmpty, replies.isEmpty, buried == nil, drops == 0 else { return false }
        guard !isReady, !isDirty, !isHeldUp else { return false }
        let head = window.head
        return route == nil
            || (received.number == head.number && received.seal == head.seal && matched == head.number
                && sent == head.number)
    }

    /// True while a recall has nothing to do until its client sends more.
    var isStarved: Bool { phase == .recalling && awaiting == .nothing && recall?.chunks.isEmpty != false }
    var isBusy: Bool { phase != .live || awaiting != .nothing || !queue.isEmpty }
}

/// A recall under way. A class, so that sessions that are not recalled have no room for one.
final class RecallProgress {
    /// What the history is to begin with.
    enum Stage {
        /// Asked for; the start has not come.
        case asked
        /// Segments are coming in.
        case checkpoint(CheckpointAssembly)
        /// Chunks are coming in.
        case messages
    }
    let claim: AttachClaim
    let startedAt: Instant
    /// When the client last sent of its history, or was asked for more.
    var lastProgress: Instant
    var id = RecallID.unasked
    /// True while the copy that is here is to be continued.
    var isGap: Bool
    var triedOlder = false
    var stage = Stage.asked
    var reader: HistoryReader?
    var chunks = Fifo<ArrivedChunk>()
    /// Bytes of the history that came, those of a checkpoint twice.
    var arrivedBytes = 0
    var replayed = 0
    /// Where the history began; a tombstone before it cannot be checked.
    var base = SequenceNumber.zero

    init(_ claim: AttachClaim, isGap: Bool, at now: Instant) {
        (self.claim, self.isGap) = (claim, isGap)
        (startedAt, lastProgress) = (now, now)
    }

    /// True if there is a chunk to deal with whose verification has ended.
    var hasNext: Bool { chunks.first.map { $0.verification == nil } ?? false }

    /// Takes what a verification gave; false if nobody waits for it.
    func verified(_ ticket: UInt64, _ result: Result<VerifiedChunk, HistoryFault>) -> Bool {
        for offset in 0..<chunks.count where chunks.item(at: offset)?.verification?.ticket == ticket {
            chunks.update(at: offset) { $0 = ArrivedChunk(result) }
            return true
        }
        return false
    }

    /// Bytes of the history that are here and not applied, and of what is kept for each of its messages: more than a
    /// small message is.
    var heldBytes: Int {
        var bytes = 0
        for offset in 0..<chunks.count { bytes += chunks.item(at: offset)?.heldBytes ?? 0 }
        if case .checkpoint(let assembly) = stage { bytes += assembly.state.count }
        return bytes
    }
}

/// A checkpoint's plaintext as its segments arrive.
struct CheckpointAssembly {
    let header: CheckpointHeader
    var next: UInt32 = 0
    var state: [UInt8] = []
    var sealedBytes = 0
}
