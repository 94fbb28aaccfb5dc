package import RecallCore

/// The user's code and the world around it, for one server: what it takes from outside is drawn anew by every server,
/// so that a history that was lost shows.
package final class CoreHost: SessionHost {
    /// An effect's async half that runs, or whose copy is gone while it still runs.
    package struct RunningEffect {
        package let slot: SlotID
        package let incarnation: Incarnation
        package let session: SessionID
        package let key: Digest
        package let message: CoreMessage
        /// The state on which it runs.
        package let state: CoreState
    }

    private struct Instance {
        let incarnation: Incarnation
        let session: SessionID
        var state = CoreState()
        var held: CoreMessage?
    }

    /// An update that the host applies in its own time.
    private struct Pending {
        let call: UpdateCall
        let message: CoreMessage
    }

    private var instances: [SlotID: Instance] = [:]
    private var pending: [Pending] = []
    private let drawsFrom: Int64
    private var draws: Int64 = 0
    private var nonces: UInt64 = 0
    private var suspects: [Digest: Int] = [:]

    /// What runs, oldest first.
    package private(set) var effects: [RunningEffect] = []
    package private(set) var events: [HostEvent] = []
    package private(set) var applied = 0
    /// Times that a state was to be encoded.
    package private(set) var encodings = 0
    /// Nanoseconds; the harness moves it.
    package var now: Int64 = 0
    /// Copies that an update must break before it is refused as poisoned.
    package var poisonDeaths = 2
    /// Chunks of history are verified when the harness says so.
    package var verifiesLater = false
    private var verifications: [ChunkVerification] = []
    /// Changed code: replies differ from those of the first run.
    package var answersOtherwise = false
    /// Checkpoints do not decode.
    package var refusesCheckpoints = false
    /// Bytes that a rejection has beyond its text.
    package var rejectionBytes = 0
    /// States do not encode.
    package var encodesNothing = false
    /// Called when an effect starts.
    package var onPerform: (RunningEffect) -> Void = { _ in }

    /// - Parameter identity: tells this server's draws from those of others.
    package init(identity: Int, draws: Int64 = 0) {
        drawsFrom = Int64(identity) * 1000
        self.draws = draws
    }

    package var drawCount: Int64 { draws }

    /// Something that no other server and no other time gives.
    package func draw() -> Int64 {
        draws += 1
        return drawsFrom + draws
    }

    package func state(_ slot: SlotID) -> CoreState? { instances[slot]?.state }

    // MARK: Instances

    package func create(_ slot: SlotID, _ incarnation: Incarnation, session: SessionID, kind: Int) {
        precondition(instances[slot] == nil, "a copy was made where one was")
        instances[slot] = Instance(incarnation: incarnation, session: session)
    }

    package func destroy(_ slot: SlotID) {
        precondition(instances[slot] != nil, "a copy was destroyed that was not there")
        instances[slot] = nil
        pending.removeAll { $0.call.slot == slot }
    }

    package func restore(_ slot: SlotID, state: [UInt8]) -> Bool {
        guard !refusesCheckpoints, let restored = CoreState(encoded: state) else { return false }
        instances[slot]?.state = restored
        return true
    }

    package func encode(_ slot: SlotID) -> [UInt8]? {
        encodings += 1
        return encodesNothing ? nil : instances[slot]?.state.encoded
    }

    package func verify(_ verification: ChunkVerification) -> Bool {
        if verifiesLater { verifications.append(verification) }
        return verifiesLater
    }

    /// The newest verification that has not ended; others end before older ones so.
    func takeVerification() -> ChunkVerification? { verifications.popLast() }

    // MARK: Messages

    package func apply(_ call: UpdateCall, content: RawSpan, reply: inout ByteWriter) -> UpdateVerdict {
        applied += 1
        let message = CoreMessage(content)
        precondition(instances[call.slot]?.incarnation == call.incarnation, "an update for a copy that is gone")
        if message.has("~") {
            pending.append(Pending(call: call, message: message))
            return .pending
        }
        return apply(call, message, &reply)
    }

    private func apply(_ call: UpdateCall, _ message: CoreMessage, _ reply: inout ByteWriter) -> UpdateVerdict {
        let isReplay = call.recorded != nil
        if message.has("*"), !isReplay { return .broken(Array("the message breaks the state".utf8)) }
        if !isReplay {
            if message.has("%") { return .failed(.unknownMessage, Array("no such message".utf8)) }
            if message.has("-") {
                reply.append(Array("refused \(draw())".utf8).span.bytes)
                reply.append([UInt8](repeating: 32, count: rejectionBytes).span.bytes)
                return .refused
            }
        }
        if message.has("!") {
            guard case .outcome(let outcome)? = call.recorded?.ending else {
                instances[call.slot]?.held = message
                return .effect
            }
            return change(call.slot, message, Determinants(clock: nil, ending: .outcome(outcome)), &reply)
        }
        let clock = message.has("@") ? (isReplay ? call.recorded?.clock : WallTime(nanoseconds: draw())) : nil
        return change(call.slot, message, Determinants(clock: clock), &reply)
    }

    private func change(
        _ slot: SlotID, _ message: CoreMessage, _ recorded: Determinants, _ reply: inout ByteWriter
    ) -> UpdateVerdict {
        guard var instance = instances[slot], let item = message.item(recorded) else { return .broken([]) }
        instance.state.items.append(item)
        instances[slot] = instance
        if message.has("+") { answer(instance.state, &reply) }
        return .applied(clock: recorded.clock)
    }

    private func answer(_ state: CoreState, _ reply: inout ByteWriter) {
        reply.append(Array((state.description + (answersOtherwise ? "?" : "")).utf8).span.bytes)
    }

    package func request(
        _ slot: SlotID, of session: SessionID, content: RawSpan, reply: inout ByteWriter
    ) -> RequestVerdict {
        guard let instance = instances[slot] else { return .failed(.inconsistent, []) }
        guard CoreMessage(content).name != "no" else {
            reply.append(Array("refused".utf8).span.bytes)
            return .refused
        }
        answer(instance.state, &reply)
        return .replied
    }

    /// Ends the oldest update that was announced as pending; nil if there is none.
    package func takePending() -> (slot: SlotID, incarnation: Incarnation, verdict: UpdateVerdict, reply: [UInt8])? {
        guard !pending.isEmpty else { return nil }
        let next = pending.removeFirst()
        var reply = ByteWriter()
        let verdict = apply(next.call, next.message, &reply)
        return (next.call.slot, next.call.incarnation, verdict, reply.bytes)
    }

    // MARK: Effects

    package func perform(_ slot: SlotID, _ incarnation: Incarnation, idempotencyKey: Digest) {
        guard let instance = instances[slot], let message = instance.held else { return }
        let effect = RunningEffect(
            slot: slot, incarnation: incarnation, session: instance.session, key: idempotencyKey, message: message,
            state: instance.state)
        effects.append(effect)
        onPerform(effect)
    }

    package func finish(_ slot: SlotID, outcome: RawSpan, reply: inout ByteWriter) -> UpdateVerdict {
        guard let message = instances[slot]?.held else { return .broken(Array("no effect is held".utf8)) }
        instances[slot]?.held = nil
        return change(slot, message, Determinants(clock: nil, ending: .outcome(outcome.array)), &reply)
    }

    package func abandon(_ slot: SlotID) { instances[slot]?.held = nil }

    /// Takes the effect whose end is to be reported.
    package func takeEffect(_ index: Int) -> RunningEffect? {
        effects.indices.contains(index) ? effects.remove(at: index) : nil
    }

    // MARK: Around

    package var hasSuspects: Bool { !suspects.isEmpty }

    package func isPoisoned(
        _ session: SessionID, _ number: SequenceNumber, _ seal: Digest, isReplay: Bool
    ) -> Bool {
        suspects[seal, default: 0] >= poisonDeaths
    }

    package func suspect(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        suspects[seal, default: 0] += 1
    }

    package func observe(_ slot: SlotID, of session: SessionID, _ event: HostEvent) { events.append(event) }
    package func heard(_ slot: SlotID) {}
    package var observesHeard: Bool { true }

    package func wallTime() -> WallTime { WallTime(nanoseconds: 1_000_000_000 + now) }
    package func instant() -> Instant { Instant(nanoseconds: now) }

    /// Not random: the same run gives the same bytes.
    package func randomBytes(_ count: Int) -> [UInt8] {
        nonces += 1
        var generator = SeededGenerator(seed: UInt64(bitPattern: drawsFrom) << 32 | nonces)
        return (0..<count).map { _ in generator.next() }
    }
}
