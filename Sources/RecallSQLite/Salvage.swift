internal import Recall
internal import RecallCore

/// Replaces a damaged log by what can be read of it, and keeps the original beside it.
///
/// The new file is complete and synced under the name `FILE.salvaged` before the original is touched; from then on the
/// exchange can be finished whenever the process died in it, which `finish` does at the next opening.
struct Salvage {
    let path: String

    private var building: String { path + ".new" }
    private var salvaged: String { path + ".salvaged" }

    /// Returns a sentence that tells what was kept and where the original is.
    ///
    /// What a damaged write-ahead log had does not count as lost: a loss of power may leave it so, whatever was
    /// promised, with nothing in it that an append has returned for.
    func run(_ damage: String, _ whenDamaged: WhenDamaged) throws(RecallError) -> String {
        let (survey, mode, ends) = try best()
        guard survey.header != nil else {
            throw RecallError(
                .logDamaged,
                "\(path): its header cannot be read (\(damage)), so nothing of it can be used; left untouched")
        }
        let plan = Plan(survey)
        guard plan.isUsable else {
            throw RecallError(
                .logDamaged,
                "\(path): no receipt is left that proves a checkpoint (\(damage)), and the beginning was forgotten; "
                    + "left untouched")
        }
        guard whenDamaged == .salvage || plan.reaches(ends) else {
            throw RecallError(
                .logDamaged,
                "\(path): \(damage). What follows message \(plan.receipt ?? plan.base) cannot be read in full; left "
                    + "untouched. Restore a copy, or go on without what is lost: 'recall log salvage', or the "
                    + "log's whenDamaged")
        }
        do throws(RecallError) {
            try build(from: source(mode), survey, plan)
            if let damage = try Survey(Database(building, .readOnly)).damage {
                throw RecallError(.logDamaged, "\(path): cannot be salvaged: \(damage); left untouched")
            }
            try removeSides(of: building)
        } catch {
            try? FileSystem.remove(building)
            try? removeSides(of: building)
            throw error
        }
        try FileSystem.move(building, to: salvaged)
        try FileSystem.syncDirectory(of: path)
        let kept = try exchange()
        return "\(path): \(damage). Kept up to message \(plan.last); the damaged file is \(kept)"
    }

    /// What SQLite leaves beside a file that was only read.
    private func removeSides(of file: String) throws(RecallError) {
        try FileSystem.remove(file + "-wal")
        try FileSystem.remove(file + "-shm")
    }

    /// Finishes an exchange that was cut short. A sentence about it, or nil if there was none.
    func finish() throws(RecallError) -> String? {
        try FileSystem.remove(building)
        try removeSides(of: building)
        guard FileSystem.exists(salvaged) else { return nil }
        _ = try exchange()
        return "\(path): was damaged and salvaged by an earlier opening; the damaged file is kept beside it"
    }

    /// With the write-ahead log or without it, whichever reaches further: one damaged in its middle may lay old pages
    /// over newer ones that SQLite had already brought home. The ends are those that either shows, if it is the file
    /// alone.
    private func best() throws(RecallError) -> (Survey, Database.Mode, Ends) {
        let alone = try? Survey(source(.immutable))
        do throws(RecallError) {
            let whole = try Survey(source(.readOnly))
            guard let alone, Self.rank(alone) > Self.rank(whole) else { return (whole, .readOnly, whole.ends) }
            return (alone, .immutable, alone.ends.union(whole.ends))
        } catch {
            guard error.code == .logDamaged, let alone else { throw error }
            return (alone, .immutable, alone.ends)
        }
    }

    private func source(_ mode: Database.Mode) throws(RecallError) -> Database {
        let database = try Database(path, mode)
        try database.tolerate()
        return database
    }

    private static func rank(_ survey: Survey) -> (Int, Int64, Int64) {
        let plan = Plan(survey)
        return (survey.header == nil ? 0 : 1, plan.last, plan.receipt ?? -1)
    }

