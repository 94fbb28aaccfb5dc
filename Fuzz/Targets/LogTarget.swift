import Foundation
import Recall
import RecallCore
import RecallSQLite
import RecallTesting
import Synchronization

/// The SQLite log opened on a damaged file: nothing traps, what it gives is what was written, it takes new messages,
/// and opens again without damage.
enum LogTarget {
    private static let folder = scratchFolder + "/log"
    private static let path = folder + "/log"
    /// With all rows in the write-ahead log, and with all in the file itself.
    private static let written = [Recording(isClosed: false), Recording(isClosed: true)]

    /// A log's files as a client leaves them that was killed, or that closed it.
    private final class Recording: Sendable {
        let files: [(suffix: String, bytes: [UInt8])]
        let messages: [LoggedMessage]

        init(isClosed: Bool) {
            try? FileManager.default.removeItem(atPath: folder)
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let messages = (1...12).map { number in
                LoggedMessage(
                    number: SequenceNumber(UInt64(number)), content: Array("message \(number)".utf8),
                    determinants: number % 3 == 0 ? Array("outcome \(number)".utf8) : [])
            }
            let files = Mutex<[(String, [UInt8])]>([])
            Inline.run {
                let log = SQLiteLog(path: path, durability: .process, executor: Inline.shared)
                _ = try await log.open()
                try await log.begin(LogTarget.header)
                for message in messages {
                    try await log.append([.message(LoggedMessage(number: message.number, content: message.content))])
                    try await log.append([.acknowledgement(LogTarget.acknowledgement(message))])
                    for (index, checkpoint) in LogTarget.checkpoints.enumerated()
                    where checkpoint.position.number == message.number {
                        let forgotten = index > 0 ? LogTarget.checkpoints[index - 1].position.number : .zero
                        try await log.keep(checkpoint, truncating: forgotten)
                    }
                }
                if isClosed { await log.close() }
                files.withLock { files in
                    for suffix in ["", "-wal"] {
                        let data = FileManager.default.contents(atPath: path + suffix) ?? Data()
                        files.append((suffix, Array(data)))
                    }
                }
                if !isClosed { await log.close() }
            }
            self.messages = messages
            self.files = files.withLock { $0 }
            require(self.files.count { !$0.bytes.isEmpty } == (isClosed ? 1 : 2), "the recording is empty")
        }
    }

    private static let header = LogHeader(
        session: SessionID(high: 1, low: 2), vector: Digest([UInt8](repeating: 3, count: 32)) ?? Digest(),
        kindName: Array("story".utf8), kindVersion: 1)

    /// After the fourth message and the eighth, the first in two segments; the second lets the first four go.
    private static let checkpoints = [(4, [[5, 6], [7]]), (8, [[8, 9, 10]])].map { number, segments in
        Checkpoint(
            kindVersion: 1, position: position(SequenceNumber(number)), outputs: Digest(),
            time: WallTime(nanoseconds: 1), segments: segments)
    }

    private static func position(_ number: SequenceNumber) -> Position {
        Position(number: number, seal: Digest(), inputs: Digest())
    }

    private static func acknowledgement(_ message: LoggedMessage) -> LoggedAcknowledgement {
        let receipt = Receipt(
            position: position(message.number), outputs: Digest(), time: WallTime(nanoseconds: 1), mac: Digest())
        let determinants = message.determinants.isEmpty ? [] : [(number: message.number, bytes: message.determinants)]
        return LoggedAcknowledgement(determinants: determinants, receipt: receipt, supersedes: nil)
    }

    static func run(_ input: [UInt8]) {
        var script = Script(input)
        let recording = written[script.number(below: written.count)]
        try? FileManager.default.removeItem(atPath: folder)
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let whenDamaged: WhenDamaged = script.flag() ? .refuse : .salvage
        var isLogWhole = true
        for (suffix, bytes) in recording.files {
            var bytes = bytes
            script.spoil(&bytes)
            script.spoil(&bytes)
            if !suffix.isEmpty, bytes != recording.files[1].bytes { isLogWhole = false }
            guard suffix.isEmpty || !script.flag() else {
                isLogWhole = false
                continue
            }
            guard FileManager.default.createFile(atPath: path + suffix, contents: Data(bytes)) else { return }
        }
        let losesNothing = isLogWhole && whenDamaged == .refuse
        Inline.run { try await open(recording.messages, whenDamaged, losesNothing: losesNothing) }
    }

    private static func open(
        _ messages: [LoggedMessage], _ whenDamaged: WhenDamaged, losesNothing: Bool
    ) async throws {
        let log = SQLiteLog(path: path, durability: .process, whenDamaged: whenDamaged, executor: Inline.shared)
        let contents: LogContents
        do { contents = try await log.open() } catch { return check(error) }
        if losesNothing {
            let number = messages.last?.number ?? .zero
            require(contents.last == number, "messages after \(contents.last) were lost, unasked")
            require(contents.receipt?.position.number == number, "receipts were lost, unasked")
            // One stands for the other, and for the messages that were forgotten.
            require(!contents.checkpoints.isEmpty, "both checkpoints were lost, unasked")
        }
        if contents.header == nil {
            require(contents.last == .zero, "a log without a header has messages")
            return await log.close()
        }
        require(contents.header == header, "another header was read")
        require(contents.last <= (messages.last?.number ?? .zero), "the log ends past all that was written")
        for (generation, summary) in contents.checkpoints.enumerated() {
            let read = try await log.checkpoint(generation: generation)
            require(read?.position == summary.position, "another checkpoint was read than is listed")
            require(read.map(checkpoints.contains) == true, "a checkpoint was read that was never written")
        }
        // A salvaged log may have forgotten more than it was told to, but nothing that its older checkpoint wants.
        let first = contents.checkpoints.last?.position.number ?? .zero
        if contents.last > first {
            let slice = try await log.slice(after: first, maximumBytes: 1 << 20)
            for (read, wrote) in zip(slice.messages, messages.dropFirst(Int(first.rawValue))) {
                require(read.number == wrote.number && read.content == wrote.content, "another message was read")
                require(
                    read.determinants.isEmpty || read.determinants == wrote.determinants,
                    "other determinants were read")
            }
        }
        let next = contents.last.next
        try await log.append([.message(LoggedMessage(number: next, content: [1]))])
        await log.close()
        let again = SQLiteLog(path: path, durability: .process, executor: Inline.shared)
        let second = try await again.open()
        require(second.damage == nil, "the log is damaged again: \(second.damage ?? "")")
        require(second.last == next, "the log ends at \(second.last) after \(next) was appended")
        await again.close()
    }

    private static func check(_ error: any Error) {
        let code = (error as? RecallError)?.code
        require(code == .logDamaged || code == .logFailed, "opening threw \(error)")
    }
}

/// Runs asynchronous code on the calling thread, at once.
private final class Inline: SerialExecutor, TaskExecutor {
    static let shared = Inline()

    func enqueue(_ job: consuming ExecutorJob) {
        UnownedJob(job).runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }

    static func run(_ body: @escaping @Sendable () async throws -> Void) {
        let result = Mutex<Result<Void, any Error>?>(nil)
        Task.detached(executorPreference: shared) {
            do {
                try await body()
                result.withLock { $0 = .success(()) }
            } catch {
                result.withLock { $0 = .failure(error) }
            }
        }
        switch result.withLock({ $0 }) {
        case .success: break
        case .failure(let error): fatalError("threw \(error)")
        case nil: fatalError("did not end at once")
        }
    }
}
