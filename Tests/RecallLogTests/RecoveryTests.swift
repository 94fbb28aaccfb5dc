import CSQLite
import Recall
import RecallCore
import RecallCrypto
import Testing

@testable import RecallClient
@testable import RecallSQLite

/// What a client recovers from a log whose checkpoints have lost the receipts that prove them.
@Suite struct RecoveryTests {
    let directory: TemporaryDirectory
    let positions: [Position]
    var path: String { directory.path("log") }

    init() throws {
        directory = try TemporaryDirectory()
        let sealer = Sealer(vector: Fixture.header.vector, .swiftCrypto)
        var position = Position.start
        var positions = [position]
        for number in 1...40 as ClosedRange<UInt64> {
            let next = SequenceNumber(number)
            position = Position(
                number: next,
                seal: sealer.seal(.update, Fixture.content(number).span.bytes, number: next, after: position.seal),
                inputs: Cryptography.swiftCrypto.inputs(
                    Fixture.determinants(number).span.bytes, number: next, after: position.inputs))
            positions.append(position)
        }
        self.positions = positions
    }

    // MARK: Making logs

    func receipt(_ number: UInt64) -> Receipt {
        Receipt(
            position: positions[Int(number)], outputs: Digest(), time: WallTime(nanoseconds: Int64(number)),
            mac: Digest())
    }

    func checkpoint(_ number: UInt64) -> Checkpoint {
        Checkpoint(
            kindVersion: 4, position: positions[Int(number)], outputs: Digest(), time: WallTime(nanoseconds: 8),
            segments: [Fixture.content(number)])
    }

    func acknowledgement(_ number: UInt64, after covered: UInt64, supersedes: UInt64?) -> LogEntry {
        let determinants = (covered + 1...number).filter { !Fixture.determinants($0).isEmpty }
        return .acknowledgement(
            LoggedAcknowledgement(
                determinants: determinants.map { (SequenceNumber($0), Fixture.determinants($0)) },
                receipt: receipt(number), supersedes: supersedes.map { SequenceNumber($0) }))
    }

    /// 25 messages with a receipt at every fifth, checkpoints at 10 and 20; receipts may be superseded or left out.
    func fill(_ log: any MessageLog, superseding: Set<UInt64> = [], lastReceipt: UInt64 = 25) async throws {
        _ = try await log.open()
        try await log.begin(Fixture.header)
        for start in stride(from: 0, to: 25, by: 5) as StrideTo<UInt64> {
            var entries = (start + 1...start + 5).map { Fixture.message($0) }
            if start + 5 <= lastReceipt {
                let former = superseding.contains(start) ? start : nil
                entries.append(acknowledgement(start + 5, after: start, supersedes: former))
            }
            try await log.append(entries)
            if start == 5 { try await log.keep(checkpoint(10), truncating: .zero) }
            if start == 15 { try await log.keep(checkpoint(20), truncating: SequenceNumber(10)) }
        }
        await log.close()
    }

    func execute(_ sql: String) throws {
        var database: OpaquePointer?
        try #require(sqlite3_open(path, &database) == SQLITE_OK)
        defer { sqlite3_close(database) }
        try #require(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK)
    }

    func recover(_ log: any MessageLog) async throws -> (recovered: RecoveredLog?, damage: String?) {
        try await log.recover(kindName: [65, 66], kindVersion: 4, .swiftCrypto)
    }

    /// What a client goes on from, and that its log takes the next message.
    func expect(
        _ log: any MessageLog, checkpoints: [UInt64], receipt: UInt64, last: UInt64
    ) async throws {
        let (found, damage) = try await recover(log)
        let recovered = try #require(found)
        #expect(damage != nil)
        #expect(recovered.checkpoints.map(\.position) == checkpoints.map { positions[Int($0)] })
        #expect(recovered.receipt == self.receipt(receipt))
        #expect(recovered.tail.count == Int(last - receipt))
        #expect(recovered.tail.last?.seal ?? recovered.receipt?.position.seal == positions[Int(last)].seal)
        try await log.append([Fixture.message(last + 1)])
        for (generation, number) in checkpoints.enumerated() {
            #expect(try await log.checkpoint(generation: generation)?.position == positions[Int(number)])
        }
        await log.close()
        // And it opens again as it was left.
        let again = try await recover(log)
        #expect(again.damage == nil && again.recovered?.receipt == recovered.receipt)
        #expect(again.recovered?.tail.count == Int(last + 1 - receipt))
        await log.close()
    }

    // MARK: Damage

