internal import Recall
internal import RecallCore

/// A store's log as one process has it open: every operation takes its time, may fail, and is seen by the store. Once
/// the process is dead it does nothing any more.
///
/// Confined to the simulation's thread.
class SimulatedLog: MessageLog, @unchecked Sendable {
    fileprivate let store: SimulatedStore
    fileprivate let process: SimulatedProcess
    fileprivate var log: (any MessageLog)?

    init(_ store: SimulatedStore, in process: SimulatedProcess) { (self.store, self.process) = (store, process) }

    func open() async throws -> LogContents {
        try await pass(.slowRead)
        let (log, contents) = try await store.open(in: process)
        self.log = log
        return contents
    }

    func begin(_ header: LogHeader) async throws { try await write(.begin(header)) }
    func append(_ entries: [LogEntry]) async throws { try await write(.append(entries)) }

    func keep(_ checkpoint: Checkpoint, truncating number: SequenceNumber) async throws {
        try await write(.keep(checkpoint, truncating: number))
    }

    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws { try await write(.adopt(checkpoint, receipt)) }

    func setAside(after number: SequenceNumber, reason: String) async throws {
        try await write(.setAside(after: number, reason: reason))
    }

    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        try await pass(.slowRead)
        store.failOneRead()
        return try await opened().slice(after: number, maximumBytes: maximumBytes)
    }

    func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try await pass(.slowRead)
        store.failOneRead()
        return try await opened().receipt(atOrBefore: number)
    }

    func checkpoint(generation: Int) async throws -> Checkpoint? {
        try await pass(.slowRead)
        store.failOneRead()
        return try await opened().checkpoint(generation: generation)
    }

    func close() async {
        guard !process.isDead else { return }
        await log?.close()
        log = nil
    }

    private func write(_ step: LogStep) async throws {
        // At its beginning, or when all but the answer is done: the process may die at either.
        guard !process.isDead else { throw died }
        store.began(step)
        try await pass(.slowWrite)
        try failIfDue()
        do { try await opened().carryOut(step) } catch {
            if !process.isDead { store.failed(isInDoubt: (store.medium as? SQLiteMedium)?.hasFailedSync == true) }
            throw error
        }
        guard !process.isDead else { throw died }
        store.finished(step)
        try await pass(.lateAnswer)
    }

    fileprivate func failIfDue() throws(RecallError) {
        guard !process.isDead else { throw died }
        if store.weather.strikes(.failWrite) { try failWrite() }
        if let medium = store.medium as? SQLiteMedium, store.weather.strikes(.failSync) { medium.failOne(.sync) }
        try store.failIfOrdered()
    }

    /// Of a file it is the next write that fails, in the middle of what the log does.
    private func failWrite() throws(RecallError) {
        if let medium = store.medium as? SQLiteMedium { return medium.failOne(.write) }
        store.weather.count(.failWrite)
        store.faulted()
        throw RecallError(.logFailed, "the disk cannot be written")
    }

    private func pass(_ fault: AmbientFault) async throws {
        store.operationBegan()
        let time = Int64(process.draw() % UInt64(max(1, store.latency / 2)))
        let due = process.timeline.now + time
        let late = store.weather.strikes(fault) ? store.weather.delay() : 0
        do { try await process.sleep(time + late) } catch { throw died }
        if late > 0 { store.weather.count(fault, due: due, in: process) }
    }

    fileprivate func opened() throws(RecallError) -> any MessageLog {
        guard !process.isDead, let log else { throw died }
        return log
    }

    fileprivate var died: RecallError { RecallError(.logFailed, "the process is dead") }
}

/// The same for a log that can mostly answer at once.
final class SimulatedImmediateLog: SimulatedLog, ImmediateMessageLog, @unchecked Sendable {
    func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool {
        try takeNow(.append(entries)) { log throws(RecallError) in try log.appendNow(entries) }
    }

    func keepNow(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) -> Bool {
        try takeNow(.keep(checkpoint, truncating: truncating)) { log throws(RecallError) in
            try log.keepNow(checkpoint, truncating: truncating)
        }
    }

    func sliceNow(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice? {
        guard process.draw() % 2 == 0, let log = try opened() as? any ImmediateMessageLog else { return nil }
        return try log.sliceNow(after: number, maximumBytes: maximumBytes)
    }

    private func takeNow(
        _ step: LogStep, _ take: (any ImmediateMessageLog) throws(RecallError) -> Bool
    ) throws(RecallError) -> Bool {
        guard let log = try opened() as? any ImmediateMessageLog else { return false }
        store.began(step)
        try failIfDue()
        let medium = store.medium as? SQLiteMedium
        do throws(RecallError) {
            guard try take(log) else {
                store.failed()
                return false
            }
        } catch {
            if medium?.isDying != true { store.failed(isInDoubt: medium?.hasFailedSync == true) }
            throw error
        }
        // A process that died in the middle of it ends with this event: it is not to go on as if it had appended.
        guard medium?.isDying != true else { throw died }
        store.finished(step)
        return true
    }
}
