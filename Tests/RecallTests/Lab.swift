import FoundationEssentials
import Recall

struct LabError: Error, CustomStringConvertible { var description: String }

/// A value that refuses to be encoded, or to be decoded.
struct Stubborn: Codable, Error, Equatable {
    var encodes = false
    init(encodes: Bool = false) { self.encodes = encodes }
    init(from decoder: any Decoder) throws { throw LabError(description: "undecodable on purpose") }
    func encode(to encoder: any Encoder) throws {
        guard encodes else { throw LabError(description: "unencodable on purpose") }
        var container = encoder.singleValueContainer()
        try container.encode(1)
    }
}

/// A kind in which everything can go wrong.
struct Lab: Session {
    var fetch: @Sendable (State, String) async throws -> Int = { _, _ in 1 }

    struct State: SessionState, Equatable {
        var total = 0
        var bytes: [UInt8] = []
        var seen: [String] = []
        var isConsistent: Bool { total >= 0 }
    }

    enum Refusal: Error, Codable, Equatable { case unlucky(Int) }

    struct Add: UpdateMessage {
        var amount: Int
        func validate(against lab: State) throws(Refusal) { if amount == 13 { throw .unlucky(lab.total) } }
        func update(_ lab: inout State) -> Int {
            lab.total += amount
            return lab.total
        }
    }

    /// Replies with where the bytes lie in memory, after a write to them.
    struct Poke: UpdateMessage {
        func update(_ lab: inout State) -> UInt64 {
            lab.bytes[0] &+= 1
            return lab.bytes.withUnsafeBytes { UInt64(UInt(bitPattern: $0.baseAddress)) }
        }
    }

    struct Tick: ContextualUpdateMessage {
        var reads = 2
        func update(_ lab: inout State, in context: inout UpdateContext) -> [String] {
            lab.seen = (0..<reads).map { _ in String(context.now.timeIntervalSinceReferenceDate.bitPattern) }
            lab.seen.append(String(context.random.next()))
            lab.seen.append(context.uuid().uuidString)
            return lab.seen
        }
    }

    struct Fetch: EffectMessage {
        var amount: Int
        func validate(against lab: State) throws(Refusal) { if amount == 13 { throw .unlucky(lab.total) } }
        func perform(on lab: State, in context: EffectContext<Lab>) async throws -> Int {
            try await context.host.fetch(lab, context.idempotencyKey) + amount
        }
        func update(_ lab: inout State, outcome: Int) -> Int {
            lab.total += outcome
            if !lab.bytes.isEmpty { lab.bytes[0] &+= 1 }
            return lab.total
        }
    }

    struct Look: RequestMessage {
        var limit = Int.max
        func reply(from lab: State) throws(Refusal) -> Int {
            if lab.total > limit { throw .unlucky(lab.total) }
            return lab.total
        }
    }

    struct Mute: UpdateMessage {
        func update(_ lab: inout State) -> Stubborn {
            lab.total += 1
            return Stubborn()
        }
    }

    struct Touchy: UpdateMessage {
        func validate(against lab: State) throws(Stubborn) { throw Stubborn() }
        func update(_ lab: inout State) {}
    }

    struct Fill: UpdateMessage {
        var count: Int
        func update(_ lab: inout State) { lab.bytes = [UInt8](repeating: 7, count: count) }
    }

    struct Puzzle: EffectMessage {
        var encodes: Bool
        func perform(on lab: State, in context: EffectContext<Lab>) async throws -> Stubborn {
            Stubborn(encodes: encodes)
        }
        func update(_ lab: inout State, outcome: Stubborn) { lab.total += 1 }
    }

    struct Riddle: RequestMessage { func reply(from lab: State) -> Stubborn { Stubborn() } }

    struct Echo: RequestMessage {
        var count: Int
        func reply(from lab: State) -> String { String(repeating: "x", count: count) }
    }

    struct Shout: UpdateMessage {
        var count: Int
        func update(_ lab: inout State) -> String { String(repeating: "x", count: count) }
    }

    /// An effect whose outcome or reply can be long.
    struct Recite: EffectMessage {
        var outcome: Int, reply: Int
        func perform(on lab: State, in context: EffectContext<Lab>) async throws -> String {
            String(repeating: "y", count: outcome)
        }
        func update(_ lab: inout State, outcome: String) -> String { String(repeating: "x", count: reply) }
    }

    static let kind = SessionKind<Lab>(
        "lab", limits: SessionLimits(messageBytes: 200, replyBytes: 200),
        [
            1: Add.self, 2: Poke.self, 3: Tick.self, 4: Fetch.self, 5: Look.self, 6: Mute.self, 7: Touchy.self,
            8: Fill.self, 9: Puzzle.self, 10: Riddle.self, 11: Echo.self, 12: Shout.self, 13: Recite.self,
        ])
}
