internal import HeapModule
internal import Logging
internal import NIOCore
internal import Recall
internal import RecallCore

/// The user's sessions, clocks and randomness for one handler machine; and the failure detectors that watch.
final class LoopHost: SessionHost {
    /// One instance of each kind, of which the others are made.
    private let prototypes: [_Hosted]
    private let detection: FailureDetection
    private let clock: @Sendable () -> WallTime
    private let environment: ContextEnvironment
    private let logger: Logger
    private let marks: PoisonMarks
    private let cryptography: Cryptography
    private let hangs: HangWatch?
    private let verificationBytes: Int
    /// Bytes of chunks that are being verified elsewhere, those of recalls that are over included; beyond the maximum
    /// the loop verifies itself, which slows down those who send.
    private var bytesOutside = 0
    private static let maximumBytesOutside = 32 << 20
    private var gate = EffectGate()
    private var instances: [HostedInstance?] = []
    /// How many of their detectors want signs of life.
    private var listeners = 0
    private var checks = Heap<Check>()
    private var failed: [(SlotID, Incarnation)] = []
    private let eventLoop: any EventLoop
    /// The clock's last reading.
    private var lastInstant = Instant(nanoseconds: 0)
    private let surroundings: Surroundings
    private let onMoment: (@Sendable (HandlerMoment) -> Void)?
    var statistics = HandlerStatistics()
    /// Starts an instance's effect and sees to it that its end is heard.
    var launch: (_Hosted, String, SlotID, Incarnation) -> Void = { _, _, _, _ in }
    /// Verifies a chunk of a history elsewhere.
    var launchVerification: (ChunkVerification) -> Void = { _ in }

    /// When a detector wants to be asked next; one for each session.
    private struct Check: Comparable {
        let time: Instant
        let slot: SlotID
        let incarnation: Incarnation

        static func < (a: Self, b: Self) -> Bool { a.time < b.time }
        static func == (a: Self, b: Self) -> Bool { a.time == b.time }
    }

    init(_ handler: SessionHandler, on eventLoop: any EventLoop, logger: Logger) throws(RecallError) {
        prototypes = handler.hosts.map { $0.hosted() }
        detection = handler.configuration.detection
        clock = handler.configuration.clock ?? LoopClock.wallTime
        environment = ContextEnvironment(cryptography: handler.cryptography, clock: clock)
        (self.eventLoop, self.logger) = (eventLoop, logger)
        (surroundings, onMoment) = (handler.configuration.surroundings, handler.configuration.onMoment)
        cryptography = handler.cryptography
        verificationBytes = handler.configuration.verificationBytes
        hangs = handler.configuration.hangLimit.map { HangWatch(limit: $0, logger: logger) }
        marks = try PoisonMarks(path: handler.configuration.poisonFile, deaths: handler.configuration.poisonDeaths)
        for suspect in marks.suspects {
            logger.warning(
                "the process died while a message was being dealt with",
                metadata: [
                    "session": "\(suspect.session)", "update": "\(suspect.number)", "deaths": "\(suspect.allDeaths)",
                ])
        }
    }

    /// Nothing is hosted any more: effects that are out are told, and no death is laid to them.
    func stop() {
        for instance in instances { instance?.hosted.abandonEffect() }
        marks.end()
    }

    // MARK: Instances

    func create(_ slot: SlotID, _ incarnation: Incarnation, session: SessionID, kind: Int) {
        while instances.count <= slot.index { instances.append(nil) }
        let now = instant()
        let instance = HostedInstance(
            prototypes[kind].fresh(), incarnation, detector: detection.detector(for: session, at: now))
        instances[slot.index] = instance
        if instance.observesHeard { listeners += 1 }
        schedule(slot, instance, after: now)
    }

    func destroy(_ slot: SlotID) {
        // An effect that is out is told that nobody waits for it, and others need not wait for it either. Its mark
        // stays until it has really ended: a death before that may be its doing.
        if let instance = instances[slot.index] {
            instance.hosted.abandonEffect()
            marks.effectOutlives(instance.incarnation)
            if instance.observesHeard { listeners -= 1 }
        }
        instances[slot.index] = nil
        gate.returned(slot)
        startEffects()
    }

