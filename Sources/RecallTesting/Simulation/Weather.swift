/// A small fault that happens all through a run, at its place and as often as the run's seed says, where a
/// `SimulationFault` happens once and at its time.
///
/// What comes late counts only if its process did something meanwhile that would have come after it; a cut only if it
/// loses bytes; a full buffer only if somebody has to wait for it.
public enum AmbientFault: UInt8, CaseIterable, Sendable, Codable {
    // Deliveries.

    /// What was sent at once arrives in pieces, cut at any byte.
    case splitDelivery
    /// What was sent at once arrives byte by byte.
    case trickleDelivery
    /// What was sent piece by piece arrives at once.
    case mergeDeliveries
    /// A delivery, and all behind it on its connection, comes late.
    case delayDelivery
    /// The same with one that holds an acknowledgement.
    case holdAcknowledgement
    /// What was sent arrives when its sender has left the connection, and is perhaps on another one.
    case lateDelivery
    /// A frame of an earlier stream comes once more.
    case repeatDelivery
    /// The connection breaks, and a part of what was sent is lost.
    case cutInFrame
    /// The receiver takes no more for now.
    case fullBuffer
    /// An attempt to connect is refused.
    case refuseConnection
    /// An attempt to connect is not answered.
    case ignoreConnection

    // Processes.

    /// A timer fires late.
    case lateTimer
    /// A process gets no time for a while, and what it had to do comes behind what arrives meanwhile.
    case lateTask
    /// A server's clock is set forward or back.
    case stepClock

    // Disks.

    /// A write takes long.
    case slowWrite
    /// A write is done, and its answer comes late.
    case lateAnswer
    /// A read takes long.
    case slowRead
    /// A write fails.
    case failWrite
    /// A file cannot be synced: what was written may be there or not.
    case failSync
    /// A file cannot be read.
    case failRead
    /// A log that lost its power ends in the middle of what was written.
    case tornTail
    /// A log that lost its power lacks what was written and not promised.
    case lostTail

    // The outside service.

    /// The answer to an effect comes late.
    case slowEffect
    /// The answer to an effect is lost.
    case failEffect

    /// The case's name.
    public var name: String { "\(self)" }

    /// How often it happens at most, of 10,000 times that it could.
    fileprivate var rate: UInt64 {
        switch self {
        case .splitDelivery, .lateTimer: 7000
        case .delayDelivery, .holdAcknowledgement: 6000
        case .slowWrite, .lateAnswer, .slowRead: 5000
        case .slowEffect: 3000
        case .lateTask: 2000
        case .mergeDeliveries, .refuseConnection, .ignoreConnection: 1000
        case .repeatDelivery: 500
        case .failEffect, .stepClock: 300
        case .trickleDelivery: 100
        case .cutInFrame, .lateDelivery: 25
        case .failWrite: 10
        case .failSync: 30
        case .failRead: 300  // most reads are of pages that are in memory
        case .tornTail, .lostTail: 0  // they come of losses of power
        case .fullBuffer: 0  // the buffers are small or they are not
        }
    }
}

extension SimulatedDisk.Operation {
    /// What it is called when it fails.
    var fault: AmbientFault {
        switch self {
        case .write: .failWrite
        case .sync: .failSync
        case .read: .failRead
        }
    }
}

/// The small faults of a run: whether one happens here and now, and how many there were. Confined to the simulation's
/// thread.
final class Weather: @unchecked Sendable {
    private var random: SeededGenerator
    private var rates = [UInt64](repeating: 0, count: AmbientFault.allCases.count)
    private(set) var counts = [Int](repeating: 0, count: AmbientFault.allCases.count)
    /// Nothing happens any more.
    var isOver = false
    /// What may be under way on a connection before its sender has to wait, in bytes.
    let bufferBytes: Int

    /// - Parameter severity: 0 to 100, how much of each fault's rate there is.
    init(seed: UInt64, severity: Int) {
        random = SeededGenerator(seed: seed)
        // Every run leaves out some kinds, so that no fault always hides another.
        for fault in AmbientFault.allCases {
            let happens = random.chance(75)
            if happens { rates[Int(fault.rawValue)] = fault.rate * UInt64(severity) / 100 }
        }
        let isNarrow = random.chance(40)
        let narrow = [2 << 10, 16 << 10].randomElement(using: &random) ?? 0
        bufferBytes = severity > 0 && isNarrow ? narrow : Self.ampleBytes
    }

    static let ampleBytes = 4 << 20

    func strikes(_ fault: AmbientFault) -> Bool {
        let rate = rates[Int(fault.rawValue)]
        guard rate > 0, !isOver else { return false }
        return random.next() % 10_000 < rate
    }

    func count(_ fault: AmbientFault) { counts[Int(fault.rawValue)] += 1 }

    /// Counts a fault that made something late if its process did anything else since it was due.
    func count(_ fault: AmbientFault, due: Int64, in process: SimulatedProcess) {
        if process.lastEvent > due { count(fault) }
    }

    /// A number below a bound.
    func draw(below bound: Int) -> Int { Int(random.next() % UInt64(max(1, bound))) }

    /// Nanoseconds by which something is late: mostly little, now and then very much.
    func delay() -> Int64 {
        let longest: UInt64 =
            switch random.next() % 100 {
            case 0..<55: 1_000_000
            case 55..<90: 10_000_000
            case 90..<99: 200_000_000
            default: 2_000_000_000
            }
        return Int64(random.next() % longest) + 1
    }

    /// The same for processes, which are never out for long unless they are paused.
    func hiccup() -> Int64 { min(delay(), 50_000_000) }
}
