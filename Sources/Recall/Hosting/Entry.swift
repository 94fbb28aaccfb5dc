public import RecallCore

/// What a server does with one type of message: closures over bytes, made in inlinable witnesses so that they are
/// specialised in the user's module (62 to 77 ns per message; 200 through an override in a generic class, whose vtable
/// is never specialised).
public enum _Entry<State: SessionState>: Sendable {
    /// Content without its number, whether it is a replay, state, context, where reply or rejection go.
    public typealias Update =
        @Sendable (
            RawSpan, Bool, inout State, inout UpdateContext, inout ByteWriter
        ) -> _Verdict
    /// Content without its number, state, where reply or rejection go.
    public typealias Request = @Sendable (RawSpan, State, inout ByteWriter) -> _Verdict

    case update(Update)
    case effect(_EffectEntry<State>)
    case request(Request)
}

/// What a server does with one type of effect.
public struct _EffectEntry<State: SessionState>: Sendable {
    /// Decodes and validates.
    public typealias Begin = @Sendable (RawSpan, borrowing State, inout ByteWriter) -> _Begun<State>
    /// Content, outcome, state, where the reply goes.
    public typealias Replay = @Sendable (RawSpan, RawSpan, inout State, inout ByteWriter) -> _Verdict

    /// The kind whose gateways `perform` uses.
    public let host: ObjectIdentifier
    public let begin: Begin
    public let replay: Replay

    @inlinable
    public init(host: ObjectIdentifier, begin: @escaping Begin, replay: @escaping Replay) {
        self.host = host
        self.begin = begin
        self.replay = replay
    }
}

/// A decoded effect: refused at once, or ready to run.
public enum _Begun<State: SessionState>: Sendable {
    case ended(_Verdict)
    case ready(_Effect<State>)
}

/// An effect on its way, with its message inside.
public struct _Effect<State: SessionState>: Sendable {
    /// State, host, idempotency key.
    public typealias Run = @Sendable (State, any Session, String) async throws(_EffectFailure) -> [UInt8]
    /// Outcome, state, where the reply goes.
    public typealias Finish = @Sendable (RawSpan, inout State, inout ByteWriter) -> _Verdict

    public let run: Run
    public let finish: Finish

    @inlinable
    public init(run: @escaping Run, finish: @escaping Finish) {
        self.run = run
        self.finish = finish
    }
}

extension ContextualUpdateMessage {
    @inlinable
    public static func _entry(_ codec: any Codec) -> _Entry<State> {
        let messages = _message(codec), replies = _reply(codec), rejections = Coder<Rejection>.codable(codec)
        return .update { content, isReplay, state, context, out in
            let message: Self
            do { message = try messages.decode(content) } catch { return .undecodable(error) }
            if !isReplay {
                do throws(Rejection) { try message.validate(against: state) } catch {
                    return .refusal(error, by: rejections, into: &out)
                }
            }
            let reply = message.update(&state, in: &context)
            do { try replies.encode(reply, &out) } catch { return .brokenReply(error) }
            return state.isConsistent ? .applied : .inconsistent
        }
    }
}

extension EffectMessage {
    @inlinable
    public static func _entry(_ codec: any Codec) -> _Entry<State> {
        let messages = _message(codec), replies = _reply(codec), rejections = Coder<Rejection>.codable(codec)
        let outcomes = Coder<Outcome>.codable(codec)
        return .effect(
            _EffectEntry(
                host: ObjectIdentifier(Host.self),
                begin: { content, state, out in
                    let message: Self
                    do { message = try messages.decode(content) } catch { return .ended(.undecodable(error)) }
                    do throws(Rejection) { try message.validate(against: state) } catch {
                        return .ended(.refusal(error, by: rejections, into: &out))
                    }
                    return .ready(
                        _Effect(
                            run: { state, host, key async throws(_EffectFailure) in
                                try await message._run(on: state, host, key, outcomes, rejections)
                            },
                            finish: { message._finish($0, &$1, &$2, outcomes, replies) }))
                },
                replay: { content, outcome, state, out in
                    let message: Self
                    do { message = try messages.decode(content) } catch { return .undecodable(error) }
                    return message._finish(outcome, &state, &out, outcomes, replies)
                }))
    }

    /// The first half, from state to the outcome's bytes.
    @inlinable
    func _run(
        on state: State, _ host: any Session, _ key: String, _ outcomes: Coder<Outcome>, _ rejections: Coder<Rejection>
    ) async throws(_EffectFailure) -> [UInt8] {
        guard let host = host as? Host else { throw .failed("the effect is made for another kind") }
        var bytes = ByteWriter()
        do {
            let context = EffectContext(host: host, idempotencyKey: key)
            try outcomes.encode(try await perform(on: state, in: context), &bytes)
        } catch {
            throw _EffectFailure(error, by: rejections)
        }
        return bytes.bytes
    }

    /// The second half, from the outcome's bytes to the reply's.
    @inlinable
    func _finish(
        _ bytes: RawSpan, _ state: inout State, _ out: inout ByteWriter, _ outcomes: Coder<Outcome>,
        _ replies: Coder<Reply>
    ) -> _Verdict {
        let outcome: Outcome
        do { outcome = try outcomes.decode(bytes) } catch { return .badOutcome(error) }
        let reply = update(&state, outcome: outcome)
        do { try replies.encode(reply, &out) } catch { return .brokenReply(error) }
        return state.isConsistent ? .applied : .inconsistent
    }
}

extension _EffectFailure {
    @usableFromInline
    init<R: Error & Codable>(_ error: any Error, by rejections: Coder<R>) {
        guard let rejection = error as? R else {
            self = .failed(described(error))
            return
        }
        var bytes = ByteWriter()
        do {
            try rejections.encode(rejection, &bytes)
            self = .rejected(bytes.bytes)
        } catch {
            self = .failed("the rejection does not encode: \(described(error))")
        }
    }
}

extension RequestMessage {
    @inlinable
    public static func _entry(_ codec: any Codec) -> _Entry<State> {
        let messages = _message(codec), replies = _reply(codec), rejections = Coder<Rejection>.codable(codec)
        return .request { content, state, out in
            let message: Self
            do { message = try messages.decode(content) } catch { return .undecodable(error) }
            let reply: Reply
            do throws(Rejection) { reply = try message.reply(from: state) } catch {
                return .refusal(error, by: rejections, into: &out)
            }
            do { try replies.encode(reply, &out) } catch { return .unencodable(reply: error) }
            return .replied
        }
    }
}
