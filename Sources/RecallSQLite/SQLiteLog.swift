internal import Dispatch
public import Recall
public import RecallCore
internal import Synchronization

extension MessageLog where Self == SQLiteLog {
    /// The log in a file, which is created at the first opening.
    public static func sqlite(
        _ path: String, durability: SQLiteLog.Durability = .process, whenDamaged: WhenDamaged = .refuse
    ) -> SQLiteLog {
        SQLiteLog(path: path, durability: durability, whenDamaged: whenDamaged)
    }
}

/// A log in an SQLite file, which survives the client's process and, with `.disk`, a loss of power.
///
/// Beside `FILE` live `FILE-wal` and `FILE-shm` while it is open, and `FILE.lock`, which stays. All are readable by
/// their owner only: the log holds the session's initialization vector, a secret. Keep it on a local file system.
///
/// Throws `logInUse` from `open` if any process, this one included, has the log open for writing; `logDamaged` if the
/// file is no SQLite file, nothing of it can be used, or messages or receipts are lost and `whenDamaged` is `.refuse`;
/// `logFailed`, naming the file and the reason, if it is of a newer version or of another application, if the system
/// refuses (a full disk, missing rights), or if an entry does not extend the log. After a failure the log is as it was
/// before the call, and the call may be repeated.
///
/// Opening reads and checks the whole log once. Of a damaged one it keeps the longest history without a gap and leaves
/// the original beside it as `FILE.damaged-1`, `-2` and so on, never deleted or overwritten; see `LogContents.damage`.
/// It does so by itself if all messages and receipts can be read, and no page's structure is damaged; or if the damage
/// is in SQLite's write-ahead log, as a loss of power may leave it: then the newest appends are lost.
public final class SQLiteLog: ImmediateMessageLog {
    /// What an append survives once it has returned. Headers, checkpoints and what is set aside survive a loss of power
    /// under either.
    public struct Durability: Hashable, Sendable, CustomStringConvertible {
        enum Level { case process, disk }
        let level: Level

        /// The client's crash or kill. A loss of power may lose the newest appends, never older ones or the log itself.
        public static let process = Durability(level: .process)
        /// A loss of power too: one sync for each append, so batches pay.
        public static let disk = Durability(level: .disk)

        public var description: String { level == .disk ? "disk" : "process" }

        var synchronous: String {
            #if RECALL_PLANTED_BUGS
                if PlantedBug.isActive(.syncForgotten) { return "OFF" }
            #endif
            return level == .disk ? "FULL" : "NORMAL"
        }
    }

    public let whenDamaged: WhenDamaged
    private let store: Store

    /// Touches no file before `open`.
    public convenience init(path: String, durability: Durability = .process, whenDamaged: WhenDamaged = .refuse) {
        self.init(path: path, durability: durability, whenDamaged: whenDamaged, executor: QueueExecutor())
    }

    /// A log whose work another executor does, which may block.
    package init(
        path: String, durability: Durability, whenDamaged: WhenDamaged = .refuse, executor: any SerialExecutor
    ) {
        self.whenDamaged = whenDamaged
        store = Store(path: path, durability: durability, whenDamaged: whenDamaged, executor: executor)
    }

    public func open() async throws -> LogContents { try await store.open() }
    public func begin(_ header: LogHeader) async throws { try await store.begin(header) }
    public func append(_ entries: [LogEntry]) async throws { try await store.append(entries) }
    public func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool { try store.appendNow(entries) }

    public func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) async throws {
        try await store.keep(checkpoint, truncating: truncating)
    }

    public func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws {
        try await store.adopt(checkpoint, receipt: receipt)
    }

    public func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        try await store.slice(after: number, maximumBytes: maximumBytes)
    }

    public func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try await store.receipt(atOrBefore: number)
    }

    public func checkpoint(generation: Int) async throws -> Checkpoint? {
        try await store.checkpoint(generation: generation)
    }

    public func setAside(after number: SequenceNumber, reason: String) async throws {
        try await store.setAside(after: number, reason: reason)
    }

    public func close() async { await store.close() }

    /// Makes writes fail as on a full disk once the file has that many pages of 4 KiB; for tests.
    package func limit(pages: Int) async throws { try await store.limit(pages: pages) }
}

