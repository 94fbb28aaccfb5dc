public import RecallCore

/// The instance behind `_Hosted`. What runs for every message is in `_host()`, where it is specialised for the kind;
/// the rest is overridden here.
@usableFromInline
final class Box<S: Session>: _Hosted {
    /// What all instances share. Apart, and so is what an effect needs: there may be a million instances.
    @usableFromInline
    final class Shared: _HostedCode {
        let host: S
        @usableFromInline let entries: [_Entry<S.State>?]

        @usableFromInline
        init(_ host: S, apply: @escaping Apply, request: @escaping Request) {
            self.host = host
            let kind = S.kind
            entries = kind.entries
            super.init(limits: kind.limits, apply: apply, request: request)
        }
    }

    /// An effect from the verdict that announces it to its end.
    @usableFromInline
    final class Effort {
        let effect: _Effect<S.State>
        var loan: Loan<S.State>?
        var task: Task<Void, Never>?
        @usableFromInline init(_ effect: _Effect<S.State>) { self.effect = effect }
    }

    @usableFromInline let shared: Shared
    /// Nil exactly while it is lent.
    @usableFromInline var state: S.State?
    @usableFromInline var effort: Effort?

    @usableFromInline
    init(_ shared: Shared) {
        self.shared = shared
        state = S.State()
        super.init()
    }

    @usableFromInline override var code: _HostedCode { shared }
    override package func fresh() -> _Hosted { Box(shared) }

    /// In one access to the state, and in place: taken out into a variable it would be copied at its first write.
    @inlinable
    static func run(
        _ update: _Entry<S.State>.Update, _ content: RawSpan, _ isReplay: Bool, _ state: inout S.State?,
        _ context: inout UpdateContext, _ reply: inout ByteWriter
    ) -> _Verdict {
        guard state != nil else { return .busy }
        return update(content, isReplay, &state!, &context, &reply)
    }

    override package var hasEffect: Bool { effort != nil }
    override package var isConsistent: Bool { readable?.isConsistent ?? false }

    /// The state, wherever it is.
    @usableFromInline var readable: S.State? { state ?? effort?.loan?.read() }

    override package func replayEffect(
        content: RawSpan, outcome: RawSpan, context: inout UpdateContext, reply: inout ByteWriter
    ) -> _Verdict {
        guard effort == nil, state != nil else { return .busy }
        let start = reply.bytes.count
        guard content.byteCount > 0, case .effect(let entry)? = shared.entries[Int(content.number)] else {
            return .failed(.diverged, "an outcome is recorded for a message that is no effect")
        }
        let verdict = entry.replay(content.extracting(droppingFirst: 1), outcome, &state!, &reply)
        if verdict != .applied { reply.cut(to: start) }
        return verdict
    }

    override package func launchEffect(
        key: String, executor: (any TaskExecutor)? = nil,
        done: @escaping @Sendable (Result<[UInt8], _EffectFailure>) -> Void
    ) {
        guard let effort, let state = state.take() else {
            return done(.failure(.failed("no effect is waiting to be launched")))
        }
        let loan = Loan(state), host = shared.host, run = effort.effect.run
        let limit = min(shared.replyBytes, SessionLimits.maximumOutcomeBytes)
        effort.loan = loan
        // Captures Sendable values only, and not the box. `Box<S>` and not `Self`, whose capture the isolation checker
        // of Swift 6.3.1 does not understand.
        effort.task = Task(executorPreference: executor) { await Box<S>.perform(run, on: loan, host, key, limit, done) }
    }

    /// `@concurrent`: a plain asynchronous function would run wherever its caller does, and a busy effect there blocks
    /// the loop.
    @concurrent
    private static func perform(
        _ run: @escaping _Effect<S.State>.Run, on loan: Loan<S.State>, _ host: S, _ key: String, _ limit: Int,
        _ done: @Sendable (Result<[UInt8], _EffectFailure>) -> Void
    ) async {
        done(await outcome(of: run, on: loan, host, key, limit))
    }

