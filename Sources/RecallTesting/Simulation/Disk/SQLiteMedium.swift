internal import Foundation
internal import Recall
internal import RecallSQLite

/// A real SQLite log on a simulated disk. Each process that opens it finds the files in a folder of its own, as the
/// death of the last one left them. Confined to the simulation's thread.
final class SQLiteMedium: LogMedium, @unchecked Sendable {
    private let files: ScratchFiles
    private let name: String
    private let durability: SQLiteLog.Durability
    private var disk: SimulatedDisk?
    private var folders = 0
    /// What the next process finds.
    private var image: SimulatedDisk.Image = [:]
    /// What was put aside now and then.
    private var backups: [(steps: Int, image: SimulatedDisk.Image)] = []
    private var finishedCount = 0

    init(_ name: String, in files: ScratchFiles, durability: SQLiteLog.Durability) {
        (self.name, self.files, self.durability) = (name, files, durability)
    }

    func isDurable(_ step: LogStep) -> Bool { if case .append = step { durability == .disk } else { true } }

    func open(_ steps: [LogStep], in process: SimulatedProcess) async throws -> any MessageLog {
        let disk: SimulatedDisk
        if let present = self.disk {
            disk = present
        } else {
            folders += 1
            // The process that died before the last one has let go of its files.
            if folders > 2 { files.remove("\(name)-\(folders - 2)") }
            disk = try SimulatedDisk(folder: try files.folder("\(name)-\(folders)"), image: image)
            disk.onFault = onFault
            disk.onOrderedFault = onOrderedFault
            self.disk = disk
            guard SimulatedFiles.add(disk) else { throw RecallError(.logFailed, "SQLite takes no file system") }
            files.onRemove.append { SimulatedFiles.remove(disk) }
        }
        let path = disk.folder.appending(path: "log.db").path
        return SQLiteLog(path: path, durability: durability, executor: SimulatedSerialExecutor(process))
    }

    func finished(random: inout SeededGenerator) {
        finishedCount += 1
        if let disk, random.chance(2), backups.count < 4 { backups.append((finishedCount, disk.files())) }
    }

    func died(isPowerLoss: Bool, _ survivors: ClosedRange<Int>, random: inout SeededGenerator) {
        guard let disk else { return }
        image = disk.image(isPowerLoss: isPowerLoss, random: &random)
        leave(disk)
    }

    func opened(steps: Int) {
        finishedCount = steps
        // Later ones are of a future that is not going to be.
        backups.removeAll { $0.steps > steps }
    }

    func restoreBackup(steps: Int, random: inout SeededGenerator) -> Bool {
        guard let backup = backups.randomElement(using: &random) else { return false }
        image = backup.image
        if let disk { leave(disk) }
        return true
    }

    /// The dead process closes its files in its own time; nobody looks at them again.
    private func leave(_ disk: SimulatedDisk) {
        // Nor do they fail any more, or kill its successor.
        disk.live()
        (disk.failing, disk.failures, disk.isFull) = ([:], 0, false)
        self.disk = nil
    }

    // MARK: Faults

    func fail(_ count: Int, isFull: Bool) {
        disk?.failures = isFull ? 0 : count
        disk?.isFull = isFull
    }

    /// Told of everything that fails.
    var onFault: () -> Void = {}

    /// Told of what fails for `fail`.
    var onOrderedFault: () -> Void = {}

    /// Told of everything that fails for `failOne`.
    var onFailure: (SimulatedDisk.Operation) -> Void = { _ in }

    /// The next operation of that kind fails.
    func failOne(_ operation: SimulatedDisk.Operation) {
        disk?.failing[operation] = { [onFailure] in onFailure(operation) }
    }

    /// What was written before a sync that failed may be found all the same.
    var hasFailedSync: Bool { disk?.hasFailedSync == true }

    func recover() {
        disk?.failures = 0
        disk?.isFull = false
        disk?.failing = [:]
    }

    /// Nothing more goes wrong.
    func calmDown() {
        recover()
        disk?.live()
    }

    /// The process died in the middle of a write, and is about to end.
    var isDying: Bool { disk?.captured != nil }

    func die(afterWrites count: Int, _ onDeath: @escaping () -> Void) { disk?.die(afterWrites: count, onDeath) }
}

/// Runs a log's jobs on a simulated process.
private final class SimulatedSerialExecutor: SerialExecutor {
    private let process: SimulatedProcess

    init(_ process: SimulatedProcess) { self.process = process }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Keeps the executor alive until the job has run.
        process.execute { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