    func restore(_ slot: SlotID, state: [UInt8]) -> Bool {
        guard let hosted = instances[slot.index]?.hosted else { return false }
        hangs?.begin()
        defer { hangs?.end() }
        do {
            try hosted.restoreState(state.span.bytes)
        } catch {
            logger.warning("a checkpoint does not decode", metadata: ["error": "\(error)"])
            return false
        }
        observe(slot, .measured(byteCount: state.count))
        return hosted.isConsistent
    }

    func encode(_ slot: SlotID) -> [UInt8]? {
        guard let hosted = instances[slot.index]?.hosted else { return nil }
        hangs?.begin()
        defer { hangs?.end() }
        var writer = ByteWriter()
        do {
            try hosted.encodeState(into: &writer)
        } catch {
            logger.error("a state does not encode, so no checkpoint is offered", metadata: ["error": "\(error)"])
            return nil
        }
        observe(slot, .measured(byteCount: writer.bytes.count))
        return writer.bytes
    }

    /// The encoded state, for whoever looks at it without using it.
    func peek(_ slot: SlotID) -> [UInt8]? {
        var writer = ByteWriter()
        try? instances[slot.index]?.hosted.encodeState(into: &writer)
        return writer.bytes.isEmpty ? nil : writer.bytes
    }

    func verify(_ verification: ChunkVerification) -> Bool {
        guard verification.byteCount >= verificationBytes, bytesOutside < Self.maximumBytesOutside else { return false }
        bytesOutside += verification.byteCount
        launchVerification(verification)
        return true
    }

    func verificationEnded(_ verification: ChunkVerification) { bytesOutside -= verification.byteCount }

    // MARK: Messages

    func apply(_ call: UpdateCall, content: RawSpan, reply: inout ByteWriter) -> UpdateVerdict {
        guard let instance = instances[call.slot.index] else {
            return .broken(Array("the session has no instance".utf8))
        }
        let hosted = instance.hosted
        let isIdle = marks.areIdle
        let isMarked = !isIdle || hangs != nil
        if isMarked { begin(call.session, call.number, call.seal) }
        onMoment?(.willApply(call.session, call.number, isReplay: call.recorded != nil))
        defer {
            onMoment?(.didApply(call.session, call.number, isReplay: call.recorded != nil))
            if isMarked { end() }
        }
        guard let recorded = call.recorded else {
            statistics.updates += 1
            var context = UpdateContext(environment: environment, keys: call.keys, number: call.number)
            // The clock was read a moment ago, when the update before this one ended or the session's turn began.
            observe(call.slot, instance, .began(call.number), at: lastInstant)
            let verdict = hosted.apply(content: content, replaying: false, context: &context, reply: &reply)
            if verdict == .effect { instance.performing = Performing(call) }
            // An effect begins anew when it goes out: what it waits for till then is no fault of this session.
            observe(call.slot, instance, .completed(call.number), at: instant())
            return judge(call, verdict, context.clockReading, isIdle: isIdle)
        }
        var context = UpdateContext(
            environment: environment, keys: call.keys, number: call.number, replaying: recorded.clock)
        let verdict =
            if case .outcome(let outcome) = recorded.ending {
                hosted.replayEffect(content: content, outcome: outcome.span.bytes, context: &context, reply: &reply)
            } else {
                hosted.apply(content: content, replaying: true, context: &context, reply: &reply)
            }
        return judge(call, verdict, context.clockReading, isIdle: isIdle)
    }

    private func begin(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        marks.updateBegins(session, number, seal)
        hangs?.begin()
    }

    private func end() {
        hangs?.end()
        marks.updateEnded()
    }

    private func judge(_ call: UpdateCall, _ verdict: _Verdict, _ clock: WallTime?, isIdle: Bool) -> UpdateVerdict {
        let judgement = judge(verdict, clock, call.slot)
        if isIdle { return judgement }
        switch judgement {
        case .applied, .refused, .failed: marks.survived(call.session, call.number, call.seal)
        case .effect, .broken, .pending: break
        }
        return judgement
    }

