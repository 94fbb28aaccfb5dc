import Recall
import RecallCore
import RecallSQLite
import RecallTesting
import Testing

/// Opens what a crash or a failing disk may leave. Nothing may trap, nothing altered may be read, nothing may be lost
/// silently.
@Suite struct DamageTests {
    /// What came of opening an image.
    enum Outcome: Equatable {
        case opened(Readback, damage: String?)
        case refused(RecallError.Code)
    }

    /// Opens, reads everything, appends and closes; the files stay for inspection.
    static func open(
        _ image: Image, in directory: TemporaryDirectory, whenDamaged: WhenDamaged = .salvage, _ context: String
    ) async throws -> Outcome {
        try image.write(to: directory)
        let log = SQLiteLog(path: directory.path("log"), whenDamaged: whenDamaged)
        var isOpen = false
        do {
            let found = try await log.open()
            isOpen = true
            let readback = try await Readback(log, found, context)
            try await log.append([Fixture.message(readback.last + 1)])
            await log.close()
            return .opened(readback, damage: found.damage)
        } catch let error as RecallError {
            await log.close()
            #expect([.logDamaged, .logFailed].contains(error.code), "\(error); \(context)")
            // A log that opens can be read and written.
            #expect(!isOpen, "\(error); \(context)")
            return .refused(error.code)
        }
    }

    /// What opens although it is damaged, unasked, has lost nothing but checkpoints and what they stand for; what does
    /// not is left as it was.
    static func expectNothingLost(
        _ image: Image, of whole: Readback, in directory: TemporaryDirectory, _ context: String
    ) async throws {
        switch try await open(image, in: directory, whenDamaged: .refuse, context) {
        case .opened(let readback, _):
            #expect(readback.last == whole.last && readback.receipt == whole.receipt, "lost; \(context)")
        case .refused: #expect(directory.holds("log", image.main), "a refused file was changed; \(context)")
        }
    }

    /// The numbers of the frames that end a commit, with the byte at which each ends.
    static func commits(_ writeAheadLog: [UInt8]) -> [Int] {
        stride(from: 32, to: writeAheadLog.count, by: frameSize)
            .filter { writeAheadLog[$0 + 4..<$0 + 8].contains { $0 != 0 } }.map { $0 + frameSize }
    }
    static let frameSize = 24 + 4096

    /// What there is to try is dealt out to so many cases, which run side by side.
    static let parts = 4

    @Test(arguments: 0..<parts) func cutWriteAheadLog(part: Int) async throws {
        let image = try await Image.crashed()
        let bytes = try #require(image.writeAheadLog)
        let commits = Self.commits(bytes)
        #expect(commits.last == bytes.count)
        let directory = try TemporaryDirectory()
        // What the log holds after each of the last commits, from a cut exactly there.
        var complete: [Int: Readback] = [:]
        for end in commits {
            var cut = image
            cut.writeAheadLog = Array(bytes[..<end])
            guard case .opened(let readback, nil) = try await Self.open(cut, in: directory, "commit at \(end)") else {
                Issue.record("a commit at \(end) does not open")
                continue
            }
            complete[end] = readback
        }
        #expect(complete[bytes.count]?.last == Fixture.last)
        // Every byte of the last two commits, a receipt and what is not acknowledged; every 97th of the one before.
        let (start, dense) = (commits[commits.count - 4], commits[commits.count - 3])
        for length in start...bytes.count where length % Self.parts == part {
            guard length >= dense || (length - 32) % Self.frameSize % 97 == 0 else { continue }
            var cut = image
            cut.writeAheadLog = Array(bytes[..<length])
            let end = try #require(commits.last { $0 <= length })
            let whole = try #require(complete[end])
            try cut.write(to: directory)
            let log = SQLiteLog(path: directory.path("log"))
            let found = try await log.open()
            #expect(found.last.rawValue == whole.last && found.damage == nil, "cut at \(length)")
            #expect((found.receipt?.position.number.rawValue ?? 0) == whole.receipt, "cut at \(length)")
            if length % 13 == 0 {
                let readback = try await Readback(log, found, "cut at \(length)")
                #expect(readback == whole, "cut at \(length)")
            }
            await log.close()
        }
    }

