public import RecallCore

/// One hosted copy of a session, its types erased: bytes in, bytes and a verdict out. Confined to one thread, not
/// `Sendable`. No bytes whatever make it trap, unless the user's own code does.
///
/// The life of an effect: `apply` says `.effect`; `launchEffect` lends the state to a task; when that has called
/// `done`, exactly one of `finishEffect` and `abandonEffect` takes the state back. Between `.effect` and the end of it
/// the state can be read (`request`, `encodeState`, `isConsistent`) but not changed: `apply` answers `.broken`. The
/// handle may be dropped at any time; a task under way then runs to its end, keeps the lent state as long, and calls
/// `done` for nobody.
///
/// Synchronous on purpose: most updates take less time than one suspension. Where an application has to be
/// asynchronous, also in a replay (the calls of a distributed actor), `apply` would answer a further verdict,
/// `.pending`, and the end would arrive as an event as it does for effects: the loan, `done` and `finishEffect` are
/// that mechanism already, with the changed state handed back through the loan in place of an outcome's bytes. The
/// caller has to queue the session's later messages in both cases, and already does.
public class _Hosted {
    @usableFromInline init() {}

    /// What all instances of its kind share.
    @usableFromInline var code: _HostedCode { .none }

    /// Another instance of the same kind, in its initial state.
    package func fresh() -> _Hosted { _Hosted() }

    /// Applies an update: a number, then the message's bytes. A live update and a replayed one take the same way, but
    /// only the live one is validated and held to the kind's limits: a replay never asks again.
    ///
    /// After any verdict but `.applied` and `.refused` nothing is written to `reply`.
    package final func apply(
        content: RawSpan, replaying: Bool, context: inout UpdateContext, reply: inout ByteWriter
    ) -> _Verdict {
        let start = reply.bytes.count
        let code = code
        let limit = replaying ? Int.max : code.messageBytes
        guard content.byteCount - 1 <= limit else { return Self.tooLong(content, limit) }
        let verdict = code.apply(self, content, replaying, &context, &reply)
        return Self.settle(verdict, from: start, &reply, limit: replaying ? .max : code.replyBytes)
    }

    /// Answers a request: a number, then the message's bytes. `.replied`, `.refused` or `.failed`.
    package final func request(content: RawSpan, reply: inout ByteWriter) -> _Verdict {
        let start = reply.bytes.count
        let code = code
        guard content.byteCount - 1 <= code.messageBytes else { return Self.tooLong(content, code.messageBytes) }
        return Self.settle(code.request(self, content, &reply), from: start, &reply, limit: code.replyBytes)
    }

    /// Applies an effect that ran before, by its recorded outcome: neither validated nor performed. Anything but
    /// `.applied` is a divergence.
    ///
    /// The context is for the day that an effect's second half may read one; none is consulted today.
    package func replayEffect(
        content: RawSpan, outcome: RawSpan, context: inout UpdateContext, reply: inout ByteWriter
    ) -> _Verdict {
        .broken("not implemented by this instance")
    }

    /// Lends the state to a task that performs the effect, and returns at once. `done` is called once, on any thread,
    /// when the task no longer holds the state; a failure too is to be followed by `abandonEffect`.
    ///
    /// The task runs on the global pool, or on the executor preferred here, never on the calling thread.
    package func launchEffect(
        key: String, executor: (any TaskExecutor)? = nil,
        done: @escaping @Sendable (Result<[UInt8], _EffectFailure>) -> Void
    ) {}

    /// Takes the state back and applies the outcome: `.applied`, `.broken`, or `.failed` if the outcome does not
    /// decode, with the state as before the effect.
    package func finishEffect(outcome: RawSpan, reply: inout ByteWriter) -> _Verdict {
        .broken("not implemented by this instance")
    }

    /// Takes the state back, as it was, and forgets the effect. Does nothing if there is none.
    package func abandonEffect() {}

    /// True from the verdict `.effect` until the effect is finished or abandoned.
    package var hasEffect: Bool { false }

    /// Appends the state's bytes. Throws `badCheckpoint` if it has none; the writer is then as before.
    package func encodeState(into writer: inout ByteWriter) throws(RecallError) {}

    /// Replaces the state, and forgets an effect that is under way. Throws `badCheckpoint` if the bytes do not decode;
    /// the state is then as before.
    package func restoreState(_ bytes: RawSpan) throws(RecallError) {}

    /// The user's invariant. False means that the copy must be deleted.
    package var isConsistent: Bool { true }
}

extension _Hosted {
    /// Enforces the reply's limit and cleans up behind a failure.
    static func settle(_ verdict: _Verdict, from start: Int, _ reply: inout ByteWriter, limit: Int) -> _Verdict {
        let count = reply.bytes.count - start
        guard count > limit else { return Self.settle(verdict, from: start, &reply) }
        reply.cut(to: start)
        let text = "the answer takes \(count) bytes; the limit is \(limit)"
        return verdict == .applied ? .broken(text) : .failed(.messageTooLarge, text)
    }

    fileprivate static func settle(_ verdict: _Verdict, from start: Int, _ reply: inout ByteWriter) -> _Verdict {
        switch verdict {
        case .applied, .refused, .replied: break
        case .failed, .effect, .broken: reply.cut(to: start)
        }
        return verdict
    }

    fileprivate static func tooLong(_ content: RawSpan, _ limit: Int) -> _Verdict {
        .failed(.messageTooLarge, "the message takes \(content.byteCount - 1) bytes; the limit is \(limit)")
    }
}

/// What all instances of a kind share: its code, and the limits that are looked at for every message.
public class _HostedCode {
    /// Instance, content, whether it is a replay, context, where reply or rejection go.
    public typealias Apply = (_Hosted, RawSpan, Bool, inout UpdateContext, inout ByteWriter) -> _Verdict
    public typealias Request = (_Hosted, RawSpan, inout ByteWriter) -> _Verdict

    final let apply: Apply
    final let request: Request
    final let messageBytes: Int, replyBytes: Int

    @usableFromInline init(limits: SessionLimits, apply: @escaping Apply, request: @escaping Request) {
        (self.apply, self.request) = (apply, request)
        (messageBytes, replyBytes) = (limits.messageBytes, limits.replyBytes)
    }

    /// Of an instance without a kind, of which there is none.
    @usableFromInline static var none: _HostedCode {
        _HostedCode(
            limits: SessionLimits(), apply: { _, _, _, _, _ in .broken("the instance is of no kind") },
            request: { _, _, _ in .broken("the instance is of no kind") })
    }
}

/// What a server needs to know of a kind, its types erased.
package struct HostedKind: Sendable {
    package let name: String
    package let version: UInt32
    package let limits: SessionLimits
    package let whenBehind: WhenBehind
    /// Why the declaration is unusable, if it is.
    package let fault: RecallError?
}

extension Session {
    /// Its kind's description.
    package var hostedKind: HostedKind {
        let kind = Self.kind
        var fault: RecallError?
        do throws(RecallError) { try kind.validate() } catch { fault = error }
        return HostedKind(
            name: kind.name, version: kind.version, limits: kind.limits, whenBehind: kind.whenBehind, fault: fault)
    }

    /// A new instance, in the state that nobody has written to.
    package func hosted() -> _Hosted { _host() }
}
