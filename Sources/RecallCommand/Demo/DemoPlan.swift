internal import Foundation
internal import RecallTesting

/// What a demonstration is to do; all of it follows from the options and the seed.
struct DemoPlan: Sendable {
    var sessions: Int
    /// For each session.
    var updates: Int
    /// Updates typed, over all sessions, after which the server is killed; ascending.
    var serverKills: [Int]
    /// The same for the one client that is a process of its own, counted in its session.
    var clientKills: [Int]
    /// Keystrokes a second in each session; 0 for as many as will go.
    var rate: Int
    /// A recording to type instead of what the seed makes up.
    var recording: [TextEdit]?
    var seed: UInt64
    /// The `recall` executable.
    var tool: String

    /// Keystrokes that typists may be ahead of a kill that is due. So kills always come while typing goes on, however
    /// fast that is.
    static let lead = 200

    init(
        sessions: Int, updates: Int?, serverKills: Int, clientKills: Int, rate: Int?, recording: [TextEdit]?,
        seed: UInt64, tool: String
    ) {
        self.sessions = sessions
        self.updates = min(updates ?? recording?.count ?? 2000, recording?.count ?? .max)
        self.rate = rate ?? (recording == nil ? 250 : 0)
        (self.recording, self.seed, self.tool) = (recording, seed, tool)
        var random = SeededGenerator(seed: seed)
        let total = sessions * self.updates
        self.serverKills = Self.moments(serverKills, in: total, &random)
        self.clientKills = Self.moments(clientKills, in: self.updates, &random)
    }

    /// Random moments between 2 and 98 percent of the way.
    private static func moments(_ count: Int, in total: Int, _ random: inout SeededGenerator) -> [Int] {
        let margin = total / 50
        return (0..<count).map { _ in margin + random.below(total - 2 * margin) }.sorted()
    }

    /// What is typed into a session, counted from 0.
    func edits(of session: Int) -> DemoEdits {
        if let recording { return DemoEdits(source: .recording(recording[..<updates])) }
        var random = SeededGenerator(seed: seed &+ 0x5eed)
        for _ in 0..<session { _ = random.next() }
        return DemoEdits(source: .typist(Typist(seed: random.next()), left: updates))
    }
}

/// The edits of one session, one after the other.
struct DemoEdits: Sequence, IteratorProtocol, Sendable {
    enum Source {
        case typist(Typist, left: Int)
        case recording(ArraySlice<TextEdit>)
    }
    var source: Source

    mutating func next() -> TextEdit? {
        switch source {
        case .recording(var rest):
            defer { source = .recording(rest) }
            return rest.popFirst()
        case .typist(var typist, let left):
            guard left > 0 else { return nil }
            defer { source = .typist(typist, left: left - 1) }
            return typist.next()
        }
    }
}