    /// Frames may reach the disk in any order: if the commit that they belong to was never finished, nothing is lost.
    @Test func anUnfinishedCommitIsNoDamage() async throws {
        var image = try await Image.crashed()
        let bytes = try #require(image.writeAheadLog)
        let commits = Self.commits(bytes)
        let (start, end) = (commits[commits.count - 3], commits[commits.count - 2])
        try #require(end - start > 2 * Self.frameSize)
        var cut = Array(bytes[..<(end - Self.frameSize)])
        cut[start + 100] ^= 1
        image.writeAheadLog = cut
        let directory = try TemporaryDirectory()
        guard case .opened(let readback, nil) = try await Self.open(image, in: directory, "unfinished") else {
            Issue.record("an unfinished commit passes for damage")
            return
        }
        #expect(readback.last == 35)
    }

    @Test func flippedWriteAheadLog() async throws {
        let image = try await Image.crashed()
        let bytes = try #require(image.writeAheadLog)
        let commits = Self.commits(bytes)
        let directory = try TemporaryDirectory()
        guard case .opened(let whole, nil) = try await Self.open(image, in: directory, "whole") else {
            Issue.record("the whole image does not open")
            return
        }
        let seed = printedSeed()
        var generator = SeededGenerator(seed: seed)
        var bits = Array(0..<32 * 8)
        for frame in [32, bytes.count - 2 * Self.frameSize, bytes.count - Self.frameSize] {
            bits += Array(frame * 8..<(frame + 24) * 8)
        }
        bits += (0..<200).map { _ in Int.random(in: 0..<bytes.count * 8, using: &generator) }
        for bit in bits {
            var flipped = image
            flipped.writeAheadLog?[bit / 8] ^= 1 << (bit % 8)
            let context = "bit \(bit), seed \(seed)"
            let outcome = try await Self.open(flipped, in: directory, context)
            // A bit of the last commit may look like a commit that was never finished, which is no damage.
            let isLastCommit = bit / 8 >= commits[commits.count - 2]
            switch outcome {
            case .refused: #expect(try directory.names().contains("log"), "\(context)")
            case .opened(let readback, nil): #expect(readback == whole || isLastCommit, "lost silently; \(context)")
            case .opened(_, _?):
                #expect(directory.holds("log.damaged-1", flipped.main), "\(context)")
                #expect(directory.holds("log.damaged-1-wal", flipped.writeAheadLog), "\(context)")
            }
        }
    }

    @Test func flippedFile() async throws {
        let image = try await Image.closed()
        #expect(image.writeAheadLog == nil)
        let directory = try TemporaryDirectory()
        guard case .opened(let whole, nil) = try await Self.open(image, in: directory, "whole") else {
            Issue.record("the whole image does not open")
            return
        }
        let seed = printedSeed()
        var generator = SeededGenerator(seed: seed)
        // Every bit of SQLite's file header, every bit of each page's header, and a sample of the rest.
        var bits = Array(0..<108 * 8)
        for page in stride(from: 4096, to: image.main.count, by: 4096) { bits += Array(page * 8..<(page + 12) * 8) }
        bits += (0..<400).map { _ in Int.random(in: 0..<image.main.count * 8, using: &generator) }
        var tally = (same: 0, salvaged: 0, refused: 0)
        for bit in bits {
            var flipped = image
            flipped.main[bit / 8] ^= 1 << (bit % 8)
            let context = "bit \(bit), seed \(seed)"
            switch try await Self.open(flipped, in: directory, context) {
            case .opened(let readback, nil):
                #expect(readback == whole, "altered silently; \(context)")
                tally.same += 1
            case .opened(_, _?):
                #expect(directory.holds("log.damaged-1", flipped.main), "the original is not kept; \(context)")
                tally.salvaged += 1
                guard tally.salvaged % 5 == 0 else { continue }
                try await Self.expectNothingLost(flipped, of: whole, in: directory, context)
            case .refused:
                #expect(directory.holds("log", flipped.main), "a refused file was changed; \(context)")
                tally.refused += 1
            }
        }
        print("flippedFile: \(tally)")
        #expect(tally.salvaged > 0)
    }

