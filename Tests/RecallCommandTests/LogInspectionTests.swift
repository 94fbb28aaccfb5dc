@testable import RecallCommand
import RecallCore
import RecallCrypto
import RecallSQLite
import Testing

/// What `recall log verify` compares.
@Suite struct LogInspectionTests {
    private static let vector = Digest([UInt8](repeating: 9, count: 32)) ?? Digest()

    /// A log of 20 updates with a receipt for each, one of which may stand on another chain.
    private func write(_ path: String, wrong: UInt64?) async throws {
        let log = SQLiteLog(path: path)
        _ = try await log.open()
        try await log.begin(
            LogHeader(
                session: SessionID(high: 1, low: 2), vector: Self.vector, kindName: Array("text".utf8), kindVersion: 1))
        let sealer = Sealer(vector: Self.vector, .swiftCrypto)
        var seal = Digest()
        for index in UInt64(1)...20 {
            let (number, content) = (SequenceNumber(index), [UInt8(1), UInt8(index)])
            seal = sealer.seal(.update, content.span.bytes, number: number, after: seal)
            let position = Position(
                number: number, seal: index == wrong ? Self.vector : seal, inputs: Digest())
            let receipt = Receipt(
                position: position, outputs: Digest(), time: WallTime(nanoseconds: 0), mac: Digest())
            try await log.append([.message(LoggedMessage(number: number, content: content))])
            try await log.append([.acknowledgement(LoggedAcknowledgement(determinants: [], receipt: receipt))])
        }
        await log.close()
    }

    @Test func everyReceiptIsCompared() async throws {
        let folder = try TemporaryFolder()
        try await write(folder.file("whole.db"), wrong: nil)
        let (receipts, unacknowledged) = try LogInspection(folder.file("whole.db")).verify()
        #expect(receipts == 20 && unacknowledged == 0)
    }

    /// Several stretches were read at once, and only the receipt at their end was looked at.
    @Test(arguments: [1, 7, 20] as [UInt64]) func aReceiptOfAnotherChainIsFound(wrong: UInt64) async throws {
        let folder = try TemporaryFolder()
        try await write(folder.file("wrong.db"), wrong: wrong)
        let inspection = try LogInspection(folder.file("wrong.db"))
        let fault = #expect(throws: LogFault.self) { try inspection.verify() }
        #expect(fault?.first == SequenceNumber(wrong) && fault?.last == SequenceNumber(wrong))
    }
}