    private func build(from source: Database, _ survey: Survey, _ plan: Plan) throws(RecallError) {
        try FileSystem.remove(building)
        try FileSystem.create(building)
        let target = try Database(building, .readWrite)
        try target.execute("PRAGMA synchronous=FULL; PRAGMA fullfsync=ON")
        try Schema.create(in: target)
        try target.execute("BEGIN IMMEDIATE")
        let checkpoints = plan.checkpoints
        try copy(.header, source, target) { $0 == 0 }
        var bounds = Bounds()
        bounds.base = plan.base
        bounds.determinants = plan.determinants
        bounds.checkpoints = UInt32(clamping: checkpoints.count)
        try target.cached(Schema.Table.header.insertion)
            .insert(number: Bounds.number, bounds.row, sum: Schema.Table.header.sum(Bounds.number, bounds.row))
        try copy(.messages, source, target) { plan.messages?.contains($0) ?? false }
        let covered = plan.base...max(plan.base, plan.receipt ?? -1)
        try copy(.receipts, source, target) { plan.receipt != nil && covered.contains($0) }
        try copy(.determinants, source, target) { $0 > plan.base && covered.contains($0) }
        let numbers = checkpoints.map { $0.summary.position.number.clampedRow }
        try copy(.checkpoints, source, target, where: numbers.contains)
        try copy(.segments, source, target) { number in
            checkpoints.contains { number >= $0.firstSegment && number < $0.firstSegment + Int64($0.segmentCount) }
        }
        try target.execute("COMMIT")
        // Set aside earlier: of no use to the log, so its loss is no failure. The original has it, too.
        try? copyAside(source, target)
        try target.execute("PRAGMA journal_mode=WAL")
    }

    private func copy(
        _ table: Schema.Table, _ source: Database, _ target: Database, where isWanted: (Int64) -> Bool
    ) throws(RecallError) {
        let insertion = try target.cached(table.insertion)
        try source.scan(table) { number, row throws(RecallError) in
            guard isWanted(number) else { return }
            let bytes = row.bytes(1)
            try insertion.insert(number: number, bytes, sum: table.sum(number, bytes))
        } fault: { _ in
        }
    }

    private func copyAside(_ source: Database, _ target: Database) throws(RecallError) {
        let rows = try source.prepare("SELECT number, bytes, sum, origin, reason FROM aside ORDER BY id")
        let insertion = try target.prepare(
            "INSERT INTO aside (number, bytes, sum, origin, reason) VALUES (?, ?, ?, ?, ?)")
        while try rows.step() {
            try insertion.bind(rows.text(3) ?? "", at: 4)
            try insertion.bind(rows.text(4) ?? "", at: 5)
            try insertion.insert(number: rows.integer(0), rows.bytes(1), sum: UInt64(bitPattern: rows.integer(2)))
        }
    }

    /// Moves the original aside and the salvaged file into its place. The write-ahead log goes first: beside the new
    /// file it would be taken for the new file's own.
    private func exchange() throws(RecallError) -> String {
        // One that is empty is a reader's, which opened the file after its own had been moved.
        if FileSystem.size(path + "-wal") == 0 { try FileSystem.remove(path + "-wal") }
        let kept = asideName()
        if FileSystem.exists(path + "-wal") { try FileSystem.move(path + "-wal", to: kept + "-wal") }
        try FileSystem.remove(path + "-shm")
        if FileSystem.exists(path) { try FileSystem.move(path, to: kept) }
        try FileSystem.syncDirectory(of: path)
        try FileSystem.move(salvaged, to: path)
        try FileSystem.syncDirectory(of: path)
        return kept
    }

    /// A write-ahead log whose file is gone or empty: there is no telling what its pages belong to, and SQLite must not
    /// lay them over a new file.
    func setAsideOrphan(_ whenDamaged: WhenDamaged) throws(RecallError) -> String? {
        guard let size = FileSystem.size(path + "-wal") else { return nil }
        guard size > 0 else {
            try FileSystem.remove(path + "-wal")
            return nil
        }
        guard whenDamaged == .salvage else {
            throw RecallError(
                .logDamaged,
                "\(path): empty or missing, with a write-ahead log beside it; left untouched. Restore a copy, or begin "
                    + "anew: 'recall log salvage', or the log's whenDamaged")
        }
        let kept = asideName() + "-orphan"
        try FileSystem.move(path + "-wal", to: kept)
        try FileSystem.syncDirectory(of: path)
        return "\(path): empty or missing, with a write-ahead log beside it, which is now \(kept)"
    }

    /// The first free `FILE.damaged-N`. One whose write-ahead log alone is there belongs to an exchange that was cut
    /// short, unless there is another write-ahead log to keep.
    private func asideName() -> String {
        let needsBoth = FileSystem.exists(path + "-wal")
        var number = 1
        while true {
            let name = "\(path).damaged-\(number)"
            let isTaken = FileSystem.exists(name) || FileSystem.exists(name + "-orphan")
            if !isTaken, !(needsBoth && FileSystem.exists(name + "-wal")) { return name }
            number += 1
        }
    }
}
