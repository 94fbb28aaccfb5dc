internal import Recall
internal import RecallCore

/// What a client has on its disk for one session: a log, what of it must be there after a crash, and the disk's moods.
/// It outlives the client's processes. Confined to the simulation's thread.
final class SimulatedStore: @unchecked Sendable {
    let medium: any LogMedium
    private(set) var view = LogView()
    private var steps: [LogStep] = []
    /// Steps that a loss of power must leave.
    private var promised = 0
    /// A step that is being carried out: if the process dies now it may be there or not.
    private var unfinished: LogStep?
    /// The place of a step of which only the next opening tells whether it was carried out.
    private var uncertain: Int?
    /// Steps that must be found at the next opening; nil if nothing happened that may have taken some away.
    private var least: Int?
    /// The machine lost its power since it was opened last, in the middle of whatever was being written.
    private var hasLostPower = false

    /// Told of every step when it has happened.
    var onStep: (LogStep) -> Void = { _ in }
    /// Told when the log turns out to hold less than before: the view as it was.
    var onLoss: (_ before: LogView) -> Void = { _ in }
    /// Told what a log must never do.
    var onBreach: (String) -> Void = { _ in }

    /// Nanoseconds that an operation takes, at most.
    var latency: Int64 = 0
    /// So many of the next operations fail, with this text.
    private var failures = (count: 0, text: "")
    /// Told once: at the first operation that is slowed down, and when one fails that was to.
    private var onSlowness: (() -> Void)?
    private var onFailure: (() -> Void)?
    /// What failed since the process began that has it open.
    private(set) var faults = 0

    private var random: SeededGenerator

    let weather: Weather

    init(_ medium: any LogMedium, seed: UInt64, _ weather: Weather) {
        (self.medium, random, self.weather) = (medium, SeededGenerator(seed: seed), weather)
        guard let medium = medium as? SQLiteMedium else { return }
        medium.onOrderedFault = { [unowned self] in
            onFailure?()
            onFailure = nil
        }
        medium.onFailure = { weather.count($0.fault) }
        medium.onFault = { [unowned self] in faults += 1 }
    }

    /// All that was written and is not lost.
    var history: [LogStep] { steps }

    // MARK: What happens to it

    func began(_ step: LogStep) { unfinished = step }

    /// - Parameter isInDoubt: the step may be there all the same.
    func failed(isInDoubt: Bool = false) { if !isInDoubt { unfinished = nil } }

    /// The disk itself did not do what it was asked.
    func faulted() {
        faults += 1
        failed()
    }

    func finished(_ step: LogStep) {
        unfinished = nil
        steps.append(step)
        view.apply(step)
        if medium.isDurable(step) { promised = steps.count }
        medium.finished(random: &random)
        onStep(step)
    }

    /// The process that had it open died, or the whole machine did.
    func died(isPowerLoss: Bool, random: inout SeededGenerator) {
        (failures.count, faults, onFailure) = (0, 0, nil)
        if isPowerLoss { hasLostPower = true }
        let finished = steps.count
        if let unfinished {
            uncertain = steps.count
            steps.append(unfinished)
        }
        unfinished = nil
        let survives = isPowerLoss ? promised : finished
        least = min(least ?? survives, survives)
        medium.died(isPowerLoss: isPowerLoss, survives...steps.count, random: &random)
    }

    /// An old backup takes its place; false if there is none.
    func restoreBackup(random: inout SeededGenerator) -> Bool {
        guard medium.restoreBackup(steps: steps.count, random: &random) else { return false }
        least = 0
        return true
    }

    // MARK: What is done to the disk

    /// Every operation takes up to so many nanoseconds from now on.
    func slowDown(by latency: Int64, _ onSlowness: @escaping () -> Void) {
        (self.latency, self.onSlowness) = (latency, onSlowness)
    }

    func speedUp() { (latency, onSlowness) = (1_000_000, nil) }

    func operationBegan() {
        onSlowness?()
        onSlowness = nil
    }

    /// So many of the next writes fail. What is returned ends that, for a medium on which it does not end by itself.
    func fail(_ count: Int, isFull: Bool, _ onFailure: @escaping () -> Void) -> (() -> Void)? {
        self.onFailure = onFailure
        guard let medium = medium as? SQLiteMedium else {
            failures = (count, isFull ? "the disk is full" : "the disk cannot be written")
            return nil
        }
        medium.fail(count, isFull: isFull)
        return { medium.recover() }
    }

    /// Throws if this operation is one of those that are to fail.
    func failIfOrdered() throws(RecallError) {
        guard failures.count > 0 else { return }
        failures.count -= 1
        onFailure?()
        onFailure = nil
        faulted()
        throw RecallError(.logFailed, failures.text)
    }

    /// Nothing more fails.
    func calmDown() {
        (failures.count, onSlowness, onFailure) = (0, nil, nil)
        (medium as? SQLiteMedium)?.calmDown()
    }

    // MARK: Opening

