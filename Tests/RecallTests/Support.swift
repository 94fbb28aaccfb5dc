import Recall
import RecallCore
import RecallCrypto
import Synchronization

/// A wall clock that advances by a second at each reading, and counts the readings.
final class StepClock: Sendable {
    private let readings = Mutex(0)
    var count: Int { readings.withLock { $0 } }

    func read() -> WallTime {
        readings.withLock {
            $0 += 1
            return WallTime(nanoseconds: 1_700_000_000_123_456_789 + Int64($0) * 1_000_000_000)
        }
    }
}

func makeEnvironment(_ clock: StepClock = StepClock()) -> ContextEnvironment {
    ContextEnvironment(cryptography: .swiftCrypto) { clock.read() }
}

func digest(repeating byte: UInt8) -> Digest { Digest([UInt8](repeating: byte, count: 32)) ?? Digest() }

let testKeys = SessionKeys(root: digest(repeating: 7), vector: digest(repeating: 9), .swiftCrypto)

/// One hosted copy and the log that its client would keep.
final class Harness<S: Session> {
    struct Entry: Equatable {
        var content: [UInt8]
        var determinants: Determinants
        var reply: [UInt8]
    }

    let session: S
    let hosted: _Hosted
    let environment: ContextEnvironment
    private(set) var log: [Entry] = []
    /// What the last call wrote.
    private(set) var written: [UInt8] = []

    init(_ session: S, clock: StepClock = StepClock()) {
        self.session = session
        hosted = session.hosted()
        environment = makeEnvironment(clock)
    }

    private var next: SequenceNumber { SequenceNumber(UInt64(log.count) + 1) }

    var state: [UInt8] {
        get throws {
            var writer = ByteWriter()
            try hosted.encodeState(into: &writer)
            return writer.bytes
        }
    }

    func content<M: Message<S.State>>(_ message: M) throws -> [UInt8] {
        try S.kind.coding(of: M.self).content(of: message)
    }

    func apply(raw: [UInt8], replaying: Bool = false) -> _Verdict {
        var context = UpdateContext(environment: environment, keys: testKeys, number: next)
        var reply = ByteWriter()
        let verdict = hosted.apply(
            content: raw.span.bytes, replaying: replaying, context: &context, reply: &reply)
        written = reply.bytes
        switch verdict {
        case .applied: record(raw, Determinants(clock: context.clockReading))
        case .refused: record(raw, Determinants(ending: .refused(written)))
        case .failed(let code, let text):
            record(raw, Determinants(ending: .failed(code: code.rawValue, text: Array(text.utf8))))
        case .replied, .effect, .broken: break
        }
        return verdict
    }

    func apply<M: Message<S.State>>(_ message: M) throws -> _Verdict { apply(raw: try content(message)) }

    func request(raw: [UInt8]) -> _Verdict {
        var reply = ByteWriter()
        let verdict = hosted.request(content: raw.span.bytes, reply: &reply)
        written = reply.bytes
        return verdict
    }

    func launch(_ key: String = "key") async -> Result<[UInt8], _EffectFailure> {
        await withCheckedContinuation { continuation in
            hosted.launchEffect(key: key) { continuation.resume(returning: $0) }
        }
    }

    func finish(_ content: [UInt8], _ outcome: [UInt8]) -> _Verdict {
        var reply = ByteWriter()
        let verdict = hosted.finishEffect(outcome: outcome.span.bytes, reply: &reply)
        written = reply.bytes
        if verdict == .applied { record(content, Determinants(ending: .outcome(outcome))) }
        return verdict
    }

    /// What a client's `send` does, all the way.
    @discardableResult
    func send<M: Message<S.State>>(_ message: M) async throws -> M.Reply {
        let content = try content(message)
        let isRequest = S.kind.route(of: M.self)?.isRequest == true
        var verdict = isRequest ? request(raw: content) : apply(raw: content)
        if verdict == .effect {
            switch await launch("key \(next)") {
            case .success(let outcome): verdict = finish(content, outcome)
            case .failure(.rejected(let bytes)):
                hosted.abandonEffect()
                written = bytes
                record(content, Determinants(ending: .refused(bytes)))
                verdict = .refused
            case .failure(.failed(let text)):
                hosted.abandonEffect()
                record(content, Determinants(ending: .failed(code: 52, text: Array(text.utf8))))
                verdict = .failed(.effectFailed, text)
            }
        }
        let written = written
        switch verdict {
        case .applied, .replied: return try S.kind.coding(of: M.self).reply(from: written.span.bytes)
        case .refused: throw try S.kind.coding(of: M.self).rejection(from: written.span.bytes)
        case .failed(let code, let text): throw RecallError(code, text)
        case .effect, .broken: throw RecallError(.inconsistent, "\(verdict)")
        }
    }

    /// Replays the log on another copy and insists on equal replies and clock readings. Returns the copy.
    func replay(on session: S? = nil) throws -> Harness<S> {
        let copy = Harness(session ?? self.session)
        for entry in log {
            let recorded = entry.determinants
            var context = UpdateContext(
                environment: copy.environment, keys: testKeys, number: copy.next, replaying: recorded.clock)
            var reply = ByteWriter()
            let verdict: _Verdict
            switch recorded.ending {
            case .refused, .failed:
                copy.log.append(entry)
                continue
            case .applied:
                verdict = copy.hosted.apply(
                    content: entry.content.span.bytes, replaying: true, context: &context, reply: &reply)
            case .outcome(let outcome):
                verdict = copy.hosted.replayEffect(
                    content: entry.content.span.bytes, outcome: outcome.span.bytes, context: &context, reply: &reply)
            }
            guard verdict == .applied, reply.bytes == entry.reply, context.clockReading == recorded.clock else {
                throw RecallError(.diverged, "at \(copy.next): \(verdict)")
            }
            copy.log.append(entry)
        }
        return copy
    }

    private func record(_ content: [UInt8], _ determinants: Determinants) {
        let isApplied =
            switch determinants.ending {
            case .applied, .outcome: true
            case .refused, .failed: false
            }
        log.append(Entry(content: content, determinants: determinants, reply: isApplied ? written : []))
    }
}
