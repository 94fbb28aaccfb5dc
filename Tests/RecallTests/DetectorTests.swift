import Recall
import RecallCore
import Testing

let session = SessionID(high: 1, low: 2)

extension Instant {
    static func seconds(_ value: Double) -> Self { Self(nanoseconds: Int64(value * 1e9)) }
}

@Suite struct DetectorTests {
    let start = Instant.seconds(100)

    @Test func crash() {
        var detector = CrashDetector(for: session, at: start)
        detector.observe(.heard, at: start)
        detector.observe(.inconsistent("x"), at: start)
        detector.observe(SessionEvent(.init(rawValue: 200)), at: start)
        #expect(!detector.hasFailed(at: Instant(nanoseconds: .max)))
        #expect(detector.nextCheck(after: start) == nil)
        detector.observe(.crashed("the loop ended"), at: start)
        #expect(detector.hasFailed(at: start))
        #expect(detector.nextCheck(after: start) == start)
    }

    @Test func consistency() {
        var detector = ConsistencyDetector(for: session, at: start)
        detector.observe(.crashed("x"), at: start)
        detector.observe(.measured(byteCount: .max), at: start)
        #expect(!detector.hasFailed(at: start))
        #expect(detector.nextCheck(after: start) == nil)
        detector.observe(.inconsistent("diverged"), at: start)
        #expect(detector.hasFailed(at: Instant(nanoseconds: .min)))
        #expect(detector.nextCheck(after: start) == start)
    }

    @Test func deadline() {
        var detector = DeadlineDetector(deadline: .seconds(2))
        #expect(!detector.hasFailed(at: Instant(nanoseconds: .max)))
        #expect(detector.nextCheck(after: start) == nil)
        detector.observe(.began(SequenceNumber(5)), at: start)
        #expect(detector.nextCheck(after: start) == Instant(nanoseconds: 102_000_000_001))
        #expect(!detector.hasFailed(at: .seconds(102)))
        #expect(detector.hasFailed(at: Instant(nanoseconds: 102_000_000_001)))
        #expect(detector.nextCheck(after: .seconds(200)) == .seconds(200))
        detector.observe(.began(SequenceNumber(5)), at: .seconds(101))
        detector.observe(.completed(SequenceNumber(4)), at: .seconds(101))
        #expect(detector.hasFailed(at: .seconds(102.5)))
        detector.observe(.completed(SequenceNumber(5)), at: .seconds(103))
        #expect(!detector.hasFailed(at: .seconds(1000)))
        detector.observe(.began(SequenceNumber(6)), at: .seconds(1000))
        detector.observe(.began(SequenceNumber(7)), at: .seconds(1001))
        #expect(!detector.hasFailed(at: .seconds(1003)))
        #expect(detector.hasFailed(at: .seconds(1003.5)))
        #expect(!detector.hasFailed(at: Instant(nanoseconds: .min)))
    }

    @Test func deadlineAtTheEndsOfTime() {
        var detector = DeadlineDetector(deadline: .seconds(Int64.max))
        detector.observe(.began(SequenceNumber(1)), at: Instant(nanoseconds: .min))
        #expect(!detector.hasFailed(at: Instant(nanoseconds: .max)))
        _ = detector.nextCheck(after: start)
        var instant = DeadlineDetector(deadline: .seconds(-1))
        instant.observe(.began(SequenceNumber(1)), at: Instant(nanoseconds: .min))
        #expect(instant.hasFailed(at: Instant(nanoseconds: .max)))
    }

    @Test func idle() {
        var detector = IdleDetector(limit: .seconds(10), at: start)
        #expect(!detector.hasFailed(at: .seconds(110)))
        #expect(detector.hasFailed(at: .seconds(110.5)))
        detector.observe(.heard, at: .seconds(109))
        #expect(!detector.hasFailed(at: .seconds(119)))
        #expect(detector.nextCheck(after: start) == Instant(nanoseconds: 119_000_000_001))
        detector.observe(.began(SequenceNumber(1)), at: .seconds(119))
        #expect(!detector.hasFailed(at: .seconds(1000)))
        #expect(detector.nextCheck(after: start) == nil)
        detector.observe(.completed(SequenceNumber(1)), at: .seconds(1000))
        #expect(!detector.hasFailed(at: .seconds(1010)))
        detector.observe(.measured(byteCount: 1), at: .seconds(1010))
        #expect(detector.hasFailed(at: .seconds(1011)))
        #expect(!detector.hasFailed(at: start))
    }

