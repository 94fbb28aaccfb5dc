import Foundation
import Recall
import RecallCore
import RecallSQLite
import RecallTesting
import Testing

/// A seed of the test's own, printed; `RECALL_TEST_SEED` repeats a run.
func printedSeed(_ test: String = #function) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["RECALL_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0 ... .max)
    print("\(test) RECALL_TEST_SEED=\(seed)")
    return seed
}

/// Records that can be recomputed from their number, so that whatever is read back can be judged.
enum Fixture {
    static let header = LogHeader(
        session: SessionID(high: 1, low: 2), vector: digest(9), kindName: [65, 66], kindVersion: 4)

    // Made once: the tests compare them thousands of times.
    private static let contents = (0..<200 as Range<UInt64>).map { makeContent($0) }
    private static let marks = (0..<200 as Range<UInt64>).map { makeReceipt($0) }

    static func content(_ number: UInt64) -> [UInt8] {
        number < contents.count ? contents[Int(number)] : makeContent(number)
    }

    static func receipt(_ number: UInt64) -> Receipt {
        number < marks.count ? marks[Int(number)] : makeReceipt(number)
    }

    static func digest(_ value: UInt64) -> Digest {
        var generator = SeededGenerator(seed: value)
        return Digest((0..<32).map { _ in UInt8(truncatingIfNeeded: generator.next()) }) ?? Digest()
    }

    private static func makeContent(_ number: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: number)
        return (0..<20 + Int(number % 80)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// Every third update has some.
    static func determinants(_ number: UInt64) -> [UInt8] {
        number % 3 == 0 ? [1] + content(number + 500).prefix(8) : []
    }

    static func message(_ number: UInt64) -> LogEntry {
        .message(LoggedMessage(number: SequenceNumber(number), content: content(number)))
    }

    private static func makeReceipt(_ number: UInt64) -> Receipt {
        Receipt(
            position: Position(number: SequenceNumber(number), seal: digest(number), inputs: digest(number + 1_000)),
            outputs: digest(number + 2_000), time: WallTime(nanoseconds: Int64(number)), mac: digest(number + 3_000))
    }

    /// Covers everything after `covered`.
    static func acknowledgement(_ number: UInt64, after covered: UInt64) -> LogEntry {
        let determinants = (covered..<number).map { $0 + 1 }.filter { !self.determinants($0).isEmpty }
        return .acknowledgement(
            LoggedAcknowledgement(
                determinants: determinants.map { (SequenceNumber($0), self.determinants($0)) }, receipt: receipt(number)
            ))
    }

    /// Messages after `covered` up to `number`, and their receipt.
    static func batch(after covered: UInt64, to number: UInt64) -> [LogEntry] {
        (covered..<number).map { message($0 + 1) } + [acknowledgement(number, after: covered)]
    }

    static func checkpoint(_ number: UInt64) -> Checkpoint {
        Checkpoint(
            kindVersion: 4, position: receipt(number).position, outputs: digest(number + 2_000),
            time: WallTime(nanoseconds: 8), segments: [content(number + 70), content(number + 79)])
    }

    /// A log of 40 messages in batches of 5, 5 more without a receipt, and checkpoints at 10 and 20.
    static func fill(_ log: any MessageLog) async throws {
        try await fill(log, until: 40)
        try await fillRest(log, from: 40)
    }

    /// The beginning of such a log.
    static func fill(_ log: any MessageLog, until end: UInt64) async throws {
        _ = try await log.open()
        try await log.begin(header)
        for start in stride(from: 0, to: end, by: 5) {
            try await log.append(batch(after: start, to: start + 5))
            if start == 5 { try await log.keep(checkpoint(10), truncating: .zero) }
            if start == 15 { try await log.keep(checkpoint(20), truncating: SequenceNumber(10)) }
        }
    }

    /// The rest of it, to the open log.
    static func fillRest(_ log: any MessageLog, from start: UInt64) async throws {
        for start in stride(from: start, to: 40, by: 5) { try await log.append(batch(after: start, to: start + 5)) }
        try await log.append((41...45).map { message($0) })
    }

    static let last: UInt64 = 45
    static let receipts: [UInt64] = [15, 20, 25, 30, 35, 40]
}

/// What a log gives back, read through its public interface, and judged against the records it was filled with.
struct Readback: Equatable {
    var contents: [String]
    var last: UInt64
    var receipt: UInt64
    var messages: [UInt64]

