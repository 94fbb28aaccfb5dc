import Recall
import RecallCore
import RecallCrypto
import Testing

@testable import RecallClient
@testable import RecallSQLite

/// As `RecoveryTests`, for what hardly ever happens to a log.
extension RecoveryTests {
    @Test func aLogOfAnotherKindOrVersionIsNamed() async throws {
        let log = MemoryLog()
        try await fill(log)
        let others: [(name: [UInt8], version: UInt32, text: String)] = [
            ([67], 4, "of kind 'AB'"), ([65, 66], 5, "of version 4"),
        ]
        for (name, version, text) in others {
            let error = await #expect(throws: RecallError.self) {
                _ = try await log.recover(kindName: name, kindVersion: version, .swiftCrypto)
            }
            await log.close()
            #expect(error?.code == .logMismatch && error?.message.contains(text) == true, "\(error?.message ?? "")")
        }
    }

    @Test func whatHoldsNothingIsSalvagedToNothing() async throws {
        #expect(try await MemoryLog().salvage(.swiftCrypto) == nil)
    }

    /// A salvage that finds nothing to go back to lets go of the log.
    @Test func aSalvageThatFailsClosesTheLog() async throws {
        let log = MemoryLog()
        try await fill(log, lastReceipt: 10)
        await #expect(throws: RecallError.self) { try await log.salvage(.swiftCrypto) }
        #expect(try await log.open().last == SequenceNumber(25))
    }

    /// A chain that is broken before any receipt proves something: all of it goes, if it may.
    @Test func aChainThatIsBrokenAtItsBeginning() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        _ = try await log.open()
        try await log.begin(Fixture.header)
        try await log.append((1...5).map { Fixture.message($0) } + [acknowledgement(5, after: 0, supersedes: nil)])
        await log.close()
        try replaceContent(of: 3)
        let (recovered, damage) = try await recover(log)
        #expect(damage?.contains("the log continues after update 0") == true, "\(damage ?? "")")
        #expect(recovered?.receipt == nil && recovered?.tail.isEmpty == true)
        try await log.append([Fixture.message(1)])
        await log.close()
    }

    /// Bytes that no longer are as they were written, and a chain that does not verify: both are told.
    @Test func twoDamagesAreBothTold() async throws {
        try await fill(SQLiteLog(path: path))
        try execute("UPDATE determinants SET sum = sum + 1 WHERE number = 12")
        try replaceContent(of: 22)
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        let damage = try #require(try await recover(log).damage)
        #expect(damage.contains("; ") && damage.contains("the log continues after update 20"), "\(damage)")
        await log.close()
    }

    /// The chain is broken behind a checkpoint whose receipt was superseded.
    @Test func aBrokenChainBehindACheckpointThatNothingProves() async throws {
        try await fill(SQLiteLog(path: path), superseding: [20])
        try replaceContent(of: 22)
        try await expect(SQLiteLog(path: path, whenDamaged: .salvage), checkpoints: [10], receipt: 15, last: 15)
    }

    /// The only checkpoint is proved by nothing, and the log reaches back to its beginning.
    @Test func theOnlyCheckpointIsProvedByNothing() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        _ = try await log.open()
        try await log.begin(Fixture.header)
        try await log.append((1...5).map { Fixture.message($0) } + [acknowledgement(5, after: 0, supersedes: nil)])
        try await log.append((6...10).map { Fixture.message($0) })
        try await log.keep(checkpoint(10), truncating: .zero)
        await log.close()
        try await expect(log, checkpoints: [], receipt: 5, last: 5)
    }

    /// What is gone back to does not verify either.
    @Test func whatIsGoneBackToIsBrokenToo() async throws {
        try await fill(SQLiteLog(path: path), lastReceipt: 15)
        try replaceContent(of: 12)
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        let error = await #expect(throws: RecallError.self) { try await recover(log) }
        #expect(error?.code == .logDamaged)
        #expect(error?.message.contains("update 20, and updates 11-15") == true, "\(error?.message ?? "")")
        await log.close()
    }

    /// The checkpoint before has a receipt at its number that is of another position.
    @Test func theCheckpointBeforeIsProvedByNothingEither() async throws {
        let log = SQLiteLog(path: path, whenDamaged: .salvage)
        _ = try await log.open()
        try await log.begin(Fixture.header)
        try await log.append((1...10).map { Fixture.message($0) } + [falseAcknowledgement(10)])
        try await log.keep(checkpoint(10), truncating: .zero)
        try await log.append((11...20).map { Fixture.message($0) })
        try await log.keep(checkpoint(20), truncating: .zero)
        await log.close()
        let error = await #expect(throws: RecallError.self) { try await recover(log) }
        #expect(error?.code == .logDamaged)
        #expect(error?.message.contains("none proves the one before it") == true, "\(error?.message ?? "")")
        await log.close()
    }

    /// More is unacknowledged than one read of the log brings.
    @Test func aTailOfSeveralReads() async throws {
        let log = MemoryLog()
        let contents = (1...4 as ClosedRange<UInt8>).map { [UInt8](repeating: $0, count: 600_000) }
        try await fill(log, with: contents)
        let recovered = try #require(try await recover(log).recovered)
        #expect(recovered.tail.map(\.content) == contents)
        let sealed = SealedLog(
            log: log, header: Fixture.header, checkpoints: [], reachesStart: true, cryptography: .swiftCrypto)
        for (index, content) in contents.enumerated() {
            let message = try #require(try await sealed.message(SequenceNumber(UInt64(index + 1))))
            #expect(message.content == content && message.seal == recovered.tail[index].seal)
        }
        #expect(try await sealed.message(.zero) == nil)
        #expect(try await sealed.message(SequenceNumber(5)) == nil)
    }

    /// Walking back through a chain that does not verify.
    @Test func walkingBackFindsABrokenChain() async throws {
        let log = MemoryLog()
        _ = try await log.open()
        try await log.begin(Fixture.header)
        try await log.append((1...3).map { Fixture.message($0) } + [falseAcknowledgement(3)])
        let sealed = SealedLog(
            log: log, header: Fixture.header, checkpoints: [], reachesStart: true, cryptography: .swiftCrypto)
        let error = await #expect(throws: RecallError.self) { _ = try await sealed.message(SequenceNumber(3)) }
        #expect(error?.code == .logDamaged)
    }

    /// With a receipt of another position at that number.
    private func falseAcknowledgement(_ number: UInt64) -> LogEntry {
        var other = receipt(number)
        other.position = Position(number: other.position.number, seal: Digest(), inputs: Digest())
        return .acknowledgement(LoggedAcknowledgement(determinants: [], receipt: other))
    }

    private func fill(_ log: MemoryLog, with contents: [[UInt8]]) async throws {
        _ = try await log.open()
        try await log.begin(Fixture.header)
        for (index, content) in contents.enumerated() {
            let number = SequenceNumber(UInt64(index + 1))
            try await log.append([.message(LoggedMessage(number: number, content: content))])
        }
        await log.close()
    }

    /// Other bytes, and a sum that is right for them.
    private func replaceContent(of number: Int64) throws {
        let sum = Schema.Table.messages.sum(number, [7])
        try execute("UPDATE messages SET bytes = x'07', sum = \(Int64(bitPattern: sum)) WHERE number = \(number)")
    }
}
