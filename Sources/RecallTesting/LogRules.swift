internal import Recall
internal import RecallCore

// The rules of `LogConformance`, each on a log of its own.

extension LogTrial {
    func empty() async throws {
        let log = storage()
        let contents = try await log.open()
        try check(contents.header, is: nil, "the header")
        try check(contents.checkpoints, is: [], "the checkpoints")
        try check(contents.receipt, is: nil, "the receipt")
        try check(contents.last, is: .zero, "the last number")
        try check(contents.damage, is: nil, "the damage")
        try await expect(log, after: 0, bytes: 100, nil, receipt: nil)
        try check(try await log.receipt(atOrBefore: SequenceNumber(.max)), is: nil, "the newest receipt")
        for generation in [-1, 0, 1, .max] {
            try check(try await log.checkpoint(generation: generation), is: nil, "checkpoint \(generation)")
        }
        try await refused(.logFailed, "appending before begin") { try await log.append([Self.message(1)]) }
        let (again, second) = try await reopened(log)
        try check(second.header, is: nil, "the header after reopening")
        await again.close()
    }

    func header() async throws {
        let log = try await begun()
        try await refused(.logFailed, "beginning twice") { try await log.begin(Self.header) }
        let (again, contents) = try await reopened(log)
        try check(contents.header, is: Self.header, "the header")
        try check(contents.last, is: .zero, "the last number")
        try await refused(.logFailed, "beginning again after reopening") { try await again.begin(Self.header) }
        try await again.append([Self.message(1)])
        await again.close()
    }

    func lock() async throws {
        let first = storage()
        _ = try await first.open()
        let second = storage()
        try await refused(.logInUse, "opening a log that is open") { _ = try await second.open() }
        await first.close()
        _ = try await second.open()
        await second.close()
        await second.close()
    }

    func notOpen() async throws {
        let log = try await begun()
        await log.close()
        try await refused(.logFailed, "appending to a closed log") { try await log.append([Self.message(1)]) }
        try await refused(.logFailed, "reading a closed log") {
            _ = try await log.slice(after: .zero, maximumBytes: 1)
        }
        let contents = try await log.open()
        try check(contents.last, is: .zero, "the last number after a refused append")
        await log.close()
    }

    func reopen() async throws {
        let log = try await filled(7, receipts: [3, 5])
        try await expect(log, after: 0, bytes: 1_000, 1...5, receipt: 5)
        let (again, contents) = try await reopened(log)
        try check(contents.last, is: SequenceNumber(7), "the last number")
        try check(contents.receipt, is: Self.receipt(5), "the newest receipt")
        try check(contents.damage, is: nil, "the damage")
        try await expect(again, after: 0, bytes: 1_000, 1...5, receipt: 5)
        try await expect(again, after: 5, bytes: 1_000, 6...7, receipt: nil)
        try await again.append([])
        try await again.append([Self.message(8), Self.acknowledgement(8)])
        try await expect(again, after: 5, bytes: 1_000, 6...8, receipt: 8)
        await again.close()
    }

    func allOrNone() async throws {
        let log = try await filled(4, receipts: [2])
        let bytes: [UInt8] = [1]
        let wrong: [(String, [LogEntry])] = [
            ("a gap", [Self.message(5), Self.message(7)]),
            ("a number twice", [Self.message(5), Self.message(5)]),
            ("an old number", [Self.message(5), Self.message(4)]),
            ("number 0", [Self.message(5), Self.message(0)]),
            ("a receipt past the last message", [Self.message(5), Self.acknowledgement(6)]),
            ("a receipt older than the newest", [Self.message(5), Self.acknowledgement(1)]),
            (
                "determinants past their receipt",
                [Self.message(5), Self.acknowledgement(4, [(SequenceNumber(5), bytes)])]
            ),
            (
                "determinants of covered messages",
                [Self.message(5), Self.acknowledgement(5, [(SequenceNumber(2), bytes)])]
            ),
            (
                "determinants out of order",
                [Self.message(5), Self.acknowledgement(5, [(SequenceNumber(4), bytes), (SequenceNumber(3), bytes)])]
            ),
        ]
        for (what, entries) in wrong {
            try await refused(.logFailed, what) { try await log.append(entries) }
            try await expect(log, after: 2, bytes: 1_000, 3...4, receipt: nil)
        }
        let (again, contents) = try await reopened(log)
        try check(contents.last, is: SequenceNumber(4), "the last number after refused appends")
        try check(contents.receipt, is: Self.receipt(2), "the receipt after refused appends")
        try await again.append([Self.message(5), Self.acknowledgement(5), Self.message(6)])
        try await expect(again, after: 2, bytes: 1_000, 3...5, receipt: 5)
        await again.close()
    }

