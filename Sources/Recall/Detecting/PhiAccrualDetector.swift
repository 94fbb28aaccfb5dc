public import RecallCore

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Suspects a silent peer by how regularly it was heard before: phi = 1 means that a silence this long would be a
/// mistake to act upon once in 10 times, phi = 8 once in 100 million.
///
/// Hayashibara, Défago, Yared, Katayama: "The phi accrual failure detector", SRDS 2004: phi(t) = -log10(1 - F(t)), F
/// the normal distribution with the mean and deviation of the last intervals. As in Akka, an acceptable pause is added
/// to the mean, the deviation has a minimum, the first two samples are the expected interval minus and plus a quarter,
/// and a gap that was itself suspicious is no sample.
///
/// F is approximated by the logistic function of x = y (1.5976 + 0.070566 y^2), y = (t - mean) / deviation (Bowling et
/// al., "A logistic approximation to the cumulative normal distribution", JIEM 2009): at most 0.00014 off, and a
/// little too suspicious far out (phi 4.74 for 4.50 at y = 4). Then phi = log10(1 + e^x), computed as (max(x, 0) +
/// log1p(e^-|x|)) / ln 10, which neither overflows nor cancels: no silence, however long, gives infinity.
///
/// Feed it `heard`. Frequent frames lower the mean to nothing, so `acceptablePause` should cover at least two
/// heartbeats. Memory: 4 bytes a sample, so up to 4 kB for each session by default; with very many sessions, take
/// fewer samples.
public struct PhiAccrualDetector: FailureDetector {
    public struct Settings: Hashable, Sendable {
        /// Phi at which the peer counts as failed; 0.5 to 300, others are taken as the nearest of these.
        public var threshold: Double
        /// The interval expected before the first ones are known.
        public var heartbeatInterval: Duration
        /// Silence that is forgiven on top of the mean interval.
        public var acceptablePause: Duration
        /// Smallest deviation reckoned with, lest very regular heartbeats make it jumpy; at least a microsecond.
        public var minimumDeviation: Duration
        /// Intervals remembered; at least 2, at most 65,536.
        public var sampleCount: Int

        public init(
            threshold: Double = 8, heartbeatInterval: Duration = .seconds(1), acceptablePause: Duration = .seconds(3),
            minimumDeviation: Duration = .milliseconds(100), sampleCount: Int = 1000
        ) {
            self.threshold = threshold
            self.heartbeatInterval = heartbeatInterval
            self.acceptablePause = acceptablePause
            self.minimumDeviation = minimumDeviation
            self.sampleCount = sampleCount
        }
    }

    private let model: Model
    private var last: Instant
    private var samples: Samples

    public init(for session: SessionID, at now: Instant) { self.init(settings: Settings(), at: now) }

    /// A detector for a peer that is heard now.
    public init(settings: Settings, at now: Instant) { self.init(model: Model(settings), at: now) }

    init(model: Model, at now: Instant) {
        self.model = model
        last = now
        samples = Samples(first: model.interval - model.interval / 4, second: model.interval + model.interval / 4)
    }

    /// Only `heard` matters.
    public mutating func observe(_ event: SessionEvent, at now: Instant) {
        guard event.kind == .heard else { return }
        // A clock that went backwards tells nothing about the interval; count from its new reading.
        if now >= last, !hasFailed(at: now) {
            samples.append(now.elapsed(since: last) / 1000, limit: model.sampleCount)
        }
        last = now
    }

    public func hasFailed(at now: Instant) -> Bool { now.elapsed(since: last) >= patience }

    /// How suspicious the silence is by now: 0 and up, finite.
    public func phi(at now: Instant) -> Double {
        let silence = Double(now.elapsed(since: last)) / 1000
        let y = (silence - samples.mean - model.pause) / deviation
        let x = y * (1.5976 + 0.070566 * y * y)
        return (max(x, 0) + log1p(exp(-abs(x)))) / Model.naturalLogarithmOf10
    }

    public func nextCheck(after now: Instant) -> Instant? { max(now, last.later(by: patience)) }

    private var deviation: Double { max(samples.deviation, model.minimumDeviation) }

    /// Nanoseconds of silence at which phi reaches the threshold: the formula solved for t, so that neither a check nor
    /// the next one's time takes a logarithm.
    private var patience: Int64 {
        let microseconds = samples.mean + model.pause + deviation * model.deviations
        return Int64(exactly: (max(0, microseconds) * 1000).rounded(.up)) ?? .max
    }
}

extension PhiAccrualDetector {
    /// The settings in the units reckoned with, shared by all detectors of a server.
    final class Model: Sendable {
        /// Microseconds.
        let interval: Int64
        let pause: Double, minimumDeviation: Double
        let sampleCount: Int
        /// How many deviations past the mean phi reaches the threshold.
        let deviations: Double

        static let naturalLogarithmOf10 = 2.302_585_092_994_046

        init(_ settings: Settings) {
            interval = settings.heartbeatInterval.wholeNanoseconds / 1000
            pause = Double(settings.acceptablePause.wholeNanoseconds) / 1000
            minimumDeviation = max(1, Double(settings.minimumDeviation.wholeNanoseconds) / 1000)
            sampleCount = min(max(2, settings.sampleCount), 65_536)
            let threshold = settings.threshold.isNaN ? 8 : min(max(0.5, settings.threshold), 300)
            deviations = Self.deviations(at: threshold)
        }

        /// Solves log10(1 + e^x) = threshold for x, then y (1.5976 + 0.070566 y^2) = x for y by Newton's method: the
        /// cubic grows everywhere and is convex where y > 0, so from x / 1.5976, which is too large, it closes in from
        /// above.
        private static func deviations(at threshold: Double) -> Double {
            let exponent = threshold * naturalLogarithmOf10
            let x = exponent + log1p(-exp(-exponent))
            var y = x / 1.5976
            for _ in 0..<64 {
                let step = (y * (1.5976 + 0.070566 * y * y) - x) / (1.5976 + 3 * 0.070566 * y * y)
                y -= step
                if abs(step) < 1e-12 { break }
            }
            return y
        }
    }

    /// The last intervals, in whole microseconds up to 71 minutes each, in a ring. Their sums are integers, exact
    /// however many intervals come and go.
    struct Samples: Sendable {
        private var ring: [UInt32]
        private var next = 0
        private var sum: UInt64
        private var squares: UInt128

        init(first: Int64, second: Int64) {
            ring = [UInt32(clamping: first), UInt32(clamping: second)]
            sum = UInt64(ring[0]) + UInt64(ring[1])
            squares = Self.square(ring[0]) + Self.square(ring[1])
        }

        mutating func append(_ microseconds: Int64, limit: Int) {
            let sample = UInt32(clamping: microseconds)
            if ring.count < limit {
                ring.append(sample)
            } else {
                let old = ring[next]
                ring[next] = sample
                next = next + 1 == ring.count ? 0 : next + 1
                sum -= UInt64(old)
                squares -= Self.square(old)
            }
            sum += UInt64(sample)
            squares += Self.square(sample)
        }

        /// Microseconds.
        var mean: Double { Double(sum) / Double(ring.count) }

        /// Of the population, in microseconds. The numerator is exact, and cannot be negative (Cauchy and Schwarz).
        var deviation: Double {
            let count = UInt128(ring.count)
            let numerator = count * squares - UInt128(sum) * UInt128(sum)
            return Double(numerator).squareRoot() / Double(ring.count)
        }

        private static func square(_ value: UInt32) -> UInt128 { UInt128(value) * UInt128(value) }
    }
}
