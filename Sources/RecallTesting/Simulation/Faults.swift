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
    // Messages.
    case poisonMessage, spoilState
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
    var seed: UInt64
    /// Nanoseconds of virtual time with faults.
    var safety: Int64
    var faults: [PlannedFault]

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededGenerator(seed: seed ^ 0x5ce7_a410)
        safety = Int64.random(in: 8...45, using: &random) * 1_000_000_000
        // Some runs see a few kinds of fault often, others a little of everything.
        let all = SimulationFault.allCases
        let favourites = (0..<Int.random(in: 1...6, using: &random)).compactMap { _ in all.randomElement(using: &random)
        }
        let isNarrow = random.chance(50)
        let count = [3, 10, 30, 60].randomElement(using: &random) ?? 10
        faults = (0..<count).map { [safety] _ in
            let choices = isNarrow || random.chance(30) ? favourites : all
            return PlannedFault(
                time: Int64.random(in: 100_000_000...safety, using: &random),
                fault: choices.randomElement(using: &random) ?? .crashServer, target: random.next())
        }
        faults.sort { ($0.time, $0.target) < ($1.time, $1.target) }
    }
}
