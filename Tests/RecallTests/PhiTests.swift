import Recall
import RecallCore
import RecallTesting
import Testing

@Suite struct PhiTests {
    let zero = Instant(nanoseconds: 0)

    /// Before the first heartbeat: mean 1 s and deviation 250 ms of the two assumed samples, pause 3 s. Computed from
    /// the formula by hand (and another program).
    @Test(
        arguments: [
            (0, 1.020394477253791e-137), (1, 2.2636879518417807e-62), (4, 0.30102999566398114),
            (4.5, 1.6428278854871121),
            (5, 4.73669458270518), (6, 21.241600212221332), (60, 344603.5756933704),
        ] as [(Double, Double)])
    func phiOfTheFirstSilence(_ seconds: Double, _ expected: Double) {
        let phi = PhiAccrualDetector(for: session, at: zero).phi(at: .seconds(seconds))
        #expect(abs(phi - expected) <= 1e-12 * max(1, expected))
    }

    /// Phi reaches 8 at y = 5.225986644093564 deviations past the mean.
    @Test func failsWhenPhiReachesTheThreshold() {
        let detector = PhiAccrualDetector(for: session, at: zero)
        let first = Instant(nanoseconds: 5_306_496_662)
        #expect(detector.nextCheck(after: zero) == first)
        #expect(detector.hasFailed(at: first))
        #expect(!detector.hasFailed(at: Instant(nanoseconds: first.nanoseconds - 1)))
        #expect(abs(detector.phi(at: first) - 8) < 1e-6)
        #expect(detector.nextCheck(after: .seconds(50)) == .seconds(50))
    }

    /// A thousand regular heartbeats push out the assumed ones; the deviation is then the minimum of 100 ms.
    @Test func regularHeartbeatsSharpenIt() {
        var detector = PhiAccrualDetector(for: session, at: zero)
        for second in 1...1000 { detector.observe(.heard, at: .seconds(Double(second))) }
        #expect(detector.nextCheck(after: zero) == Instant(nanoseconds: 1000_000_000_000 + 4_522_598_665))
        #expect(abs(detector.phi(at: .seconds(1004)) - 0.30102999566398114) < 1e-9)
    }

    @Test func irregularHeartbeatsMakeItPatient() {
        let settings = PhiAccrualDetector.Settings(acceptablePause: .zero, sampleCount: 4)
        var detector = PhiAccrualDetector(settings: settings, at: zero)
        // Intervals 1, 2, 1, 2 s: mean 1.5 s, deviation 0.5 s.
        for second in [1.0, 3, 4, 6] { detector.observe(.heard, at: .seconds(second)) }
        #expect(detector.nextCheck(after: zero) == Instant(nanoseconds: 6_000_000_000 + 4_112_993_323))
        #expect(abs(detector.phi(at: .seconds(7.5)) - 0.30102999566398114) < 1e-9)
        #expect(abs(detector.phi(at: .seconds(8)) - 0.7995083208395597) < 1e-9)
    }

    @Test func phiGrowsWithTheSilence() {
        let detector = PhiAccrualDetector(for: session, at: zero)
        var previous = -1.0
        for step in 0..<2000 {
            let phi = detector.phi(at: .seconds(Double(step) * 0.01))
            #expect(phi >= previous && phi.isFinite)
            previous = phi
        }
    }

    @Test func aSuspiciousGapIsNoSample() {
        var detector = PhiAccrualDetector(for: session, at: zero)
        let fresh = detector.nextCheck(after: zero)?.nanoseconds
        detector.observe(.heard, at: .seconds(1_000_000))
        #expect(!detector.hasFailed(at: .seconds(1_000_001)))
        #expect(detector.nextCheck(after: zero)?.nanoseconds == fresh.map { $0 + 1_000_000_000_000_000 })
    }

    @Test func onlyHeardMatters() {
        var detector = PhiAccrualDetector(for: session, at: zero)
        detector.observe(.began(SequenceNumber(1)), at: .seconds(5))
        detector.observe(.completed(SequenceNumber(1)), at: .seconds(5))
        #expect(detector.hasFailed(at: .seconds(6)))
    }

    @Test func oddTimesAreHarmless() {
        var detector = PhiAccrualDetector(for: session, at: .seconds(50))
        detector.observe(.heard, at: .seconds(10))
        #expect(!detector.hasFailed(at: .seconds(14)))
        #expect(detector.hasFailed(at: .seconds(50)))
        #expect(!detector.hasFailed(at: zero))
        for _ in 0..<2000 { detector.observe(.heard, at: .seconds(10)) }
        #expect(detector.phi(at: .seconds(10)).isFinite)
        #expect(detector.hasFailed(at: .seconds(14)))
        for nanoseconds in [Int64.min, .max, 0, .max, .min, .min, 1] {
            detector.observe(.heard, at: Instant(nanoseconds: nanoseconds))
            for now in [Int64.min, 0, .max] {
                #expect(detector.phi(at: Instant(nanoseconds: now)).isFinite)
                _ = detector.hasFailed(at: Instant(nanoseconds: now))
                _ = detector.nextCheck(after: Instant(nanoseconds: now))
            }
        }
    }

    @Test(arguments: [0, -1, .nan, .infinity, 1e-300, 1e300] as [Double])
    func oddSettingsAreHarmless(_ threshold: Double) {
        for duration in [Duration.zero, .seconds(-5), .seconds(Int64.max), .nanoseconds(1)] {
            for count in [Int.min, 0, 1, .max] {
                let settings = PhiAccrualDetector.Settings(
                    threshold: threshold, heartbeatInterval: duration, acceptablePause: duration,
                    minimumDeviation: duration, sampleCount: count)
                var detector = PhiAccrualDetector(settings: settings, at: zero)
                for step in 0..<5 { detector.observe(.heard, at: .seconds(Double(step) * 0.3)) }
                #expect(detector.phi(at: .seconds(2)).isFinite)
                _ = detector.nextCheck(after: zero)
            }
        }
    }

    /// The solved time and the formula agree: whatever was heard, phi passes the threshold where `nextCheck` says.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func theSolvedTimeAgreesWithTheFormula(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let settings = PhiAccrualDetector.Settings(threshold: 0.5 + Double(random.next() % 12), sampleCount: 16)
        var detector = PhiAccrualDetector(settings: settings, at: zero), now: Int64 = 0
        for round in 0..<500 {
            now += Int64(random.next() % 2_000_000_000)
            detector.observe(.heard, at: Instant(nanoseconds: now))
            guard let check = detector.nextCheck(after: zero) else { continue }
            let before = Instant(nanoseconds: check.nanoseconds - 1000),
                after = Instant(nanoseconds: check.nanoseconds + 1000)
            #expect(detector.phi(at: before) <= settings.threshold, "seed \(seed), round \(round)")
            #expect(detector.phi(at: after) >= settings.threshold, "seed \(seed), round \(round)")
        }
    }
}
