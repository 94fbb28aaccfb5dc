/// What one round of one contender brought.
struct Rate: Sendable {
    var count: Int
    var seconds: Double
    /// Nanoseconds from a message's sending to its answer, ascending; empty if messages were not followed one by one.
    var latencies: [UInt32]

    init(count: Int, seconds: Double) { (self.count, self.seconds, latencies) = (count, seconds, []) }

    init(latencies: [UInt32], seconds: Double) {
        (count, self.seconds, self.latencies) = (latencies.count, seconds, latencies.sorted())
    }

    var perSecond: Double { Double(count) / seconds }

    /// Microseconds; `fraction` 0.5 is the median.
    func latency(_ fraction: Double) -> Double? {
        guard !latencies.isEmpty else { return nil }
        return Double(latencies[min(latencies.count - 1, Int(Double(latencies.count) * fraction))]) / 1000
    }
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
