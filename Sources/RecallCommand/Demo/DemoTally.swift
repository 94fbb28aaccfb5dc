internal import Synchronization

/// What a demonstration counts, for its screen and its verdict.
final class DemoTally: Sendable {
    struct Session: Sendable {
        var typed = 0
        var acknowledged = 0
        var recalls = 0
        /// Why the session is not as it should be.
        var problems: [String] = []
    }

    struct Counts: Sendable {
        var sessions: [Session]
        var serverKills = 0
        var clientKills = 0
        var messagesReplayed = 0
        /// Microseconds of each recall.
        var recalls: [Int64] = []
        /// Microseconds that a typist waited longest for an answer.
        var longestWait: Int64 = 0
        var updatesLost = 0
        var updatesDuplicated = 0
        var stateMismatches = 0
        /// Files that servers left behind beside their key.
        var filesLeft = 0
        /// Typists stay below this many keystrokes until the next kill was made.
        var limit = Int.max

        var typed: Int { sessions.reduce(0) { $0 + $1.typed } }
        var acknowledged: Int { sessions.reduce(0) { $0 + $1.acknowledged } }
        var problems: [String] {
            sessions.enumerated().flatMap { index, session in
                session.problems.map { "session \(index + 1): \($0)" }
            }
        }
        /// Nothing lost, duplicated or different.
        var isPerfect: Bool {
            updatesLost == 0 && updatesDuplicated == 0 && stateMismatches == 0 && filesLeft == 0 && problems.isEmpty
        }
    }

    private let counts: Mutex<Counts>

    init(sessions: Int) {
        counts = Mutex(Counts(sessions: Array(repeating: Session(), count: sessions)))
    }

    var now: Counts { counts.withLock { $0 } }

    func change<R: Sendable>(_ body: (inout Counts) -> R) -> R { counts.withLock { body(&$0) } }

    func recalled(_ session: Int, messages: Int, microseconds: Int64) {
        change {
            $0.sessions[session].recalls += 1
            $0.messagesReplayed += messages
            $0.recalls.append(microseconds)
        }
    }

    /// Keeps a session's first few problems: the others mostly follow from them.
    func problem(_ session: Int, _ text: String) {
        change { counts in
            if counts.sessions[session].problems.count < 3 { counts.sessions[session].problems.append(text) }
        }
    }

    /// Waits until a kill that is due was made, then counts a keystroke.
    func admit(_ session: Int) async throws {
        while !tryAdmit(session) { try await Task.sleep(for: .milliseconds(2)) }
    }

    private func tryAdmit(_ session: Int) -> Bool {
        change { counts in
            guard counts.typed < counts.limit else { return false }
            counts.sessions[session].typed += 1
            return true
        }
    }
}

extension Array where Element == Int64 {
    /// The value that `percent` of all are at or below (nearest rank); 0 if there is none.
    func percentile(_ percent: Int) -> Int64 {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        return sorted[Swift.min(count - 1, Swift.max(0, (count * percent + 99) / 100 - 1))]
    }
}