    @Test func anyOfSeveral() {
        let detection = FailureDetection.any(of: .standard, .deadline(.seconds(2)), .idle(after: .seconds(5)))
        var detector = detection.detector(for: session, at: start)
        #expect(!detector.hasFailed(at: .seconds(105)))
        #expect(detector.nextCheck(after: start) == Instant(nanoseconds: 105_000_000_001))
        #expect(detector.hasFailed(at: .seconds(106)))
        detector.observe(.began(SequenceNumber(1)), at: .seconds(105))
        #expect(!detector.hasFailed(at: .seconds(107)))
        #expect(detector.nextCheck(after: start) == Instant(nanoseconds: 107_000_000_001))
        #expect(detector.hasFailed(at: .seconds(108)))
        detector.observe(.completed(SequenceNumber(1)), at: .seconds(108))
        #expect(!detector.hasFailed(at: .seconds(108)))
        detector.observe(.inconsistent("x"), at: .seconds(108))
        #expect(detector.hasFailed(at: .seconds(108)))
        #expect(!AnyDetector(of: []).hasFailed(at: start))
        #expect(AnyDetector(of: []).nextCheck(after: start) == nil)
    }

    @Test func eachFactoryMakesItsDetector() {
        func fails(_ detection: FailureDetection, _ event: SessionEvent, at now: Instant = .seconds(100)) -> Bool {
            var detector = detection.detector(for: session, at: start)
            detector.observe(event, at: start)
            return detector.hasFailed(at: now)
        }
        #expect(fails(.crash, .crashed("x")) && !fails(.crash, .inconsistent("x")))
        #expect(fails(.consistency, .inconsistent("x")) && !fails(.consistency, .crashed("x")))
        #expect(fails(.standard, .crashed("x")) && fails(.standard, .inconsistent("x")))
        #expect(!fails(.standard, .began(SequenceNumber(1)), at: .seconds(130)))
        #expect(fails(.standard, .began(SequenceNumber(1)), at: .seconds(131)))
        #expect(!fails(.phiAccrual(), .heard, at: .seconds(103)) && fails(.phiAccrual(), .heard, at: .seconds(110)))
        #expect(fails(FailureDetection(IdleDetector.self), .heard, at: .seconds(701)))
    }

    /// A detector of a user's, with nothing but the three requirements.
    struct Ninth: FailureDetector {
        var count = 0
        init(for session: SessionID, at now: Instant) {}
        mutating func observe(_ event: SessionEvent, at now: Instant) { count += 1 }
        func hasFailed(at now: Instant) -> Bool { count >= 9 }
    }

    @Test func aUsersOwn() {
        var detector = FailureDetection(Ninth.self).detector(for: session, at: start)
        for _ in 0..<8 { detector.observe(.heard, at: start) }
        #expect(!detector.hasFailed(at: start))
        #expect(detector.nextCheck(after: start) == .seconds(101))
        detector.observe(.heard, at: start)
        #expect(detector.hasFailed(at: start))
    }

    /// Who says that signs of life do not matter to it answers the same without them.
    @Test(arguments: [
        FailureDetection.crash, .consistency, .standard, .deadline(.seconds(2)),
        .any(of: .crash, .deadline(.seconds(1))),
    ])
    func signsOfLifeGoToThoseThatWantThem(_ detection: FailureDetection) {
        let events: [SessionEvent] = [
            .began(SequenceNumber(1)), .measured(byteCount: 5), .completed(SequenceNumber(1)),
            .began(SequenceNumber(2)), .crashed("x"), .inconsistent("y"),
        ]
        var without = detection.detector(for: session, at: start)
        var with = without
        #expect(!without.observesHeard)
        for (index, event) in events.enumerated() {
            let now = Instant.seconds(100 + Double(index))
            with.observe(.heard, at: now)
            with.observe(event, at: now)
            without.observe(event, at: now)
            for time in [now, .seconds(107), .seconds(200)] {
                #expect(with.hasFailed(at: time) == without.hasFailed(at: time))
                #expect(with.nextCheck(after: time) == without.nextCheck(after: time))
            }
        }
    }

    @Test func signsOfLifeAreForIdleAndPhiAndUnlessSaidOtherwise() {
        for detection in [
            FailureDetection.idle(after: .seconds(1)), .phiAccrual(), FailureDetection(Ninth.self),
            .any(of: .standard, .idle(after: .seconds(1))),
        ] {
            #expect(detection.detector(for: session, at: start).observesHeard)
        }
    }
}