    func open(in process: SimulatedProcess) async throws -> (any MessageLog, LogContents) {
        let log = try await medium.open(steps, in: process)
        failOneRead()
        let contents = try await log.open()
        // What a dead process finds is no matter: its successor looks for itself.
        guard !process.isDead else { throw RecallError(.logFailed, "the process is dead") }
        if let damage = contents.damage, !hasLostPower { onBreach("nothing was damaged, and it says: \(damage)") }
        guard let found = beginning(contents) else {
            onBreach("the log holds what was never written: it ends at \(contents.last), of \(view.last) written")
            return (log, contents)
        }
        do {
            let difference = try await found.view.difference(from: log)
            guard !process.isDead else { throw RecallError(.logFailed, "the process is dead") }
            if let difference { onBreach(difference) }
        } catch {
            await log.close()
            throw error
        }
        if contents.damage != nil { weather.count(.tornTail) }
        // What was being written when the power went was not written yet.
        if hasLostPower, found.count < uncertain ?? steps.count { weather.count(.lostTail) }
        settle(found.count, found.view)
        return (log, contents)
    }

    /// The next read of a file fails, now and then.
    func failOneRead() {
        if let medium = medium as? SQLiteMedium, weather.strikes(.failRead) { medium.failOne(.read) }
    }

    /// How much of what was written the log still has: it must be a beginning of it.
    private func beginning(_ contents: LogContents) -> (count: Int, view: LogView)? {
        var found: (count: Int, view: LogView)?
        var candidate = LogView()
        if candidate.matches(contents) { found = (0, candidate) }
        for (index, step) in steps.enumerated() {
            candidate.apply(step)
            if candidate.matches(contents) { found = (index + 1, candidate) }
        }
        return found
    }

    /// From now on it is what was found.
    private func settle(_ count: Int, _ found: LogView) {
        let before = view
        if count < least ?? steps.count {
            onBreach("the log lost \(steps.count - count) of \(steps.count) steps against its promise")
        }
        (least, hasLostPower) = (nil, false)
        steps.removeLast(steps.count - count)
        promised = min(promised, steps.count)
        medium.opened(steps: steps.count)
        view = found
        if let uncertain, uncertain < steps.count { onStep(steps[uncertain]) }
        uncertain = nil
        if view.last < before.last || view.acknowledged < before.acknowledged { onLoss(before) }
    }
}

/// Where a simulated log's bytes are.
protocol LogMedium: AnyObject {
    /// True if a loss of power leaves that step, once it was carried out.
    func isDurable(_ step: LogStep) -> Bool
    /// The log as a new process finds it, not open yet. `steps` is all that may be in it.
    func open(_ steps: [LogStep], in process: SimulatedProcess) async throws -> any MessageLog
    /// A step was carried out.
    func finished(random: inout SeededGenerator)
    /// The process that had it open is dead; how many steps are left must be in the range.
    func died(isPowerLoss: Bool, _ survivors: ClosedRange<Int>, random: inout SeededGenerator)
    /// It was opened, and found to hold so many steps.
    func opened(steps: Int)
    /// Goes back to an earlier state; false if there is none.
    func restoreBackup(steps: Int, random: inout SeededGenerator) -> Bool
}

/// A log in memory that stands for one on a disk: it survives its process, and loses what was not synced with power.
final class MemoryMedium: LogMedium {
    private var memory = MemoryLog()
    private let syncsAlways: Bool
    /// How many steps are left; nil while nothing happened to them.
    private var kept: Int?

    /// - Parameter syncsAlways: every append is durable on return, not only headers and checkpoints.
    init(syncsAlways: Bool) { self.syncsAlways = syncsAlways }

    func isDurable(_ step: LogStep) -> Bool { if case .append = step { syncsAlways } else { true } }

    func finished(random: inout SeededGenerator) {}
    func opened(steps: Int) {}

    func open(_ steps: [LogStep], in process: SimulatedProcess) async throws -> any MessageLog {
        guard let kept else { return memory }
        self.kept = nil
        memory = MemoryLog()
        _ = try await memory.open()
        for step in steps.prefix(kept) { try await memory.carryOut(step) }
        await memory.close()
        return memory
    }

    func died(isPowerLoss: Bool, _ survivors: ClosedRange<Int>, random: inout SeededGenerator) {
        let count = Int.random(in: survivors, using: &random)
        kept = min(kept ?? count, count)
    }

    func restoreBackup(steps: Int, random: inout SeededGenerator) -> Bool {
        guard steps > 3 else { return false }
        kept = Int.random(in: 2..<steps, using: &random)
        return true
    }
}

extension MessageLog {
    func carryOut(_ step: LogStep) async throws {
        switch step {
        case .begin(let header): try await begin(header)
        case .append(let entries): try await append(entries)
        case .keep(let checkpoint, let number): try await keep(checkpoint, truncating: number)
        case .adopt(let checkpoint, let receipt): try await adopt(checkpoint, receipt: receipt)
        case .setAside(let number, let reason): try await setAside(after: number, reason: reason)
        }
    }
}
