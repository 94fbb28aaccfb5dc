import NIOCore
import Recall
@testable import RecallCore
@testable import RecallTesting
import Testing

/// The simulator's checker itself: what it must complain of, and of what it must not.
@Suite struct CheckerTests {
    /// A world that does not run, with one member that has two updates in its log, the first of them acknowledged.
    private final class Ground {
        let world = SimulatedWorld(Scenario(seed: 1), OwnPopulation(), isTranscribed: false)
        let member: Member
        let connection: SimulatedConnection
        let calls: [History.Call]
        let session = SessionID(key: KeyID(1), issuer: 7, counter: 1)
        let first = Position(number: SequenceNumber(1), seal: Digest.filled(1), inputs: Digest())

        var checker: Checker { world.checker }
        var breaches: [String] { checker.violations }

        init() {
            member = world.members[0]
            var random = SeededGenerator(seed: 1)
            let timeline = world.timeline
            let client = SimulatedProcess("c", timeline, seed: 1, weather: nil)
            let server = SimulatedProcess("A1", timeline, seed: 1, weather: nil)
            connection = SimulatedConnection(
                1, timeline, client: client, server: server, WireTap(), weather: nil, random: &random)
            calls = [
                member.history.begin(.change(.add(5))), member.history.begin(.pay(3)),
                member.history.begin(.change(.add(1))),
            ]
            let header = LogHeader(
                session: session, vector: Digest(), kindName: Array("adopting".utf8), kindVersion: 1)
            member.store.finished(.begin(header))
            for (index, call) in calls.prefix(2).enumerated() {
                let number = SequenceNumber(UInt64(index + 1))
                member.store.finished(.append([.message(LoggedMessage(number: number, content: content(call)))]))
            }
            hear(.attach(stream: 1, session: bytes, acknowledged: .start, last: 2), toServer: true)
            hear(.attached(stream: 1, replayed: 0))
            acknowledge(first)
        }

        /// The session's id.
        var bytes: [UInt8] {
            [session.high, session.low].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
            }
        }

        func content(_ call: History.Call) -> [UInt8] {
            [1] + (0..<4).map { UInt8(truncatingIfNeeded: call.id >> (24 - 8 * $0)) }
        }

        func hear(_ frame: WireTap.Frame, toServer: Bool = false) {
            checker.saw(frame, [0, 0, 0, 1, 0][...], on: connection, of: member.node, toServer: toServer)
        }

        /// On the wire, then in the log.
        func acknowledge(_ position: Position, _ determinants: [UInt8] = []) {
            let number = position.number.rawValue
            hear(.acknowledgement(stream: 1, first: number, last: number, inputs: position.inputs.bytes))
            log(position, determinants)
        }

        func log(_ position: Position, _ determinants: [UInt8] = []) {
            let receipt = Receipt(position: position, outputs: Digest(), time: WallTime(nanoseconds: 0), mac: Digest())
            member.store.finished(
                .append([
                    .acknowledgement(
                        LoggedAcknowledgement(determinants: [(position.number, determinants)], receipt: receipt))
                ]))
        }

        func position(_ number: UInt64, seal: UInt8 = 2) -> Position {
            Position(number: SequenceNumber(number), seal: Digest.filled(seal), inputs: Digest.filled(9))
        }

