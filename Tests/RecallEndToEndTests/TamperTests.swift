import Recall
import RecallClient
import RecallCore
import RecallServer
import Synchronization
import Testing

/// A log that is in order when it is opened and has one bit flipped in what it gives for a recall.
final class TamperedLog: MessageLog {
    let log = MemoryLog()
    /// Which byte of the next slice's contents and determinants to change; nil: none.
    let target = Mutex<Int?>(nil)

    func open() async throws -> LogContents { try await log.open() }
    func begin(_ header: LogHeader) async throws { try await log.begin(header) }
    func append(_ entries: [LogEntry]) async throws { try await log.append(entries) }
    func keep(_ checkpoint: Checkpoint, truncating number: SequenceNumber) async throws {
        try await log.keep(checkpoint, truncating: number)
    }
    func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws {
        try await log.adopt(checkpoint, receipt: receipt)
    }
    func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try await log.receipt(atOrBefore: number)
    }
    func checkpoint(generation: Int) async throws -> Checkpoint? { try await log.checkpoint(generation: generation) }
    func setAside(after number: SequenceNumber, reason: String) async throws {
        try await log.setAside(after: number, reason: reason)
    }
    func close() async { await log.close() }

    func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        var slice = try await log.slice(after: number, maximumBytes: maximumBytes)
        guard var offset = target.withLock({ $0 }) else { return slice }
        offset %= max(1, slice.messages.reduce(0) { $0 + $1.content.count + $1.determinants.count })
        for index in slice.messages.indices {
            let count = slice.messages[index].content.count
            if offset < count {
                slice.messages[index].content[offset] ^= 1
                break
            }
            offset -= count
            if offset < slice.messages[index].determinants.count {
                slice.messages[index].determinants[offset] ^= 1
                break
            }
            offset -= slice.messages[index].determinants.count
        }
        return slice
    }
}

@Suite struct TamperTests {
    /// A hundred logs with one byte changed each: every one is refused, with the updates named that it is about; and
    /// the server goes on serving the honest ones.
    @Test(.timeLimit(.minutes(2))) func aHundredChangedLogsAreRefusedByPosition() async throws {
        let smoke = SmokeTests()
        try await smoke.withServer { port, handler in
            let honest = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", port), log: .memory)
            try await honest.send(contentsOf: (0..<50).map { _ in Counter.Add(amount: 1) })
            for number in 0..<100 {
                let log = TamperedLog()
                let client = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", port), log: log)
                try await client.send(contentsOf: (0..<50).map { Counter.Add(amount: $0 + 1000) })
                log.target.withLock { $0 = number * 7 }
                handler.deleteSession(try #require(await client.session))
                _ = await handler.statistics()  // behind the deletion on the same loop
                let error = await #expect(throws: RecallError.self) { try await client.send(Counter.Add(amount: 1)) }
                #expect(error?.code == .brokenChain)
                #expect(error?.message.contains("updates 1-50") == true, "\(String(describing: error))")
                await client.close()
            }
            handler.deleteSession(try #require(await honest.session))
            _ = await handler.statistics()
            let total = try await honest.send(Counter.Add(amount: 1))
            #expect(total == 51)
            #expect(await handler.statistics().refusals == 100)
            await honest.close()
        }
    }

    /// The sequence before a message, walked back and replayed locally, as the one-pager has it.
    @Test(.timeLimit(.minutes(1))) func theSequenceBeforeAMessageRebuildsTheState() async throws {
        let smoke = SmokeTests()
        try await smoke.withServer { port, handler in
            let client = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", port), log: .memory)
            for amount in 1...20 { try await client.send(Counter.Add(amount: amount)) }
            let session = try #require(await client.session)
            let last = try #require(try await client.lastMessage())
            #expect(last.number == SequenceNumber(20))
            let state = try await handler.recallSession(Counter.self, session: session, from: last)
            #expect(state.total == 210)
            let forged = SealedMessage(
                number: last.number, seal: last.seal, content: last.content.dropLast() + [0x7e], previous: last.previous
            )
            let error = await #expect(throws: RecallError.self) {
                try await handler.recallSession(Counter.self, session: session, from: forged)
            }
            #expect(error?.code == .brokenChain)
            let stranger = handler.nextKey()
            await #expect(throws: RecallError.self) {
                try await handler.recallSession(Counter.self, session: stranger, from: last)
            }
            await client.close()
        }
    }
}