    func slices() async throws {
        let log = try await filled(12, receipts: [2, 5, 6, 10])
        for maximum in [0, 10, 19, 20, 49] { try await expect(log, after: 0, bytes: maximum, 1...2, receipt: 2) }
        for maximum in [50, 59] { try await expect(log, after: 0, bytes: maximum, 1...5, receipt: 5) }
        for maximum in [60, 99] { try await expect(log, after: 0, bytes: maximum, 1...6, receipt: 6) }
        for maximum in [100, 120, .max] { try await expect(log, after: 0, bytes: maximum, 1...10, receipt: 10) }
        try await expect(log, after: 3, bytes: 0, 4...5, receipt: 5)
        try await expect(log, after: 5, bytes: 10, 6...6, receipt: 6)
        try await expect(log, after: 9, bytes: .max, 10...10, receipt: 10)
        try await expect(log, after: 2, bytes: -1, 3...5, receipt: 5)
        await log.close()
    }

    func tail() async throws {
        let log = try await filled(8, receipts: [3])
        try await expect(log, after: 3, bytes: .max, 4...8, receipt: nil)
        try await expect(log, after: 3, bytes: 50, 4...8, receipt: nil)
        try await expect(log, after: 3, bytes: 49, 4...7, receipt: nil)
        try await expect(log, after: 3, bytes: 0, 4...4, receipt: nil)
        try await expect(log, after: 6, bytes: 15, 7...7, receipt: nil)
        for number in [8, 9, UInt64(Int64.max), .max] {
            try await expect(log, after: number, bytes: .max, nil, receipt: nil)
        }
        await log.close()
    }

    func supersedes() async throws {
        let log = try await filled(6, receipts: [2, 4])
        try await log.append([Self.acknowledgement(5, supersedes: 4)])
        try check(try await log.receipt(atOrBefore: SequenceNumber(4)), is: Self.receipt(2), "the receipt at 4")
        try await expect(log, after: 2, bytes: 10, 3...5, receipt: 5)
        // One that is not there, or is not older, is no reason to fail.
        try await log.append([Self.acknowledgement(6, supersedes: 4)])
        try await log.append([Self.acknowledgement(6, supersedes: 6)])
        try await expect(log, after: 5, bytes: 0, 6...6, receipt: 6)
        let (again, contents) = try await reopened(log)
        try check(contents.receipt, is: Self.receipt(6), "the newest receipt")
        try await expect(again, after: 2, bytes: 0, 3...5, receipt: 5)
        await again.close()
    }

    func receipts() async throws {
        let log = try await filled(9, receipts: [3, 6])
        for (number, expected) in [(0, nil), (2, nil), (3, 3), (5, 3), (6, 6), (9, 6), (UInt64.max, 6)]
            as [(UInt64, UInt64?)]
        {
            try check(
                try await log.receipt(atOrBefore: SequenceNumber(number)), is: expected.map { Self.receipt($0) },
                "receipt(atOrBefore: \(number))")
        }
        // The same position acknowledged again: the newer receipt stands.
        let newer = Self.receipt(6, time: 99)
        try await log.append([.acknowledgement(LoggedAcknowledgement(determinants: [], receipt: newer))])
        try check(try await log.receipt(atOrBefore: SequenceNumber(8)), is: newer, "the receipt at 6")
        await log.close()
    }
}

extension LogTrial {
    func determinants() async throws {
        let log = try await filled(5, receipts: [])
        let bytes: [UInt8] = [9, 8, 7]
        try await log.append([
            Self.acknowledgement(4, [(SequenceNumber(2), bytes), (SequenceNumber(4), bytes + bytes)])
        ])
        let first = try await log.slice(after: .zero, maximumBytes: .max)
        try check(first.messages.map(\.determinants), is: [[], bytes, [], bytes + bytes], "the determinants")
        try check(first.receipt, is: Self.receipt(4), "the receipt")
        // They count as bytes, too: 40 of content and 9 of determinants, then 10 of content.
        try await log.append([Self.acknowledgement(5)])
        try check(numbers(try await log.slice(after: .zero, maximumBytes: 58)).count, is: 4, "a slice of 58 bytes")
        try check(numbers(try await log.slice(after: .zero, maximumBytes: 59)).count, is: 5, "a slice of 59 bytes")
        let (again, _) = try await reopened(log)
        let slice = try await again.slice(after: SequenceNumber(1), maximumBytes: .max)
        try check(
            slice.messages.map(\.determinants), is: [bytes, [], bytes + bytes, []], "the determinants after reopening")
        await again.close()
    }

