import RecallCore
import RecallCrypto
import RecallTesting
import Testing

/// Slices that do not fit each other, or their receipts.
@Suite struct LogVerifierTests {
    private func verifier(_ forged: ForgedLog) -> LogVerifier {
        LogVerifier(vector: forged.keys.vector, base: .start, Forge.cryptography)
    }

    @Test func aSliceThatLacksAMessage() throws {
        let forged = ForgedLog(.init("a"), .init("b"), .init("c"))
        let messages = try forged.log().messages
        var verifier = verifier(forged)
        let slice = LogSlice(messages: [messages[0], messages[2]], receipt: forged.receipt(at: forged.positions[3]))
        let fault = #expect(throws: LogFault.self) { try verifier.verify(slice) }
        #expect(fault?.first == SequenceNumber(2) && fault?.last == SequenceNumber(3))
        #expect(fault?.text == "update 2 is missing")
        #expect(verifier.front == .start)
        #expect(verifier.position(at: SequenceNumber(1), in: slice) == forged.positions[1])
        #expect(verifier.position(at: SequenceNumber(3), in: slice) == nil)
        #expect(verifier.position(at: SequenceNumber(2), in: LogSlice(messages: [messages[0]], receipt: nil)) == nil)
    }

    /// A receipt without messages holds only where it was made.
    @Test func aReceiptWithoutMessages() throws {
        let forged = ForgedLog(.init("a"), .init("b"))
        let messages = try forged.log().messages
        var verifier = verifier(forged)
        let first = LogSlice(messages: [messages[0]], receipt: forged.receipt(at: forged.positions[1]))
        #expect(try verifier.verify(first) == [forged.positions[1].seal])
        #expect(try verifier.verify(LogSlice(messages: [], receipt: first.receipt)) == [])
        let later = LogSlice(messages: [], receipt: forged.receipt(at: forged.positions[2]))
        let fault = #expect(throws: LogFault.self) { try verifier.verify(later) }
        #expect(fault?.first == SequenceNumber(1) && fault?.last == SequenceNumber(2))
        #expect(verifier.front == forged.positions[1])
    }

    /// Slices of unacknowledged messages follow one another when the first is skipped, and only then.
    @Test func whatIsSkippedCounts() throws {
        let forged = ForgedLog(.init("a"), .init("b"), .init("c"))
        let messages = try forged.log().messages
        let (first, rest) = (
            LogSlice(messages: Array(messages.prefix(2)), receipt: nil),
            LogSlice(messages: Array(messages.dropFirst(2)), receipt: nil)
        )
        var verifier = verifier(forged)
        #expect(try verifier.verify(first) == forged.positions[1...2].map(\.seal))
        #expect(throws: LogFault.self) { try verifier.verify(rest) }
        verifier.skip(first)
        #expect(verifier.front == forged.positions[2])
        #expect(try verifier.verify(rest) == [forged.positions[3].seal])
    }
}