    /// The receipt at the checkpoint was superseded, and the newest one is damaged.
    @Test func aCheckpointPastTheReceiptsIsDropped() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        try await fill(log, superseding: [20])
        try execute("UPDATE receipts SET sum = sum + 1 WHERE number = 25")
        try await expect(log, checkpoints: [10], receipt: 15, last: 25)
    }

    /// Determinants that the newest checkpoint has in it are damaged: what follows it needs them no more.
    @Test func damageBeforeTheNewestCheckpointTakesOnlyTheOlder() async throws {
        let log = SQLiteLog(path: path)
        try await fill(log)
        try execute("UPDATE determinants SET sum = sum + 1 WHERE number = 12")
        try await expect(log, checkpoints: [20], receipt: 25, last: 25)
    }

    /// Determinants behind the newest checkpoint are damaged: the receipt at it proves it.
    @Test func damageBehindTheNewestCheckpointTakesNoCheckpoint() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        try await fill(log)
        try execute("UPDATE determinants SET sum = sum + 1 WHERE number = 24")
        try await expect(log, checkpoints: [20, 10], receipt: 20, last: 25)
    }

    /// No receipt is left behind a checkpoint, and what came before was forgotten.
    @Test func aLogWithoutAReceiptIsRefusedAndLeft() async throws {
        let log = SQLiteLog(path: path)
        try await fill(log, superseding: [15, 20])
        try execute("UPDATE receipts SET sum = sum + 1 WHERE number = 25")
        await #expect(throws: RecallError.self) { try await recover(log) }
        await log.close()
        #expect(try directory.names().allSatisfy { !$0.contains("damaged") })
        do { _ = try await recover(log) } catch let error as RecallError { #expect(error.code == .logDamaged) }
        await log.close()
    }

    // MARK: Logs left so

    /// Nothing is damaged, but an earlier opening left a checkpoint past all receipts.
    @Test func aCheckpointThatNothingProvesIsSetAside() async throws {
        try await fill(SQLiteLog(path: path), lastReceipt: 15)
        try await expect(SQLiteLog(path: path, whenDamaged: .salvage), checkpoints: [10], receipt: 15, last: 15)
    }

    /// A server has acknowledged what such a checkpoint stands for: unasked, nothing is set aside.
    @Test(arguments: [false, true]) func aCheckpointThatNothingProvesIsLeft(inMemory: Bool) async throws {
        let log: any MessageLog = inMemory ? MemoryLog() : SQLiteLog(path: path)
        try await fill(log, lastReceipt: 15)
        try await expectRefusal(log, last: 25)
    }

    /// A seal that does not follow, in a log whose bytes are as they were written.
    @Test func aChainThatDoesNotVerifyIsCutOnlyIfItMayBe() async throws {
        try await fill(SQLiteLog(path: path))
        let sum = Schema.Table.messages.sum(22, [7])
        try execute("UPDATE messages SET bytes = x'07', sum = \(Int64(bitPattern: sum)) WHERE number = 22")
        try await expectRefusal(SQLiteLog(path: path), last: 25)
        try await expect(SQLiteLog(path: path, whenDamaged: .salvage), checkpoints: [20, 10], receipt: 20, last: 20)
    }

    func expectRefusal(_ log: any MessageLog, last: UInt64) async throws {
        for _ in 0..<2 {
            do {
                _ = try await recover(log)
                Issue.record("a log that would lose what was acknowledged was opened")
            } catch let error as RecallError { #expect(error.code == .logDamaged, "\(error)") }
            await log.close()
        }
        #expect(try await log.open().last.rawValue == last)
        await log.close()
    }

    @Test(arguments: [false, true]) func aLogWithNothingToGoBackToIsDamaged(inMemory: Bool) async throws {
        let log: any MessageLog = inMemory ? MemoryLog() : SQLiteLog(path: path)
        try await fill(log, lastReceipt: 10)
        do {
            _ = try await recover(log)
            Issue.record("a log that proves nothing was opened")
        } catch let error as RecallError { #expect(error.code == .logDamaged) }
        await log.close()
    }

    // MARK: Walking back

    /// A log that adopted a state threw where its messages end.
    @Test func walkingBackEndsAtAnAdoption() async throws {
        let log = MemoryLog()
        _ = try await log.open()
        try await log.begin(Fixture.header)
        try await log.adopt(checkpoint(20), receipt: receipt(20))
        let sealed = SealedLog(
            log: log, header: Fixture.header, checkpoints: [positions[20]], reachesStart: false,
            cryptography: .swiftCrypto)
        #expect(try await sealed.message(SequenceNumber(20)) == nil)
        try await log.append([Fixture.message(21), Fixture.message(22)])
        let last = try #require(try await sealed.message(SequenceNumber(22)))
        let first = try #require(try await last.previousMessage())
        #expect(first.number == SequenceNumber(21) && first.seal == positions[21].seal)
        #expect(try await first.previousMessage() == nil)
    }
}
