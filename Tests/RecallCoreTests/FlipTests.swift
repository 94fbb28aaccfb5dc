import RecallCore
import RecallTesting
import Testing

/// Invariants 11 and 18: every bit of every type of frame, flipped on its way, one at a time, between a real client and
/// a real server. Nothing traps and nothing hangs; no server and no log has what an honest run has not; and afterwards
/// the log opens and leads to its state on a server that knows nothing else.
///
/// What a client says is verified: the worst that comes of a flip is a refusal, and the log is good. What a server says
/// is authentic by TLS only. A client notices what contradicts its log; `Leeway` says what it does not notice.
@Suite struct FlipTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var scenario: FlipScenario
        var type: FrameType
        var testDescription: String { "\(type) in \(scenario)" }
    }
    static let cases = FlipScenario.allCases.flatMap { scenario in
        scenario.types.map { Case(scenario: scenario, type: $0) }
    }

    /// Where a flip may show, and nowhere else.
    struct Leeway {
        /// How the session may end for the client that was talking.
        var ends: Set<FaultCode> = []
        /// How the log may be refused when it is presented again: what is in it was authentic by TLS only.
        var endsLog: Set<FaultCode> = []
        var endsAnyhow = false
        /// Callers may see another reply.
        var altersReplies = false

        init(_ scenario: FlipScenario, _ target: FlipRun.Target) {
            switch target.type {
            case .clientHello: ends = [.brokenChain]
            case .attach: ends = [.brokenChain, .unknownKind, .unsupportedVersion, .unknownKey]
            case .initiate: ends = [.unknownKind, .unsupportedVersion]
            case .update, .request: ends = [.brokenChain]
            case .historyStart, .historySegment, .historyChunk:
                ends = [.brokenChain, .badReceipt, .badCheckpoint, .malformedFrame, .unexpectedFrame, .windowExceeded]
            case .confirm, .kept, .ping, .detach: break
            case .serverHello: ends = [.brokenChain]  // the attach is sealed over its nonce
            case .initiated:
                (ends, endsLog) = ([.brokenChain, .unknownKey], [.brokenChain, .unknownKey])
            case .acknowledgement:
                // The client cannot verify r(n), the time and the code of a receipt, nor replies; d(n) it can.
                if (53..<125).contains(target.offset) { endsLog = [.badReceipt] }
                altersReplies = target.offset >= 146
            case .reply: altersReplies = target.offset >= 17
            case .offer, .offerSegment:
                // After an adoption the log has nothing else.
                guard scenario == .adoption else { break }
                (ends, endsLog) = ([.badReceipt, .badCheckpoint], [.badReceipt, .badCheckpoint])
            case .refusal: endsAnyhow = true
            case .attached, .recall, .credit, .gone, .pong, .drain: break
            }
        }

        func problems(_ run: FlipRun) -> [String] {
            var problems = run.problems
            if altersReplies { problems.removeAll { $0.hasPrefix("invariant 2:") || $0.hasPrefix("invariant 10:") } }
            if let code = run.client.failure?.code, !endsAnyhow, !ends.contains(code) {
                problems.append("the session ended: \(code)")
            }
            if let code = run.reopened?.failure?.code, !endsLog.contains(code) {
                problems.append("the log is refused: \(code)")
            }
            return problems
        }
    }

    @Test func everyTypeOfFrameIsFlipped() { #expect(Set(Self.cases.map(\.type)) == Set(FrameType.allCases)) }

    @Test(arguments: cases) func everyBit(_ flip: Case) {
        let log = flip.scenario.makeLog()
        let honest = FlipRun(flip.scenario, log, nil, watching: flip.type)
        honest.run()
        #expect(honest.problems.isEmpty && honest.client.failure == nil && honest.reopened?.failure == nil)
        #expect(!honest.frames.isEmpty)
        var failures = 0
        let frames = Array(honest.frames.enumerated())
        for (occurrence, frame) in flip.scenario.isEveryOccurrenceFlipped ? frames : frames.suffix(1) {
            for bit in 0..<frame.count * 8 where failures < 5 {
                let target = FlipRun.Target(type: flip.type, occurrence: occurrence, bit: bit)
                let run = FlipRun(flip.scenario, log, target, watching: flip.type)
                run.run()
                let problems = Leeway(flip.scenario, target).problems(run)
                guard !problems.isEmpty || run.frames[occurrence] != frame else { continue }
                failures += 1
                Issue.record("\(flip.scenario), \(target): \(problems.prefix(3).joined(separator: "; "))")
            }
        }
    }
}