    func strays() async throws {
        let log = try await filled(2, receipts: [2])
        let stray = LoggedMessage(number: SequenceNumber(3), content: Self.content(3), determinants: [1, 2])
        try await log.append([.message(stray)])
        let (again, contents) = try await reopened(log)
        try check(contents.last, is: SequenceNumber(3), "the last number")
        let slice = try await again.slice(after: SequenceNumber(2), maximumBytes: .max)
        try check(slice.messages.map(\.determinants), is: [[]], "the determinants of an unacknowledged message")
        // Appended with its determinants and acknowledged without, a message keeps them.
        let known = LoggedMessage(number: SequenceNumber(4), content: Self.content(4), determinants: [3])
        try await again.append([.message(known), Self.acknowledgement(4)])
        let (third, last) = try await reopened(again)
        try check(last.damage, is: nil, "the damage")
        let rest = try await third.slice(after: SequenceNumber(2), maximumBytes: .max)
        try check(rest.messages.map(\.determinants), is: [[], [3]], "the determinants of acknowledged messages")
        await third.close()
    }

    func keep() async throws {
        let log = try await filled(10, receipts: [2, 4, 6, 8])
        try await keep(Self.checkpoint(4), truncating: .zero, in: log)
        try await expect(log, after: 0, bytes: 0, 1...2, receipt: 2)
        try await keep(Self.checkpoint(6), truncating: SequenceNumber(4), in: log)
        try await refused(.logFailed, "a slice of forgotten messages") {
            _ = try await log.slice(after: SequenceNumber(3), maximumBytes: 1)
        }
        try await expect(log, after: 4, bytes: 0, 5...6, receipt: 6)
        try check(try await log.receipt(atOrBefore: SequenceNumber(5)), is: nil, "a forgotten receipt")
        try check(try await log.checkpoint(generation: 1), is: Self.checkpoint(4), "the older checkpoint")
        try await keep(Self.checkpoint(8, segments: 3), truncating: SequenceNumber(6), in: log)
        let (again, contents) = try await reopened(log)
        try check(contents.checkpoints.map(\.position.number.rawValue), is: [8, 6], "the checkpoints")
        try check(
            contents.checkpoints.first?.byteCount, is: Self.checkpoint(8, segments: 3).byteCount, "the byte count")
        try check(contents.last, is: SequenceNumber(10), "the last number")
        try check(contents.receipt, is: Self.receipt(8), "the newest receipt")
        try check(
            try await again.checkpoint(generation: 0), is: Self.checkpoint(8, segments: 3), "the newest checkpoint")
        try check(try await again.checkpoint(generation: 1), is: Self.checkpoint(6), "the older checkpoint")
        try check(try await again.checkpoint(generation: 2), is: nil, "a third checkpoint")
        try await expect(again, after: 6, bytes: .max, 7...8, receipt: 8)
        try await keep(Self.checkpoint(8), truncating: SequenceNumber(6), in: again)
        try check(try await again.checkpoint(generation: 0), is: Self.checkpoint(8), "a checkpoint that was replaced")
        try await keep(Self.checkpoint(10, segments: 0), truncating: SequenceNumber(10), in: again)
        let (third, last) = try await reopened(again)
        try check(last.last, is: SequenceNumber(10), "the last number when every message is forgotten")
        try check(last.receipt, is: nil, "the receipt when every one is forgotten")
        try check(
            try await third.checkpoint(generation: 0), is: Self.checkpoint(10, segments: 0), "an empty checkpoint")
        try await third.append([Self.acknowledgement(10), Self.message(11), Self.acknowledgement(11)])
        try await expect(third, after: 10, bytes: .max, 11...11, receipt: 11)
        await third.close()
    }

    func keepRefused() async throws {
        let log = try await filled(5, receipts: [4])
        try await refused(.logFailed, "a checkpoint past the last message") {
            try await log.keep(Self.checkpoint(6), truncating: .zero)
        }
        try await refused(.logFailed, "truncating past the checkpoint") {
            try await log.keep(Self.checkpoint(4), truncating: SequenceNumber(5))
        }
        try check(try await log.checkpoint(generation: 0), is: nil, "the checkpoint after refusals")
        try await expect(log, after: 0, bytes: .max, 1...4, receipt: 4)
        await log.close()
    }

