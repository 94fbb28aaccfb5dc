internal import Synchronization

/// What is counted. The names are the rows of the report, in its order.
enum Item: String, CaseIterable, Sendable {
    case serverKills = "servers killed (SIGKILL)"
    case serverKillsStarting = "  of them while they started"
    case serverKillsStopped = "  of them while stopped"
    case serverStops = "servers stopped (SIGSTOP, 0.1 to 30 s)"
    case clientKills = "clients killed (SIGKILL)"
    case clientStops = "clients stopped (SIGSTOP, 0.1 to 30 s)"
    case delaysToTenth = "restart delays up to 0.1 s"
    case delaysToSecond = "restart delays 0.1 to 1 s"
    case delaysToFive = "restart delays 1 to 5 s"
    case delaysToTwenty = "restart delays 5 to 20 s"
    case proxyConnections = "connections through the proxy"
    case proxyLatency = "proxy: latency"
    case proxyCut = "proxy: cut"
    case proxyHalfOpen = "proxy: half-open"
    case proxySilence = "proxy: silence one way"
    case proxyByByte = "proxy: one byte at a time"
    case proxyGarbage = "proxy: garbage"
    case diskFull = "disk: full tmpfs"
    case diskFileLimit = "disk: file size limit"
    case diskSync = "disk: fsync failed"
    case descriptorRounds = "servers short of file descriptors"
    case malformedFrames = "malformed frames"
    case harmlessFrames = "altered frames that the server went on after"
    case silentConnections = "connections that said nothing"
    case sessions = "sessions"
    case updatesSent = "updates sent"
    case acknowledged = "updates acknowledged"
    case recalls = "recalls"
    case messagesReplayed = "messages replayed"
    case comparisons = "states compared"
    case lost = "acknowledged updates lost"
    case twice = "updates applied twice"
    case mismatches = "mismatches"
    case filesLeft = "files left by servers"

    /// What a campaign that kills so many servers does to servers, clients and connections: in none of these may it end
    /// with 0. In a short one only what is to be expected ten times.
    static func faults(inKills kills: Int) -> [Item] {
        let often: [Item] = [
            .serverKills, .clientKills, .delaysToTenth, .delaysToSecond, .delaysToFive, .proxyLatency, .proxyCut,
        ]
        let seldom: [Item] = [
            .serverKillsStarting, .serverKillsStopped, .serverStops, .clientStops, .delaysToTwenty, .proxyHalfOpen,
            .proxySilence, .proxyByByte, .proxyGarbage,
        ]
        return kills < 200 ? [] : kills < 2000 ? often : often + seldom
    }

    /// A run in which any of these is not 0 has failed.
    var isFailure: Bool { [.lost, .twice, .mismatches, .filesLeft].contains(self) }
}

/// All counts of a run, and what was wrong, in words.
final class Tally: Sendable {
    struct Counts: Sendable {
        var items: [Item: Int] = [:]
        var problems: [String] = []
        /// What could not be done here, and why. It counts neither for nor against the tool.
        var notRun: [String] = []
        /// Figures that are no counts.
        var notes: [String] = []

        subscript(_ item: Item) -> Int { items[item] ?? 0 }
        var isGood: Bool { problems.isEmpty && !items.contains { $0.key.isFailure && $0.value > 0 } }
    }

    private static let problemLimit = 1000
    private let counts = Mutex(Counts())

    var now: Counts { counts.withLock { $0 } }

    func add(_ item: Item, _ count: Int = 1) { counts.withLock { $0.items[item, default: 0] += count } }

    /// - Parameter item: under what it counts.
    func problem(_ text: String, _ item: Item = .mismatches, count: Int = 1) {
        counts.withLock { counts in
            counts.items[item, default: 0] += count
            if counts.problems.count < Self.problemLimit { counts.problems.append(text) }
        }
    }

    func notRun(_ text: String) { counts.withLock { $0.notRun.append(text) } }
    func note(_ text: String) { counts.withLock { $0.notes.append(text) } }
}