        func state(_ ids: [UInt32], _ payments: [SimulatedState.Paid] = []) -> Inspection {
            var intended = IntendedState()
            for id in ids { if let call = member.history.call(id) { _ = intended.take(call.request) } }
            return Inspection(view: intended.view, ids: ids, stamps: [], payments: payments)
        }
    }

    /// The invariants that are broken when a ground is treated so.
    private func breaches(_ treat: (Ground) -> Void) -> [String] {
        let ground = Ground()
        #expect(ground.breaches.isEmpty)
        treat(ground)
        return ground.breaches.map { String($0.prefix { $0 != ":" }) }
    }

    @Test func theWireFromTheClient() {
        #expect(breaches { $0.hear(.confirm(stream: 1, WirePosition($0.first)), toServer: true) } == [])
        // Another seal, another digest of determinants, and what the log does not have.
        #expect(breaches { $0.hear(.confirm(stream: 1, WirePosition($0.position(1))), toServer: true) } == ["4"])
        #expect(breaches { $0.hear(.confirm(stream: 1, WirePosition($0.position(2))), toServer: true) } == ["4"])
        #expect(breaches { $0.hear(.kept(stream: 1, WirePosition($0.first)), toServer: true) } == ["16"])
        #expect(
            breaches {
                $0.hear(
                    .update(stream: 1, confirmed: nil, first: 2, contents: [$0.content($0.calls[2])]), toServer: true)
            } == ["4"])
    }

    @Test func theWireFromTheServer() {
        #expect(breaches { $0.hear(.attached(stream: 1, replayed: 0)) } == ["5"])
        #expect(breaches { $0.hear(.recall(stream: 1, after: nil)) } == ["5"])
        #expect(breaches { $0.hear(.offer(stream: 1, isAdoption: true)) } == ["5"])
        #expect(breaches { $0.hear(.acknowledgement(stream: 1, first: 1, last: 1, inputs: [1])) } == ["9"])
        #expect(
            breaches {
                $0.hear(.gone(stream: 1))
                $0.hear(.reply(stream: 1, number: 1))
            } == ["5"])
        // On a stream that is not attached yet.
        #expect(
            breaches {
                let view = $0.member.store.view
                $0.hear(
                    .attach(
                        stream: 2, session: $0.bytes, acknowledged: WirePosition($0.first), last: view.last),
                    toServer: true)
                $0.hear(.reply(stream: 2, number: 1))
            } == ["5"])
        #expect(breaches { $0.checker.answeredGhost(.attached(stream: 1, replayed: 0), on: $0.connection) } == ["15"])
    }

    @Test func acknowledgementsOfOtherStreams() {
        #expect(breaches { $0.acknowledge($0.position(2)) } == [])
        #expect(breaches { $0.log($0.position(2)) } == ["17"])
    }

    @Test func answers() {
        func answer(_ ground: Ground, _ index: Int, _ result: History.Result) {
            ground.calls[index].result = result
            ground.checker.delivered(ground.calls[index], to: ground.member)
        }
        #expect(breaches { answer($0, 0, .answered(Answer(count: 1, value: 5))) } == [])
        // Not acknowledged, in no log, and with another ending than the log's.
        #expect(breaches { answer($0, 1, .refused(.declined)) } == ["10", "10"])
        #expect(breaches { answer($0, 2, .answered(Answer(count: 2, value: 6))) } == ["10"])
        #expect(breaches { answer($0, 0, .refused(.declined)) } == ["10"])
        #expect(breaches { answer($0, 0, .failed(53)) } == ["10"])
    }

    @Test(
        arguments: [.poisonedMessage, .effectFailed, .messageTooLarge, .outcomeUnknown, .closed, .unreachable]
            as [FaultCode])
    func failuresWithoutAReason(_ code: FaultCode) {
        #expect(
            breaches {
                _ = $0.checker.failed($0.calls[0], RecallError(code, "-"), wasCancelled: false, of: $0.member)
            } == ["2"])
        #expect(breaches { $0.checker.readFailed(RecallError(code, "-"), of: $0.member) } == ["2"])
    }

    @Test func endingsWithoutAReason() {
        for code in [FaultCode.forked, .clientBehind, .diverged, .unknownKey, .poisoned, .brokenChain] {
            #expect(breaches { $0.checker.ended($0.member, code, "-") } == ["21"])
        }
        for code in [FaultCode.logFailed, .logDamaged, .logInUse] {
            #expect(breaches { $0.checker.logFailed($0.member, code, "-") } == ["4"])
        }
        #expect(
            breaches {
                $0.member.store.faulted()
                $0.checker.logFailed($0.member, .logFailed, "-")
            } == [])
    }

    @Test func impostors() {
        func show(_ ground: Ground, _ ids: [UInt32], _ lies: [Lie]) {
            ground.checker.accepted(ground.state(ids), from: lies, of: ground.member, ground.member.store.view)
        }
        let (history, checkpoint) = (Lie(.history, "a bit"), Lie(.checkpoint, "a bit"))
        #expect(breaches { show($0, [$0.calls[0].id], [checkpoint]) } == [])
        #expect(breaches { show($0, [$0.calls[0].id], [history]) } == ["11"])
        #expect(breaches { show($0, [], [checkpoint]) } == ["11"])
        #expect(breaches { show($0, [$0.calls[0].id, $0.calls[2].id], [checkpoint]) } == ["11"])
        #expect(
            breaches { ground in
                var state = ground.state([ground.calls[0].id])
                state.view.total += 1
                ground.checker.accepted(state, from: [checkpoint], of: ground.member, ground.member.store.view)
            } == ["11"])
        #expect(breaches { $0.checker.refused(RecallError(.brokenChain, "-"), for: [history]) } == [])
        #expect(breaches { $0.checker.refused(RecallError(.closed, "-"), for: [history]) } == ["11"])
        #expect(breaches { $0.checker.refused(CancellationError(), for: [history]) } == ["11"])
        #expect(breaches { $0.checker.refused(RecallError(.brokenChain, "-"), for: []) } == ["21"])
    }

    /// An update that was given up, as a read saw, may be applied when the acknowledgement is lost and it comes again.
    @Test func readsOfWhatTheLogLost() {
        let history = History(firstID: 0)
        func read(_ count: Int, acknowledged: UInt64) {
            var view = IntendedState().view
            view.count = count
            history.endRead(view, callsBefore: history.beginRead(), acknowledged: acknowledged)
        }
        for (count, acknowledged): (Int, UInt64) in [(0, 2), (1, 1), (1, 2), (2, 2)] {
            read(count, acknowledged: acknowledged)
        }
        history.rewound(to: 1, beyond: 1, isOnOtherCourse: false)
        #expect(history.reads.map(\.mayBeWrong) == [false, false, false, true])
        #expect(history.reads.map(\.mayHaveMissed) == [false, false, true, false])
    }

    @Test func lastWords() {
        func judge(_ ground: Ground, _ ids: [UInt32], _ payments: [SimulatedState.Paid] = []) {
            ground.checker.judge([(ground.member, ground.state(ids, payments))], "at the end")
        }
        #expect(breaches { judge($0, [$0.calls[0].id]) }.contains("3"))  // the log has both
        #expect(
            breaches {
                $0.calls[0].result = .answered(Answer(count: 1, value: 5))
                judge($0, [])
            }.contains("1"))
        #expect(
            breaches {
                $0.calls[0].result = .answered(Answer(count: 1, value: 6))
                judge($0, $0.calls.prefix(2).map(\.id))
            }.contains("2"))
        #expect(breaches { judge($0, $0.calls.prefix(2).map(\.id).reversed()) }.contains("17"))
        // Nobody was asked for that payment outside.
        #expect(
            breaches {
                judge($0, $0.calls.prefix(2).map(\.id), [.init(id: $0.calls[1].id, outcome: "paid 1/1")])
            }.contains("10"))
        #expect(
            breaches {
                $0.calls[1].result = .refused(.declined)
                judge($0, [$0.calls[0].id])
            }.contains("10"))
    }
}

extension Digest {
    fileprivate static func filled(_ byte: UInt8) -> Digest { Digest([UInt8](repeating: byte, count: 32)) ?? Digest() }
}
