internal import Recall
internal import RecallCore

/// How a log's file is opened for writing: locked, recognised, created if need be, checked, and salvaged if it is
/// damaged.
struct Opening {
    let path: String

    init(_ path: String) throws(RecallError) { self.path = try FileSystem.resolve(path) }

    func run(
        _ durability: SQLiteLog.Durability, _ whenDamaged: WhenDamaged
    ) throws(RecallError) -> (lock: WriterLock, writer: Writer, contents: LogContents) {
        // Before anything is created beside it: what is not ours is left as it was.
        let salvage = Salvage(path: path)
        if hasContent && !salvage.isPending { try Schema.identify(path) }
        let lock = try WriterLock(path)
        var damage = try salvage.finish()
        if !hasContent {
            damage = try salvage.setAsideOrphan(whenDamaged) ?? damage
            try create()
        }
        try Schema.identify(path)
        if let found = try findDamage() { damage = try salvage.run(found, whenDamaged) }
        let writer = try Writer(path, durability)
        var contents = try writer.queries.contents()
        contents.damage = damage
        return (lock, writer, contents)
    }

    /// An empty file is taken for one that is to become a log.
    private var hasContent: Bool { (FileSystem.size(path) ?? 0) > 0 }

    private func create() throws(RecallError) {
        let building = path + ".new"
        do throws(RecallError) {
            try FileSystem.create(building)
            let database = try Database(building, .readWrite)
            try database.execute("PRAGMA synchronous=FULL; PRAGMA fullfsync=ON")
            try Schema.create(in: database)
            try database.execute("PRAGMA journal_mode=WAL")
        } catch {
            try? FileSystem.remove(building)
            throw error
        }
        // Under its own name only once it is whole: no crash leaves half a log.
        try FileSystem.move(building, to: path)
        try FileSystem.syncDirectory(of: path)
    }

    /// The write-ahead log first: SQLite, once it has looked, would not tell what it dropped.
    private func findDamage() throws(RecallError) -> String? {
        let lost = WriteAheadLog.damage(path + "-wal")
        do throws(RecallError) {
            var survey = try Survey(Database(path, .readOnly))
            if let lost { survey.fault(lost) }
            return survey.damage
        } catch {
            guard error.code == .logDamaged else { throw error }
            return error.message
        }
    }
}

extension Salvage {
    /// True if an exchange was cut short.
    var isPending: Bool { FileSystem.exists(path + ".salvaged") }
}

extension Queries {
    func contents() throws(RecallError) -> LogContents {
        let head = try head()
        return LogContents(
            header: try header(), checkpoints: try checkpoints().map(\.summary),
            receipt: try receipt(atOrBefore: SequenceNumber(.max))?.receipt, last: head.last)
    }
}
