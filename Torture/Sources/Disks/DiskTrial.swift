internal import Foundation

/// What is wrong with the disk of a client's log.
enum DiskFault: CaseIterable, Sendable {
    /// No space is left on a small tmpfs.
    case full
    /// No file may grow beyond a limit: `ulimit -f`.
    case fileLimit
    /// `fsync` fails: `strace` injects it.
    case sync

    var row: Item {
        switch self {
        case .full: .diskFull
        case .fileLimit: .diskFileLimit
        case .sync: .diskSync
        }
    }
}

/// One session whose log meets the same fault several times, and that has to go on each time it is lifted.
struct DiskTrial: Sendable {
    private static let faults = 3
    /// More updates than any of the faults lets through.
    private static let updateLimit = 20_000

    let workspace: Workspace
    let judge: Judge
    let fault: DiskFault
    let server: Int
    private let name: String
    private var random: SeededGenerator

    init(_ workspace: Workspace, _ judge: Judge, _ fault: DiskFault, round: Int, server: Int) {
        (self.workspace, self.judge, self.fault, self.server) = (workspace, judge, fault, server)
        name = "\(fault)-\(round)"
        let place = UInt64(DiskFault.allCases.firstIndex(of: fault) ?? 0)
        random = SeededGenerator(seed: workspace.seed, stream: 40_000 + place * 1000 + UInt64(round))
    }

    mutating func run() async throws(TortureError) {
        let disk = fault == .full ? try workspace.mount(name, kilobytes: 16_384) : nil
        let kind: Kind = random.chance(0.7) ? .text : .json
        let maker = UpdateMaker(
            kind: kind, session: random.below(1000), random: SeededGenerator(seed: random.next(), stream: 0))
        let log = (disk?.path ?? workspace.folder + "/sessions") + "/\(name).db"
        let record = workspace.journal.begin(maker, name: name, log: log)
        let result: Result<Bool, TortureError>
        do throws(TortureError) { result = .success(try await suffer(record, disk)) } catch { result = .failure(error) }
        if let disk {
            if (try? result.get()) != true { keep(record) }
            workspace.unmount(disk)
        }
        _ = try result.get()
    }

    /// What is on a disk that goes away is evidence.
    private func keep(_ record: SessionRecord) {
        for ending in ["", "-wal"] {
            try? FileManager.default.copyItem(
                atPath: record.log + ending, toPath: "\(workspace.folder)/sessions/\(name).db\(ending)")
        }
    }

    /// False if anything is wrong.
    private mutating func suffer(_ record: SessionRecord, _ disk: SmallDisk?) async throws(TortureError) -> Bool {
        for number in 0..<Self.faults {
            // Sometimes the fault is there before the log is.
            if number > 0 || random.chance(0.7), !(try await goOn(record, updates: 20 + random.below(300))) {
                return false
            }
            guard try await fail(record, disk) else { return false }
        }
        guard try await goOn(record, updates: 50) else { return false }
        return await judge.judge(record, isComplete: true)
    }

    /// A client without a fault: so many more updates, and all of them answered.
    private mutating func goOn(_ record: SessionRecord, updates: Int) async throws(TortureError) -> Bool {
        let client = try await ClientProcess.start(workspace, record, plan([]))
        client.child.write(record.make(updates))
        client.child.closeInput()
        let end = await client.child.end(within: 60)
        if end == .code(0) { return true }
        _ = await client.child.killed()
        problem(record, "did not go on after the fault was lifted: \(end.map { "\($0)" } ?? "no end")")
        return false
    }

    /// A client with the fault: it has to end with an error that says what is wrong.
    private mutating func fail(_ record: SessionRecord, _ disk: SmallDisk?) async throws(TortureError) -> Bool {
        let before = Self.fileSize(record.log)
        let wrapper: [String]
        var isFull = false
        switch fault {
        case .full:
            wrapper = []
            isFull = random.chance(0.3)
            if isFull { try disk?.fill(leaving: random.below(5) * 4096) }
        case .fileLimit:
            // In blocks of 512 bytes.
            wrapper = shell("ulimit -f \(before / 512 + random.below(400))")
        case .sync:
            let inject = "inject=fsync,fdatasync:error=EIO:when=\(1 + random.below(40))+"
            wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject]
        }
        let client = try await ClientProcess.start(workspace, record, plan(wrapper))
        let free = random.below(64) * 4096
        let deadline = now() + 60
        while client.child.ended.value == nil, now() < deadline, record.now.updates.count < Self.updateLimit {
            if record.outstanding < 256 { client.child.write(record.make(1 + random.below(20))) }
            if let disk, !isFull, random.chance(0.2) {
                try disk.fill(leaving: free)
                isFull = true
            }
            await pause(0.01)
        }
        let end = await client.child.end(within: 30)
        if end == nil { _ = await client.child.killed() }
        disk?.clear()
        workspace.tally.add(fault.row)
        let words = record.now.words.joined(separator: " ")
        guard end == .code(1), words.contains("logFailed"), words.contains("What to do") else {
            problem(record, "no clear error of a client whose disk fails: \(end.map { "\($0)" } ?? "no end")")
            return false
        }
        return true
    }

    /// Only `disk` syncs as it goes, and so meets a failing one.
    private func plan(_ wrapper: [String]) -> ClientProcess.Plan {
        ClientProcess.Plan(
            servers: [server], durability: fault == .sync ? "disk" : "process", window: 64, wrapper: wrapper)
    }

    private func problem(_ record: SessionRecord, _ text: String) {
        workspace.tally.problem("\(record.name): \(text): \(record.now.said.prefix(400))")
    }

    /// Of the larger of the log's files.
    private static func fileSize(_ log: String) -> Int {
        ["", "-wal"].map { ending in
            var status = stat()
            return stat(log + ending, &status) == 0 ? Int(status.st_size) : 0
        }.max() ?? 0
    }
}
