/// What one round of one contender brought.
struct Rate: Sendable {
    var count: Int
    var seconds: Double
    /// Nanoseconds from a message's sending to its answer, in no order; empty if messages were not followed one by one.
    var latencies: [UInt32]

    init(count: Int, seconds: Double) { (self.count, self.seconds, latencies) = (count, seconds, []) }

    init(latencies: [UInt32], seconds: Double) {
        (count, self.seconds, self.latencies) = (latencies.count, seconds, latencies)
    }

    var perSecond: Double { Double(count) / seconds }

    /// Microseconds that no more than so large a part of the messages took, by names like `p99`.
    var percentiles: [String: Double] {
        let sorted = latencies.sorted()
        guard !sorted.isEmpty else { return [:] }
        return Self.fractions.mapValues { fraction in
            Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * fraction))]) / 1000
        }
    }

    private static let fractions = ["p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999]
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension Sequence<Double> {
    /// The middle one; the mean of the two middle ones of an even number. 0 of none.
    var median: Double {
        let sorted = sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
