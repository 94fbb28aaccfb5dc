import Recall
import RecallCore
import Synchronization

/// A log that remembers every operation, so that it can be copied as it was at any moment; and that can be made to lie.
final class TapeLog: MessageLog {
    enum Operation: Sendable {
        case begin(LogHeader)
        case append([LogEntry])
        case keep(Checkpoint, truncating: SequenceNumber)
        case adopt(Checkpoint, receipt: Receipt)
        case setAside(after: SequenceNumber, reason: String)
    }
    private let log = MemoryLog()
    private let tape = Mutex<[Operation]>([])
    private let lie = Mutex<(reads: Int, lie: (@Sendable (LogSlice) -> LogSlice)?)>((0, nil))

    init() {}

    /// Another log to which the operations of this one happened.
    convenience init(_ operations: [Operation]) async throws {
        self.init()
        _ = try await log.open()
        for operation in operations {
            tape.withLock { $0.append(operation) }
            switch operation {
            case .begin(let header): try await log.begin(header)
            case .append(let entries): try await log.append(entries)
            case .keep(let checkpoint, let number): try await log.keep(checkpoint, truncating: number)
            case .adopt(let checkpoint, let receipt): try await log.adopt(checkpoint, receipt: receipt)
            case .setAside(let number, let reason): try await log.setAside(after: number, reason: reason)
            }
        }
        await log.close()
    }

    /// What happened so far; appends split into single entries, so that a copy may end between any two.
    var operations: [Operation] {
        tape.withLock { tape in
            tape.flatMap { operation in
                if case .append(let entries) = operation { entries.map { Operation.append([$0]) } } else { [operation] }
            }
        }
    }

    /// A copy as the log is now, or as it was after its first `count` single entries.
    func copy(_ count: Int? = nil) async throws -> TapeLog {
        let operations = operations
        return try await TapeLog(Array(operations.prefix(count ?? operations.count)))
    }

    /// Slices are altered after so many reads: behind the back of whoever has verified the log in these.
    func alter(after reads: Int, _ lie: @escaping @Sendable (LogSlice) -> LogSlice) {
        self.lie.withLock { $0 = (reads, lie) }
    }

    var messageCount: Int {
        get async throws { try await log.slice(after: .zero, maximumBytes: 1 << 30).messages.count }
    }

    func open() async throws -> LogContents { try await log.open() }

    func begin(_ header: LogHeader) async throws {
        try await log.begin(header)
        tape.withLock { $0.append(.begin(header)) }
    }
    func append(_ entries: [LogEntry]) async throws {
        try await log.append(entries)
        tape.withLock { $0.append(.append(entries)) }
    }
    func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) async throws {
        try await log.keep(checkpoint, truncating: truncating)
        tape.withLock { $0.append(.keep(checkpoint, truncating: truncating)) }
    }
    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws {
        try await log.adopt(checkpoint, receipt: receipt)
        tape.withLock { $0.append(.adopt(checkpoint, receipt: receipt)) }
    }
    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        let slice = try await log.slice(after: number, maximumBytes: maximumBytes)
        return lie.withLock { state in
            state.reads -= 1
            return state.reads < 0 ? state.lie?(slice) ?? slice : slice
        }
    }
    func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try await log.receipt(atOrBefore: number)
    }
    func checkpoint(generation: Int) async throws -> Checkpoint? { try await log.checkpoint(generation: generation) }
    func setAside(after number: SequenceNumber, reason: String) async throws {
        try await log.setAside(after: number, reason: reason)
        tape.withLock { $0.append(.setAside(after: number, reason: reason)) }
    }
    func close() async { await log.close() }
}
