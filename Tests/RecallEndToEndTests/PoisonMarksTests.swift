import RecallCore
import Testing

@testable import RecallServer

/// What is laid to an update, and what to its effect.
@Suite struct PoisonMarksTests {
    private let session = SessionID(high: 1, low: 2)
    private let number = SequenceNumber(3)
    private let seal = Digest([UInt8](repeating: 5, count: 32)) ?? Digest()

    /// A process that dies where `body` leaves it: what it held is dropped without an end.
    private func life(_ path: String, _ body: (PoisonMarks) -> Void = { _ in }) throws -> [Bool] {
        let marks = try PoisonMarks(path: path, deaths: 2)
        body(marks)
        return [false, true].map { marks.isPoisoned(session, number, seal, isReplay: $0) }
    }

    /// Deaths while an effect was out refused later replays of its update, which need no effect.
    @Test func deathsOfAnEffectRefuseNoReplay() throws {
        let scratch = try Scratch()
        let path = scratch.file("poison")
        for _ in 0..<2 { _ = try life(path) { $0.effectBegins(Incarnation(1), session, number, seal) } }
        #expect(try life(path) == [true, false])
        // They stay what they are from process to process.
        #expect(try life(path) == [true, false])
    }

    @Test func deathsOfAnUpdateRefuseBoth() throws {
        let scratch = try Scratch()
        let path = scratch.file("poison")
        for _ in 0..<2 { _ = try life(path) { $0.updateBegins(session, number, seal) } }
        #expect(try life(path) == [true, true])
    }

    /// One of each is two for a new update, and one for a replay.
    @Test func deathsAddUp() throws {
        let scratch = try Scratch()
        let path = scratch.file("poison")
        _ = try life(path) { $0.effectBegins(Incarnation(1), session, number, seal) }
        #expect(try life(path) { $0.updateBegins(session, number, seal) } == [false, false])
        #expect(try life(path) == [true, false])
        #expect(try life(path) { $0.died(session, number, seal) } == [true, true])
    }
}
