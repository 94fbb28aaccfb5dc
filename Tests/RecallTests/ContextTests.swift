import FoundationEssentials
import Recall
import RecallCore
import RecallCrypto
import Synchronization
import Testing

@Suite struct ContextTests {
    func context(_ clock: StepClock = StepClock(), number: UInt64 = 1) -> UpdateContext {
        UpdateContext(environment: makeEnvironment(clock), keys: testKeys, number: SequenceNumber(number))
    }

    @Test func theClockIsReadOnceAndOnlyIfAsked() {
        let clock = StepClock()
        var context = context(clock)
        #expect(context.clockReading == nil)
        #expect(clock.count == 0)
        let first = context.now, second = context.now
        #expect(first == second)
        #expect(clock.count == 1)
        #expect(context.clockReading == WallTime(nanoseconds: 1_700_000_001_123_456_789))
    }

    @Test func aReplaySeesTheRecordedClock() {
        let clock = StepClock()
        var live = context(clock)
        let now = live.now
        var replayed = UpdateContext(
            environment: makeEnvironment(clock), keys: testKeys, number: SequenceNumber(1), replaying: live.clockReading
        )
        #expect(replayed.clockReading == nil)
        #expect(replayed.now.timeIntervalSinceReferenceDate.bitPattern == now.timeIntervalSinceReferenceDate.bitPattern)
        #expect(replayed.clockReading == live.clockReading)
        #expect(clock.count == 1)
    }

    @Test func aClockThatWasNotRecordedShows() {
        let clock = StepClock()
        var replayed = UpdateContext(
            environment: makeEnvironment(clock), keys: testKeys, number: SequenceNumber(1), replaying: nil)
        #expect(replayed.now == Date(timeIntervalSince1970: 0))
        #expect(replayed.clockReading == WallTime(nanoseconds: 0))
        #expect(clock.count == 0)
    }

    @Test(
        arguments: [
            (0, -978_307_200.0), (978_307_200_000_000_000, 0), (978_307_200_000_000_001, 1e-9),
            (978_307_199_500_000_000, -0.5), (-1_500_000_000, -978_307_201.5),
            (1_700_000_000_123_456_789, 721_692_800.123456789), (.max, 8_245_064_836.854775807),
            (.min, -10_201_679_236.854775808),
        ] as [(Int64, Double)])
    func datesAreAPureFunctionOfNanoseconds(_ nanoseconds: Int64, _ seconds: Double) {
        #expect(Date(WallTime(nanoseconds: nanoseconds)).timeIntervalSinceReferenceDate == seconds)
    }

    @Test func theRandomStreamIsPinned() {
        let seed = Digest([UInt8](0..<32)) ?? Digest()
        var random = SessionRandom(environment: makeEnvironment(), seed: seed)
        let numbers = (0..<8).map { _ in random.next() }
        #expect(
            numbers == [
                0x1470_4ad8_3374_8bf8, 0x137b_4298_d391_9e68, 0xb070_404c_da75_a029, 0xc8a8_58a0_bc57_efe1,
                0x283f_d514_832b_300d, 0x1b43_bbba_a3a8_999e, 0x6cec_1e80_d693_bc17, 0xdc52_376f_812a_83e6,
            ])
    }

    @Test func theSeedComesFromTheSessionsKeyAndTheNumber() {
        var first = context(number: 1), second = context(number: 2)
        let numbers = (0..<4).map { _ in first.random.next() }
        #expect(
            numbers == [
                0x5811_907a_ca51_d6d0, 0x8d24_ef1c_2727_f7e7, 0x4220_3d10_2186_ece6, 0xec21_e297_3fd7_bc9d,
            ])
        #expect(second.random.next() == 0x168b_ba7a_2930_b687)
    }

    @Test func identifiersAreVersion4() {
        var first = context(number: 1), second = context(number: 2)
        #expect(first.uuid().uuidString == "5811907A-CA51-46D0-8D24-EF1C2727F7E7")
        #expect(second.uuid().uuidString == "168BBA7A-2930-4687-8965-D2B637A23D6B")
        #expect(first.random.next() == 0x4220_3d10_2186_ece6)
    }

    @Test func copiesGoOnAlike() {
        var original = context().random
        _ = original.next()
        var copy = original
        #expect((0..<9).map { _ in copy.next() } == (0..<9).map { _ in original.next() })
    }

    @Test func unusedRandomnessCostsNoHash() {
        let hashes = HashCount()
        let counting = Cryptography(
            sha256: { head, tail in
                hashes.add()
                return Cryptography.swiftCrypto.sha256(head, tail)
            },
            hmac: { key, message in
                hashes.add()
                return Cryptography.swiftCrypto.hmac(key, message)
            },
            hkdf: Cryptography.swiftCrypto.hkdf, encrypt: Cryptography.swiftCrypto.encrypt,
            decrypt: Cryptography.swiftCrypto.decrypt)
        let environment = ContextEnvironment(cryptography: counting) { WallTime(nanoseconds: 1) }
        var context = UpdateContext(environment: environment, keys: testKeys, number: SequenceNumber(1))
        _ = context.now
        #expect(hashes.value == 0)
        _ = context.random.next()
        #expect(hashes.value == 2)
        for _ in 0..<4 { _ = context.random.next() }
        #expect(hashes.value == 3)
    }

    final class HashCount: Sendable {
        private let count = Mutex(0)
        func add() { count.withLock { $0 += 1 } }
        var value: Int { count.withLock { $0 } }
    }

    @Test func contextsReplayThroughTheHostedSeam() async throws {
        let lab = Harness(Lab())
        let first = try await lab.send(Lab.Tick()), second = try await lab.send(Lab.Tick(reads: 0))
        #expect(first.count == 4 && first[0] == first[1])
        #expect(second.count == 2 && first[2] != second[0])
        #expect(lab.log.map(\.determinants.isEmpty) == [false, true])
        #expect(try lab.replay().state == lab.state)
    }
}