/// What the log does, on a thread that may block: a sync takes milliseconds, and the concurrency pool has few threads.
/// Only a short append without a sync is done where its caller is, for a change of thread costs more than it does.
///
/// A dispatch queue lends that thread: a hop costs about 20 us there, the same as to a thread of the log's own
/// (measured), and an idle log holds none.
private actor Store {
    nonisolated private let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private struct Holding {
        // In this order: the connection is closed before the lock is let go.
        var writer: Writer?
        var lock: WriterLock?
    }

    private let path: String
    private let durability: SQLiteLog.Durability
    private let whenDamaged: WhenDamaged
    private let holding = Mutex(Holding())

    init(
        path: String, durability: SQLiteLog.Durability, whenDamaged: WhenDamaged, executor: any SerialExecutor
    ) {
        (self.path, self.durability, self.whenDamaged, self.executor) = (path, durability, whenDamaged, executor)
    }

    func open() throws(RecallError) -> LogContents {
        try holding.withLock { holding throws(RecallError) in
            guard holding.writer == nil else { throw RecallError(.logInUse, "\(path): this log is open already") }
            let opened = try Opening(path).run(durability, whenDamaged)
            (holding.lock, holding.writer) = (opened.lock, opened.writer)
            return opened.contents
        }
    }

    func begin(_ header: LogHeader) throws(RecallError) {
        try write { writer throws(RecallError) in try writer.begin(header) }
    }
    func append(_ entries: [LogEntry]) throws(RecallError) {
        try write { writer throws(RecallError) in try writer.append(entries) }
    }
    func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) {
        try write { writer throws(RecallError) in try writer.keep(checkpoint, truncating: truncating) }
    }
    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) throws(RecallError) {
        try write { writer throws(RecallError) in try writer.adopt(checkpoint, receipt: receipt) }
    }
    func setAside(after number: SequenceNumber, reason: String) throws(RecallError) {
        try write { writer throws(RecallError) in try writer.setAside(after: number, reason: reason) }
    }
    func slice(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice {
        try use { writer throws(RecallError) in try writer.slice(after: number, maximumBytes: maximumBytes) }
    }
    func receipt(atOrBefore number: SequenceNumber) throws(RecallError) -> Receipt? {
        try use { writer throws(RecallError) in try writer.queries.receipt(atOrBefore: number)?.receipt }
    }
    func checkpoint(generation: Int) throws(RecallError) -> Checkpoint? {
        try use { writer throws(RecallError) in try writer.queries.checkpoint(generation: generation) }
    }
    func limit(pages: Int) throws(RecallError) {
        try use { writer throws(RecallError) in
            _ = try writer.database.integer("PRAGMA max_page_count=\(pages)")
        }
    }

    /// Where the caller is; false if the queue is at work, or the append wants a thread that may block.
    nonisolated func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool {
        let path = path
        return try holding.withLockIfAvailable { holding throws(RecallError) in
            try Self.opened(holding, path).appendNow(entries)
        } ?? false
    }

    func close() { holding.withLock { $0 = Holding() } }

    private func write(_ body: (Writer) throws(RecallError) -> Void) throws(RecallError) {
        try use { writer throws(RecallError) in
            try body(writer)
            writer.tidy()
        }
    }

    private func use<R: Sendable>(_ body: (Writer) throws(RecallError) -> R) throws(RecallError) -> R {
        try holding.withLock { holding throws(RecallError) in try body(Self.opened(holding, path)) }
    }

    private static func opened(_ holding: Holding, _ path: String) throws(RecallError) -> Writer {
        guard let writer = holding.writer else { throw RecallError(.logFailed, "\(path): this log is not open") }
        return writer
    }
}

/// Runs an actor's jobs one after the other on a dispatch queue. (Dispatch's own executor is missing outside Apple's
/// systems.)
private final class QueueExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "recall.sqlite-log")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // Keeps the executor alive until the job has run.
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