    @Test(arguments: 0..<parts) func cutFile(part: Int) async throws {
        let image = try await Image.closed()
        let directory = try TemporaryDirectory()
        guard case .opened(let whole, nil) = try await Self.open(image, in: directory, "whole") else {
            Issue.record("the whole image does not open")
            return
        }
        var tally = (same: 0, salvaged: 0, refused: 0)
        // Every byte of the page that has the last message, and a sample elsewhere.
        let record = try #require(image.main.firstRange(of: Fixture.content(Fixture.last)))
        let page = record.lowerBound / 4096
        for length in 1..<image.main.count where length % Self.parts == part {
            guard length / 4096 == page || length % 509 == 1 || length % 4096 == 0 else { continue }
            var cut = image
            cut.main = Array(image.main[..<length])
            switch try await Self.open(cut, in: directory, "cut at \(length)") {
            case .opened(let readback, nil):
                // The last page may be one that holds nothing.
                #expect(readback == whole, "lost silently; cut at \(length)")
                tally.same += 1
            case .opened(_, _?):
                #expect(directory.holds("log.damaged-1", cut.main))
                tally.salvaged += 1
                guard tally.salvaged % 5 == 0 else { continue }
                try await Self.expectNothingLost(cut, of: whole, in: directory, "cut at \(length)")
            case .refused:
                #expect(directory.holds("log", cut.main), "a refused file was changed; cut at \(length)")
                tally.refused += 1
            }
        }
        print("cutFile: \(tally)")
    }

    @Test func zeroedPages() async throws {
        let image = try await Image.closed()
        let directory = try TemporaryDirectory()
        guard case .opened(let whole, nil) = try await Self.open(image, in: directory, "whole") else {
            Issue.record("the whole image does not open")
            return
        }
        for page in 1..<image.main.count / 4096 {
            var zeroed = image
            zeroed.main.replaceSubrange(page * 4096..<(page + 1) * 4096, with: repeatElement(0, count: 4096))
            if case .opened(_, nil) = try await Self.open(zeroed, in: directory, "page \(page + 1) zeroed") {
                Issue.record("a zeroed page \(page + 1) goes unnoticed")
            }
            try await Self.expectNothingLost(zeroed, of: whole, in: directory, "page \(page + 1) zeroed")
        }
    }

    @Test func garbage() async throws {
        let seed = printedSeed()
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        var image = try await Image.closed()
        let start = Array(image.main[..<100])
        for round in 0..<150 {
            var bytes = (0..<Int.random(in: 1...20_000, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Half of them look like a log at first sight.
            if round % 2 == 0 { bytes.replaceSubrange(..<min(100, bytes.count), with: start.prefix(bytes.count)) }
            image.main = bytes
            let outcome = try await Self.open(image, in: directory, "round \(round), seed \(seed)")
            // Cut before its application's number, it is another application's.
            let codes: [RecallError.Code] = bytes.count < 100 ? [.logDamaged, .logFailed] : [.logDamaged]
            #expect(codes.map { Outcome.refused($0) }.contains(outcome), "round \(round), seed \(seed)")
            #expect(directory.holds("log", bytes), "round \(round), seed \(seed)")
        }
    }

    /// Runs of bytes overwritten anywhere, which is what failing flash does.
    @Test func scribbles() async throws {
        let seed = printedSeed()
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        let images = [try await Image.closed(), try await Image.crashed()]
        guard case .opened(let whole, nil) = try await Self.open(images[0], in: directory, "whole") else {
            Issue.record("the whole image does not open")
            return
        }
        for round in 0..<200 {
            var image = images[round % 2]
            let log = image.writeAheadLog
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let length = Int.random(in: 1...600, using: &generator)
                let inLog = image.writeAheadLog != nil && Bool.random(using: &generator)
                var bytes = inLog ? image.writeAheadLog ?? [] : image.main
                let start = Int.random(in: 0..<bytes.count, using: &generator)
                for index in start..<min(bytes.count, start + length) {
                    bytes[index] = .random(in: 0...255, using: &generator)
                }
                if inLog { image.writeAheadLog = bytes } else { image.main = bytes }
            }
            let context = "round \(round), seed \(seed)"
            _ = try await Self.open(image, in: directory, context)
            guard image.writeAheadLog == log else { continue }
            try await Self.expectNothingLost(image, of: whole, in: directory, context)
        }
    }
}
