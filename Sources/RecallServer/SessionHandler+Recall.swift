public import Recall
internal import RecallCore
internal import RecallCrypto

extension SessionHandler {
    /// Rebuilds a session from a message and the sequence before it: every seal is verified, then the messages are
    /// replayed here with their recorded determinants. The state is returned; nothing is hosted for it.
    ///
    /// What clients do over the wire is bounded by chunks and checked against receipts too; this holds the whole
    /// sequence in memory. For inspection, migration and tests.
    ///
    /// - Parameters:
    ///   - kind: its kind, hosted here.
    ///   - session: the session that the messages belong to.
    ///   - last: the newest message; the others are reached through `previousMessage`.
    ///   - principal: the authenticated user that the session belongs to, if any.
    /// - Throws: `unknownKey`, `unknownKind`; `brokenChain` naming the update whose seal does not follow; `diverged` or
    ///   `inconsistent` if a message does not replay; what fetching a message throws.
    public func recallSession<S: Session>(
        _ kind: S.Type, session: SessionID, from last: SealedMessage, principal: [UInt8]? = nil
    ) async throws -> S.State {
        guard let host = hosts.lazy.compactMap({ $0 as? S }).first else {
            throw RecallError(.unknownKind, "\(S.self), of kind '\(S.kind.name)', is not hosted here")
        }
        let vector = try vector(of: session, kind, principal: principal)
        let root = try root(of: session)
        var messages = [last]
        while let previous = try await messages[messages.count - 1].previousMessage() { messages.append(previous) }
        let replay = LocalReplay(
            host: host, keys: SessionKeys(root: root, vector: vector, cryptography), cryptography)
        return try replay.state(after: messages.reversed())
    }
}

/// Replays a sequence of messages on a fresh instance.
private struct LocalReplay<S: Session> {
    let host: S
    let keys: SessionKeys
    let cryptography: Cryptography
    private let environment: ContextEnvironment

    init(host: S, keys: SessionKeys, _ cryptography: Cryptography) {
        (self.host, self.keys, self.cryptography) = (host, keys, cryptography)
        environment = ContextEnvironment(cryptography: cryptography) { WallTime(nanoseconds: 0) }
    }

    func state(after messages: some Sequence<SealedMessage>) throws(RecallError) -> S.State {
        let sealer = Sealer(vector: keys.vector, cryptography)
        let hosted = host.hosted()
        var position = (number: SequenceNumber.zero, seal: Digest())
        for message in messages {
            let number = position.number.next
            let seal = sealer.seal(.update, message.content.span.bytes, number: number, after: position.seal)
            guard message.number == number, message.seal == seal else {
                throw RecallError(
                    .brokenChain, "the seal of update \(message.number) does not follow from update \(position.number)")
            }
            try apply(message, to: hosted)
            position = (number, seal)
        }
        var writer = ByteWriter()
        try hosted.encodeState(into: &writer)
        do { return try Coder<S.State>.codable(S.kind.codec).decode(writer.bytes.span.bytes) } catch {
            throw RecallError(.badCheckpoint, "the state does not decode from its own encoding", cause: error)
        }
    }

    private func apply(_ message: SealedMessage, to hosted: _Hosted) throws(RecallError) {
        let recorded: Determinants
        do throws(WireError) { recorded = try Determinants(message.determinants.span.bytes) } catch {
            throw RecallError(.brokenChain, "the determinants of update \(message.number) are \(error)")
        }
        var context = UpdateContext(
            environment: environment, keys: keys, number: message.number, replaying: recorded.clock)
        var reply = ByteWriter()
        let content = message.content.span.bytes
        let verdict: _Verdict
        switch recorded.ending {
        case .refused, .failed: return
        case .applied: verdict = hosted.apply(content: content, replaying: true, context: &context, reply: &reply)
        case .outcome(let outcome):
            verdict = hosted.replayEffect(
                content: content, outcome: outcome.span.bytes, context: &context, reply: &reply)
        }
        guard verdict == .applied, context.clockReading == recorded.clock else {
            throw RecallError(.diverged, "update \(message.number) does not replay as it ran: \(verdict)")
        }
    }
}