    /// Reads everything. Records an issue for anything that was never written so; damage may only shorten.
    init(_ log: any MessageLog, _ found: LogContents, _ context: @autoclosure () -> String) async throws {
        contents = [
            "\(String(describing: found.header))", "\(found.checkpoints)", "\(String(describing: found.receipt))",
        ]
        last = found.last.rawValue
        receipt = found.receipt?.position.number.rawValue ?? 0
        messages = []
        #expect(found.header == Fixture.header, "\(context())")
        for (generation, summary) in found.checkpoints.enumerated() {
            let expected = Fixture.checkpoint(summary.position.number.rawValue)
            let checkpoint = try await log.checkpoint(generation: generation)
            #expect(checkpoint == expected, "\(context())")
        }
        if let receipt = found.receipt { #expect(receipt == Fixture.receipt(self.receipt), "\(context())") }
        // From the oldest message that is still there.
        var number = try await Self.first(log, found)
        while number < found.last {
            let slice = try await log.slice(after: number, maximumBytes: 300)
            guard !slice.messages.isEmpty else {
                Issue.record("no messages after \(number) of \(found.last); \(context())")
                break
            }
            for message in slice.messages {
                #expect(message.number == number.next, "\(context())")
                number = message.number
                messages.append(number.rawValue)
                #expect(message.content == Fixture.content(number.rawValue), "\(context())")
                let covered = number.rawValue <= receipt
                let expected = covered ? Fixture.determinants(number.rawValue) : []
                #expect(message.determinants == expected, "determinants of \(number); \(context())")
            }
            if let receipt = slice.receipt { #expect(receipt == Fixture.receipt(number.rawValue), "\(context())") }
        }
    }

    private static func first(_ log: any MessageLog, _ found: LogContents) async throws -> SequenceNumber {
        let candidates = [.zero] + found.checkpoints.reversed().map(\.position.number)
        for candidate in candidates {
            do {
                _ = try await log.slice(after: candidate, maximumBytes: 0)
                return candidate
            } catch let error as RecallError where error.code == .logFailed { continue }
        }
        return found.last
    }
}

/// The bytes of a log's files, to be put elsewhere, cut and flipped.
struct Image {
    var main: [UInt8]
    var writeAheadLog: [UInt8]?

    init(_ directory: TemporaryDirectory, _ name: String = "log") throws {
        main = try #require(directory.read(name))
        writeAheadLog = directory.read("\(name)-wal")
    }

    func write(to directory: TemporaryDirectory) throws {
        try directory.clear()
        try directory.write("log", main)
        if let writeAheadLog { try directory.write("log-wal", writeAheadLog) }
    }

    /// A filled log as a crash leaves it: its end is in the write-ahead log.
    static func crashed() async throws -> Image {
        let directory = try TemporaryDirectory()
        let log = SQLiteLog(path: directory.path("log"))
        try await Fixture.fill(log, until: 25)
        await log.close()
        _ = try await log.open()
        try await Fixture.fillRest(log, from: 25)
        let image = try Image(directory)
        await log.close()
        return image
    }

    /// A filled log that was closed.
    static func closed() async throws -> Image {
        let directory = try TemporaryDirectory()
        let log = SQLiteLog(path: directory.path("log"))
        try await Fixture.fill(log)
        await log.close()
        return try Image(directory)
    }
}
