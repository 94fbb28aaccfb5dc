@testable import RecallCommand
import RecallTesting
import Testing

@Suite struct TypistTests {
    @Test func isTheSameForTheSameSeed() {
        let edits = Array(Typist(seed: 7).prefix(5000))
        #expect(edits == Array(Typist(seed: 7).prefix(5000)))
        #expect(edits != Array(Typist(seed: 8).prefix(5000)))
    }

    /// The numbers of the published algorithm for seed 1234567.
    @Test func drawsFromSplitMix64() {
        var random = SeededGenerator(seed: 1_234_567)
        let numbers = (0..<3).map { _ in random.next() }
        #expect(numbers == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
        #expect((0..<1000).allSatisfy { _ in (0..<7).contains(random.below(7)) })
        #expect(random.below(0) == 0)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func typesWhatFits(seed: UInt64) throws {
        var (plain, buffer) = (PlainText(), TextBuffer())
        var (backspaces, jumps, long, last) = (0, 0, 0, 0)
        for edit in Typist(seed: seed).prefix(20_000) {
            try plain.apply(edit)
            try buffer.apply(edit)
            if edit.deleted > 0 { backspaces += 1 }
            if edit.inserted.unicodeScalars.count > 10 { long += 1 }
            if edit.position != last, edit.position != last - 1 { jumps += 1 }
            last = edit.position + edit.inserted.unicodeScalars.count
        }
        #expect(Array(buffer.text.unicodeScalars) == plain.scalars)
        #expect(backspaces > 500 && jumps > 100 && long > 20)
        #expect(plain.scalars.count > 8000)
        #expect(plain.scalars.contains { $0.value > 0xffff } && plain.scalars.contains("\u{301}"))
    }
}
