import Recall
import RecallClient
import RecallCore
import Synchronization
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A seed of the test's own, printed; `RECALL_TEST_SEED` repeats a run.
func printedSeed(_ test: String = #function) -> UInt64 {
    let given = ProcessInfo.processInfo.environment["RECALL_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0 ... .max)
    print("\(test) RECALL_TEST_SEED=\(seed)")
    return seed
}

/// A condition that did not come about in time.
struct Overdue: Error, CustomStringConvertible {
    var description: String
}

/// Waits until something is so; throws `Overdue` if it is not within the deadline.
func eventually(
    _ what: String, within limit: Duration = .seconds(40), _ condition: @Sendable () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Overdue(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// Runs something that must end; throws `Overdue` if it does not within the limit.
func within<R: Sendable>(
    _ limit: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
    try await withThrowingTaskGroup(of: R.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw Overdue(description: "not within \(limit): \(what)")
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw Overdue(description: what) }
        return first
    }
}

/// The code with which something fails; nil if it does not.
func code(_ body: () async throws -> Void) async -> FaultCode? {
    do {
        try await body()
        return nil
    } catch let error as RecallError {
        return error.code
    } catch {
        Issue.record("threw \(error)")
        return nil
    }
}

extension ClientConfiguration {
    /// Comes back quickly, since tests wait for it.
    static var quick: ClientConfiguration {
        var configuration = ClientConfiguration()
        configuration.backoffFloor = .milliseconds(1)
        configuration.backoffCeiling = .milliseconds(30)
        return configuration
    }
}

/// A count that tasks share.
final class Tally: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add(_ amount: Int = 1) { count.add(amount, ordering: .relaxed) }
}