    func adopt() async throws {
        let log = try await filled(5, receipts: [2, 4])
        try await log.keep(Self.checkpoint(4), truncating: .zero)
        try await refused(.logFailed, "a receipt that is not at the checkpoint") {
            try await log.adopt(Self.checkpoint(20), receipt: Self.receipt(19))
        }
        try await expect(log, after: 0, bytes: 0, 1...2, receipt: 2)
        try await log.adopt(Self.checkpoint(20), receipt: Self.receipt(20))
        let (again, contents) = try await reopened(log)
        try check(contents.header, is: Self.header, "the header")
        try check(contents.checkpoints.map(\.position.number.rawValue), is: [20], "the checkpoints")
        try check(contents.receipt, is: Self.receipt(20), "the receipt")
        try check(contents.last, is: SequenceNumber(20), "the last number")
        try await expect(again, after: 20, bytes: .max, nil, receipt: nil)
        try await again.append([Self.message(21), Self.acknowledgement(21)])
        try await expect(again, after: 20, bytes: .max, 21...21, receipt: 21)
        await again.close()
    }

    func setAside() async throws {
        let log = try await filled(10, receipts: [3, 9])
        try await log.append([Self.acknowledgement(10, [(SequenceNumber(10), [1])])])
        try await log.keep(Self.checkpoint(3), truncating: .zero)
        try await log.keep(Self.checkpoint(9), truncating: .zero)
        try await log.setAside(after: SequenceNumber(5), reason: "a seal does not follow")
        try await expect(log, after: 3, bytes: .max, 4...5, receipt: nil)
        let (again, contents) = try await reopened(log)
        try check(contents.last, is: SequenceNumber(5), "the last number")
        try check(contents.receipt, is: Self.receipt(3), "the newest receipt")
        try check(contents.checkpoints.map(\.position.number.rawValue), is: [3], "the checkpoints")
        try check(try await again.checkpoint(generation: 0), is: Self.checkpoint(3), "the checkpoint")
        try await again.append([Self.message(6), Self.acknowledgement(6)])
        try await expect(again, after: 3, bytes: .max, 4...6, receipt: 6)
        try await again.setAside(after: .zero, reason: "nothing verifies")
        let (third, rest) = try await reopened(again)
        try check(rest.header, is: Self.header, "the header")
        try check(rest.last, is: .zero, "the last number when all is set aside")
        try check(rest.checkpoints, is: [], "the checkpoints when all is set aside")
        try await third.append([Self.message(1)])
        await third.close()
    }

    func big() async throws {
        let log = try await begun()
        let sizes = [0, 1, 4_096, 65_537, 3_000_000]
        var entries: [LogEntry] = []
        for (index, size) in sizes.enumerated() {
            entries.append(Self.message(UInt64(index + 1), count: size))
        }
        try await log.append(entries + [Self.acknowledgement(5)])
        let (again, _) = try await reopened(log)
        let slice = try await again.slice(after: .zero, maximumBytes: 1)
        for (index, size) in sizes.enumerated() {
            try check(index < slice.messages.count, "message \(index + 1) is missing")
            let expected = Self.content(UInt64(index + 1), count: size)
            try check(slice.messages[index].content == expected, "message \(index + 1) of \(size) bytes differs")
        }
        await again.close()
    }

    func many() async throws {
        let log = try await begun()
        var kept: UInt64 = 0
        for batch in 0..<50 as Range<UInt64> {
            let numbers = (batch * 40 + 1)...(batch * 40 + 40)
            try await log.append(numbers.map { Self.message($0) } + [Self.acknowledgement(numbers.upperBound)])
            guard batch % 3 == 2 else { continue }
            try await log.keep(Self.checkpoint(numbers.upperBound), truncating: SequenceNumber(kept))
            kept = numbers.upperBound
        }
        let (again, contents) = try await reopened(log)
        try check(contents.last, is: SequenceNumber(2_000), "the last number")
        var number = contents.checkpoints.last?.position.number ?? .zero
        while number < contents.last {
            let slice = try await again.slice(after: number, maximumBytes: 700)
            try check(slice.messages.first?.number, is: number.next, "the first number of a slice")
            for message in slice.messages {
                try check(message.number, is: number.next, "the next number")
                try check(message.content, is: Self.content(message.number.rawValue), "message \(message.number)")
                number = message.number
            }
            try check(slice.receipt, is: Self.receipt(number.rawValue), "the receipt of a slice")
        }
        await again.close()
    }
}