    private func judge(_ verdict: _Verdict, _ clock: WallTime?, _ slot: SlotID) -> UpdateVerdict {
        switch verdict {
        case .applied: return .applied(clock: clock)
        case .refused: return .refused
        case .failed(let code, let text): return .failed(code, Array(text.utf8))
        case .effect: return .effect
        case .replied: return .broken(Array("an update was answered as a request".utf8))
        case .broken(let text):
            logger.error("an update broke its session", metadata: ["reason": "\(text)"])
            observe(slot, .inconsistent(text))
            return .broken(Array(text.utf8))
        }
    }

    func request(
        _ slot: SlotID, of session: SessionID, content: RawSpan, reply: inout ByteWriter
    ) -> RequestVerdict {
        guard let instance = instances[slot.index] else { return .failed(.inconsistent, []) }
        // Its client sends a request again when the server has died of it; so it is given up like an update.
        let name = marks.areKept ? cryptography.sha256(content, RawSpan()) : Digest()
        guard !marks.isPoisoned(session, .zero, name, isReplay: false) else {
            return .failed(.poisonedMessage, Array("the request killed the server several times".utf8))
        }
        begin(session, .zero, name)
        defer {
            end()
            marks.survived(session, .zero, name)
        }
        switch instance.hosted.request(content: content, reply: &reply) {
        case .replied: return .replied
        case .refused: return .refused
        case .failed(let code, let text): return .failed(code, Array(text.utf8))
        case .broken(let text): return .failed(.inconsistent, Array(text.utf8))
        case .applied, .effect: return .failed(.inconsistent, [])
        }
    }

    // MARK: Effects

    func perform(_ slot: SlotID, _ incarnation: Incarnation, idempotencyKey: Digest) {
        guard let instance = instances[slot.index], let performing = instance.performing else { return }
        gate.add(
            .init(
                slot: slot, incarnation: incarnation, idempotencyKey: idempotencyKey.description,
                isSuspect: marks.isSuspect(performing.session, performing.number, performing.seal)))
        startEffects()
    }

    private func startEffects() {
        while let effect = gate.next({
            instances[$0.slot.index]?.incarnation == $0.incarnation && instances[$0.slot.index]?.performing != nil
        }) {
            guard let instance = instances[effect.slot.index], let performing = instance.performing else { continue }
            marks.effectBegins(effect.incarnation, performing.session, performing.number, performing.seal)
            observe(effect.slot, .began(performing.number))
            onMoment?(.effectStarts(performing.session, performing.number))
            launch(instance.hosted, effect.idempotencyKey, effect.slot, effect.incarnation)
        }
    }

    /// The async half is through, however it ended.
    func effectReturned(_ slot: SlotID, _ incarnation: Incarnation) {
        marks.effectEnded(incarnation)
        guard slot.index < instances.count, let instance = instances[slot.index], instance.incarnation == incarnation,
            let performing = instance.performing
        else { return }
        gate.returned(slot)
        observe(slot, .completed(performing.number))
    }

    /// And what it brought was applied, or given up; if that broke the copy, the instance is gone.
    func effectSettled(_ slot: SlotID, _ incarnation: Incarnation) {
        if slot.index < instances.count, let instance = instances[slot.index], instance.incarnation == incarnation {
            if let update = instance.performing { marks.survived(update.session, update.number, update.seal) }
            instance.performing = nil
        }
        startEffects()
    }

    func finish(_ slot: SlotID, outcome: RawSpan, reply: inout ByteWriter) -> UpdateVerdict {
        guard let instance = instances[slot.index], let performing = instance.performing else {
            return .broken(Array("the session has no instance with an effect".utf8))
        }
        begin(performing.session, performing.number, performing.seal)
        onMoment?(.effectReturned(performing.session, performing.number))
        defer { end() }
        return judge(instance.hosted.finishEffect(outcome: outcome, reply: &reply), nil, slot)
    }

    func abandon(_ slot: SlotID) { instances[slot.index]?.hosted.abandonEffect() }

    // MARK: Poison

    var hasSuspects: Bool { marks.hasSuspects }

