internal import Recall

/// The service that effects call: it remembers what it answered under each idempotency key, whoever asks, and what the
/// session was like then. Confined to the simulation's thread.
final class Outside: @unchecked Sendable {
    struct Entry {
        let id: UInt32
        /// The updates that had taken effect when it was first asked.
        let seen: [UInt32]
        /// Nil if it was declined.
        let outcome: String?
        var calls = 1
        /// What it says this time: no two answers are the same, whatever they say.
        var answer: String { "\(outcome ?? "declined")/\(calls)" }
    }

    private let timeline: Timeline
    private var random: SeededGenerator
    private(set) var ledger: [String: Entry] = [:]
    private(set) var calls = 0
    /// For what an answer was lost on its way.
    private(set) var lostAnswers: Set<UInt32> = []
    /// Called when a request arrives, before it is answered: the process that asked, and for what.
    var onCall: (_ process: SimulatedProcess, _ id: UInt32, _ key: String, _ entry: Entry) -> Void = { _, _, _, _ in }

    private let weather: Weather

    init(_ timeline: Timeline, seed: UInt64, _ weather: Weather) {
        (self.timeline, random, self.weather) = (timeline, SeededGenerator(seed: seed), weather)
    }

    func pay(from process: SimulatedProcess, id: UInt32, seen: [UInt32], key: String) async throws -> String {
        try await process.sleep(Int64.random(in: 10_000...3_000_000, using: &random))
        calls += 1
        let entry: Entry
        if var known = ledger[key] {
            known.calls += 1
            entry = known
        } else {
            entry = Entry(id: id, seen: seen, outcome: random.chance(90) ? "paid \(calls)" : nil)
        }
        ledger[key] = entry
        onCall(process, id, key, entry)
        // The answer may be long under way, and then its server is often not there any more.
        let due = timeline.now + 3_000_000
        let late = weather.strikes(.slowEffect) ? weather.delay() + Int64(weather.draw(below: 100_000_000)) : 0
        try await process.sleep(3_000_000 + late)
        if late > 0 { weather.count(.slowEffect, due: due, in: process) }
        if weather.strikes(.failEffect) {
            weather.count(.failEffect)
            lostAnswers.insert(id)
            throw OutsideFailure()
        }
        guard entry.outcome != nil else { throw SimulatedRefusal.declined }
        return entry.answer
    }
}

/// The connection to the service broke behind the answer.
struct OutsideFailure: Error, CustomStringConvertible { var description: String { "the outside service failed" } }

/// The way of one server's process to the service.
struct OutsideDoor: Sendable {
    let outside: Outside
    let process: SimulatedProcess

    func pay(id: UInt32, seen: [UInt32], key: String) async throws -> String {
        try await outside.pay(from: process, id: id, seen: seen, key: key)
    }
}
