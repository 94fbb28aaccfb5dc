/// Something that a simulation does to the world it runs.
public enum SimulationFault: String, CaseIterable, Sendable, Codable {
    // Servers.
    case crashServer, crashBeforeApply, crashAfterApply, crashBeforeFlush
    case crashDuringRecall, crashDuringEffect, crashAfterEffect
    case deployServer, pauseServer, isolateServer
    case jumpClock, rotateKeys, retireKey
    case maddenDetector, deleteCopy, pressMemory
    // Clients.
    case crashClient, losePower, pauseClient, restoreBackup
    case slowDisk, failDisk, fillDisk, crashInWrite
    // The network.
    case cutConnection, halfOpen, delayDeliveries, lateFrames, repeatFrames, replayConnection, moveClient
    case staleServer
    // Messages.
    case poisonMessage, spoilState
    // What one side says, and the other must notice.
    case alterDeterminants, alterOffer, alterConfirmation
    // Histories that are not genuine, and code that is another.
    case forgeHistory, flipBits, spliceHistory, truncateHistory, otherVersion
}

extension SimulationFault {
    /// True if it is made of the simulation's own messages.
    var needsOwnMessages: Bool {
        switch self {
        case .poisonMessage, .spoilState, .forgeHistory, .flipBits, .spliceHistory, .truncateHistory, .otherVersion:
            true
        default: false
        }
    }
}

/// A fault at its time. What it hits is drawn from `target`, so that it stays the same when others are taken away.
struct PlannedFault: Hashable, Sendable, Codable {
    var time: Int64
    var fault: SimulationFault
    var target: UInt64
}

/// What happens in a run, beside what its seed alone decides.
struct Scenario: Sendable {
    /// How much happens in how little time.
    private enum Pace: CaseIterable {
        case storm, dense, calm

        var seconds: ClosedRange<Int64> {
            switch self {
            case .storm: 2...6
            case .dense: 5...15
            case .calm: 8...40
            }
        }
        var counts: [Int] {
            switch self {
            case .storm: [100, 200, 400]
            case .dense: [40, 80, 200]
            case .calm: [3, 10, 30, 60]
            }
        }
        var pauses: [Int64] {
            switch self {
            case .storm: [2_000_000, 20_000_000, 100_000_000, 400_000_000]
            case .dense: [20_000_000, 100_000_000, 500_000_000, 2_000_000_000]
            case .calm: [50_000_000, 1_000_000_000, 4_000_000_000, 15_000_000_000]
            }
        }
    }

    var seed: UInt64
    /// Nanoseconds of virtual time with faults.
    var safety: Int64
    var faults: [PlannedFault]
    /// There are many clients, of which each says little.
    let isCrowded: Bool
    /// 0 to 100, how often there are ambient faults.
    var severity: Int
    /// Nanoseconds for which something that goes away may stay away.
    let pauses: [Int64]
    /// Nanoseconds until a server that died at a point of its own is there again.
    var restart: Int64 { pauses[1] }

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededGenerator(seed: seed ^ 0x5ce7_a410)
        isCrowded = random.chance(1)
        let pace = isCrowded ? .dense : Pace.allCases.randomElement(using: &random) ?? .calm
        pauses = pace.pauses
        let safety = Int64.random(in: pace.seconds, using: &random) * 1_000_000_000
        self.safety = safety
        severity = [0, 20, 60, 100, 100, 100, 100, 100].randomElement(using: &random) ?? 100
        // Some runs see a few kinds of fault often, others a little of everything.
        let all = SimulationFault.allCases
        let favourites = (0..<Int.random(in: 1...6, using: &random)).compactMap { _ in
            all.randomElement(using: &random)
        }
        let isNarrow = random.chance(40)
        // Much depends on copies that stay where their client left them, and on effects whose copy is gone.
        let frequent: [SimulationFault] = [.moveClient, .staleServer, .deleteCopy]
        let count = pace.counts.randomElement(using: &random) ?? 10
        faults = (0..<count).map { _ in
            let choices = random.chance(25) ? frequent : isNarrow || random.chance(30) ? favourites : all
            return PlannedFault(
                time: Int64.random(in: 100_000_000...safety, using: &random),
                fault: choices.randomElement(using: &random) ?? .crashServer, target: random.next())
        }
        faults.sort { ($0.time, $0.target) < ($1.time, $1.target) }
    }
}