    func isPoisoned(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest, isReplay: Bool) -> Bool {
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.poisonForgotten) { return false }
        #endif
        return marks.isPoisoned(session, number, seal, isReplay: isReplay)
    }

    func suspect(_ session: SessionID, _ number: SequenceNumber, _ seal: Digest) {
        marks.died(session, number, seal)
    }

    // MARK: Detectors

    func observe(_ slot: SlotID, of session: SessionID, _ event: HostEvent) {
        switch event {
        case .recalled(let messages, let nanoseconds):
            statistics.recalls += 1
            note(slot, .recallEnded(session, messages: messages))
            statistics.messagesReplayed += messages
            logger.debug(
                "session recalled",
                metadata: [
                    "session": "\(session)", "messages": "\(messages)",
                    "milliseconds": "\(nanoseconds / 1_000_000)",
                ])
        case .recallStarted: note(slot, .recallStarts(session))
        case .refused(let code):
            statistics.refusals += 1
            note(slot, .refused(session, code))
            logger.info("session refused", metadata: ["session": "\(session)", "code": "\(code)"])
        case .checkpointKept:
            statistics.checkpoints += 1
            note(slot, .checkpointKept(session))
        case .superseded: break
        }
    }

    func heard(_ slot: SlotID) { if observesHeard { observe(slot, .heard) } }
    var observesHeard: Bool { listeners > 0 }

    private func note(_ slot: SlotID, _ moment: HandlerMoment) {
        if slot.index < instances.count, instances[slot.index] != nil { onMoment?(moment) }
    }

    private func observe(_ slot: SlotID, _ event: SessionEvent) {
        guard slot.index < instances.count, let instance = instances[slot.index] else { return }
        observe(slot, instance, event, at: instant())
    }

    private func observe(_ slot: SlotID, _ instance: HostedInstance, _ event: SessionEvent, at now: Instant) {
        if event.kind == .heard, !instance.observesHeard { return }
        if instance.observe(event, at: now) { failed.append((slot, instance.incarnation)) }
        // A detector that wanted never to be asked may have changed its mind; one that is asked later than it now wants
        // to be is asked at every event too.
        if !instance.isCheckDue { schedule(slot, instance, after: now) }
    }

    private func schedule(_ slot: SlotID, _ instance: HostedInstance, after now: Instant) {
        guard let time = instance.nextCheck(after: now) else { return }
        instance.isCheckDue = true
        checks.insert(
            Check(
                time: max(time, now.advanced(byNanoseconds: 1_000_000)), slot: slot, incarnation: instance.incarnation))
    }

    /// Asks the detectors whose time has come.
    func check(at now: Instant) {
        var left = 100_000
        while left > 0, let check = checks.min, check.time <= now {
            left -= 1
            checks.removeMin()
            guard let instance = instances[check.slot.index], instance.incarnation == check.incarnation else {
                continue
            }
            instance.isCheckDue = false
            if instance.hasFailed(at: now) {
                failed.append((check.slot, check.incarnation))
            } else {
                schedule(check.slot, instance, after: now)
            }
        }
    }

    /// A session that a detector gave up is about to be deleted.
    func detected(_ session: SessionID, _ slot: SlotID) { note(slot, .detected(session)) }

    /// The sessions that a detector gave up since the last time.
    func takeFailed() -> [(SlotID, Incarnation)] {
        guard !failed.isEmpty else { return [] }
        defer { failed = [] }
        statistics.detected += failed.count
        return failed
    }

    // MARK: Time and randomness

    func instant() -> Instant {
        lastInstant = Instant(nanoseconds: Int64(clamping: eventLoop.now.uptimeNanoseconds))
        return lastInstant
    }
    func wallTime() -> WallTime { clock() }

    func randomBytes(_ count: Int) -> [UInt8] {
        var generator = surroundings.generator
        return (0..<count).map { _ in generator.next() }
    }
}

extension EffectResult {
    init(_ result: Result<[UInt8], _EffectFailure>) {
        self =
            switch result {
            case .success(let bytes): .outcome(bytes)
            case .failure(.rejected(let bytes)): .refused(bytes)
            case .failure(.failed(let text)): .failed(.effectFailed, Array(text.utf8))
            }
    }
}