    /// A function of its own, so that nothing here holds the lent state any more when `done` is called.
    private static func outcome(
        of run: _Effect<S.State>.Run, on loan: Loan<S.State>, _ host: S, _ key: String, _ limit: Int
    ) async -> Result<[UInt8], _EffectFailure> {
        guard let state = loan.read() else { return .failure(.failed("the session was deleted")) }
        do throws(_EffectFailure) {
            let bytes = try await run(state, host, key)
            if bytes.count <= limit { return .success(bytes) }
            return .failure(.failed("the outcome takes \(bytes.count) bytes; the limit is \(limit)"))
        } catch {
            return .failure(error)
        }
    }

    override package func finishEffect(outcome: RawSpan, reply: inout ByteWriter) -> _Verdict {
        guard let finish = effort?.effect.finish else { return .broken("no effect is to be finished") }
        abandonEffect()
        guard state != nil else { return .broken("the lent state is gone") }
        let start = reply.bytes.count
        return Self.settle(finish(outcome, &state!, &reply), from: start, &reply, limit: shared.replyBytes)
    }

    override package func abandonEffect() {
        effort?.task?.cancel()  // it may have ended
        if let loan = effort?.loan { state = loan.takeBack() }
        effort = nil
    }

    override package func encodeState(into writer: inout ByteWriter) throws(RecallError) {
        guard let state = readable else { throw RecallError(.badCheckpoint, "the state is lent out") }
        let start = writer.bytes.count
        do { try Coder<S.State>.codable(S.kind.codec).encode(state, &writer) } catch {
            writer.cut(to: start)
            throw RecallError(.badCheckpoint, "the state does not encode", cause: error)
        }
    }

    override package func restoreState(_ bytes: RawSpan) throws(RecallError) {
        let restored: S.State
        do { restored = try Coder<S.State>.codable(S.kind.codec).decode(bytes) } catch {
            throw RecallError(.badCheckpoint, "the state does not decode", cause: error)
        }
        abandonEffect()
        state = restored
    }
}

extension Session {
    @inlinable
    public func _host() -> _Hosted {
        let shared = Box<Self>.Shared(
            self,
            apply: { hosted, content, isReplay, context, reply in
                guard let box = hosted as? Box<Self> else { return .broken("the instance is of another kind") }
                guard content.byteCount > 0 else { return .unnumbered }
                guard box.effort == nil else { return .busy }
                switch box.shared.entries[Int(content.number)] {
                case .update(let update)?:
                    return Box<Self>.run(
                        update, content.extracting(droppingFirst: 1), isReplay, &box.state, &context, &reply)
                case .effect(let entry)?:
                    if isReplay { return .missingOutcome }
                    guard box.state != nil else { return .busy }
                    switch entry.begin(content.extracting(droppingFirst: 1), box.state!, &reply) {
                    case .ended(let verdict): return verdict
                    case .ready(let effect):
                        box.effort = Box<Self>.Effort(effect)
                        return .effect
                    }
                case .request?: return .request(content.number)
                case nil: return .unknown(content.number)
                }
            },
            request: { hosted, content, reply in
                guard let box = hosted as? Box<Self> else { return .broken("the instance is of another kind") }
                guard content.byteCount > 0 else { return .unnumbered }
                guard let state = box.state ?? box.readable else { return .busy }
                switch box.shared.entries[Int(content.number)] {
                case .request(let request)?: return request(content.extracting(droppingFirst: 1), state, &reply)
                case .update?, .effect?: return .noRequest(content.number)
                case nil: return .unknown(content.number)
                }
            })
        return Box<Self>(shared)
    }
}

extension RawSpan {
    /// The message's number. The span must not be empty.
    @inlinable var number: UInt8 { unsafeLoad(as: UInt8.self) }  // Sound: bounds-checked, and any byte is a UInt8.
}

extension _Verdict {
    @usableFromInline static var busy: Self { .broken("an effect is under way") }
    @usableFromInline static var unnumbered: Self { .failed(.unknownMessage, "the message is empty") }
    @usableFromInline static var missingOutcome: Self {
        .failed(.diverged, "no outcome is recorded for a message that is an effect")
    }

    @usableFromInline static func unknown(_ number: UInt8) -> Self {
        .failed(.unknownMessage, "the kind lists no message \(number)")
    }

    @usableFromInline static func request(_ number: UInt8) -> Self {
        .failed(.unknownMessage, "message \(number) is a request, and was sent as an update")
    }

    @usableFromInline static func noRequest(_ number: UInt8) -> Self {
        .failed(.unknownMessage, "message \(number) is an update, and was sent as a request")
    }
}
