package import RecallCore

/// Who waits for the results of calls that follow each other. Confined to the client's loop.
///
/// Classes and not an enum with the continuations in it: their layout is known to the concurrency library only, so that
/// each copy of such an enum asked the runtime.
class Waiter {
    /// False once it has the results of all of its calls.
    final var isWaiting = true
    /// True while it waits for the call of that index.
    func waits(for index: Int) -> Bool { isWaiting }
    /// The result that its calls of those indices have in common. The first one of each call counts.
    func resume(_ indices: Range<Int>, _ result: Result<CallResult, any Error>) {}
}

/// A caller of `send`.
final class SingleWaiter: Waiter {
    private let continuation: CheckedContinuation<CallResult, any Error>
    init(_ continuation: CheckedContinuation<CallResult, any Error>) { self.continuation = continuation }

    override func resume(_ indices: Range<Int>, _ result: Result<CallResult, any Error>) {
        guard isWaiting else { return }
        isWaiting = false
        continuation.resume(with: result)
    }
}

/// Somebody who follows an update that the log held.
final class RecoveredWaiter: Waiter {
    private let answer: AsyncStream<CallResult>.Continuation
    init(_ answer: AsyncStream<CallResult>.Continuation) { self.answer = answer }

    override func resume(_ indices: Range<Int>, _ result: Result<CallResult, any Error>) {
        guard isWaiting else { return }
        isWaiting = false
        if case .success(let result) = result { answer.yield(result) }
        answer.finish()
    }
}

/// Collects the results of messages that were sent together.
final class BatchWaiter: Waiter {
    /// In one piece, so that a run of results is one access to the object.
    private struct Collected {
        var results: [Result<CallResult, any Error>?]
        var missing: Int

        /// All of them, once none is missing.
        mutating func add(
            _ indices: Range<Int>, _ result: Result<CallResult, any Error>
        ) -> [Result<CallResult, any Error>]? {
            for index in indices where results[index] == nil {
                results[index] = result
                missing -= 1
            }
            guard missing == 0 else { return nil }
            // The table may hold the waiter for longer.
            defer { results = [] }
            return results.compactMap { $0 }
        }
    }
    private var collected: Collected
    private let continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>

    init(count: Int, _ continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>) {
        collected = Collected(results: Array(repeating: nil, count: count), missing: count)
        self.continuation = continuation
    }

    override func waits(for index: Int) -> Bool { isWaiting && collected.results[index] == nil }
    override func resume(_ indices: Range<Int>, _ result: Result<CallResult, any Error>) {
        guard isWaiting, let results = collected.add(indices, result) else { return }
        isWaiting = false
        continuation.resume(returning: results)
    }
}

/// The updates that a log held without an answer when it was opened, and what became of them.
package struct RecoveredUpdates: Sendable {
    /// In ascending order; each stream gives one result, or ends without one.
    package let updates: [(number: SequenceNumber, answer: AsyncStream<CallResult>)]
}

/// Those who wait, by the names of their calls. Names ascend and mostly end in their order, so they are found by place
/// and not by hashing.
struct WaiterTable {
    private struct Entry {
        /// Nil once it needs nothing more.
        var waiter: Waiter?
        let calls: Range<CallID>
    }

    /// Ascending and without gaps. One that needs nothing more goes when those before it have gone.
    private var entries = Fifo<Entry>()
    /// The name that the next call gets.
    private var next = CallID(1)

    var count: Int { entries.count }

    /// Names so many calls, whose results go to one who waits.
    mutating func add(_ waiter: Waiter, count: Int) -> Range<CallID> {
        let calls = next..<next.advanced(by: count)
        next = calls.upperBound
        if count > 0 { entries.append(Entry(waiter: waiter, calls: calls)) }
        return calls
    }

    /// Where the entry of a call is; nil if it is gone, or there was none.
    private func offset(of call: CallID) -> Int? {
        guard let first = entries.first, call >= first.calls.lowerBound, call < next else { return nil }
        if call < first.calls.upperBound { return 0 }
        var (low, high) = (1, entries.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if let entry = entries.item(at: middle), entry.calls.upperBound <= call {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// True if somebody waits for the call.
    func holds(_ call: CallID) -> Bool {
        guard let entry = offset(of: call).flatMap({ entries.item(at: $0) }), let waiter = entry.waiter else {
            return false
        }
        return waiter.waits(for: entry.calls.lowerBound.distance(to: call))
    }

    /// Whoever comes first of those that these calls belong to, and the calls' indices with them; takes these off
    /// `calls`. Nil when there is nobody left.
    ///
    /// One at a time, and not with the result: who gets one may go on at once, and hand over others.
    mutating func take(_ calls: inout Range<CallID>) -> (waiter: Waiter, indices: Range<Int>)? {
        while let entry = entries.first, entry.waiter?.isWaiting != true { entries.removeFirst(1) }
        while !calls.isEmpty, let first = entries.first,
            let offset = offset(of: max(calls.lowerBound, first.calls.lowerBound)),
            let entry = entries.item(at: offset), entry.calls.lowerBound < calls.upperBound
        {
            let part = entry.calls.clamped(to: calls), start = entry.calls.lowerBound
            calls = part.upperBound..<calls.upperBound
            guard let waiter = entry.waiter else { continue }
            if entry.calls.count == 1 { entries.update(at: offset) { $0.waiter = nil } }
            return (waiter, start.distance(to: part.lowerBound)..<start.distance(to: part.upperBound))
        }
        return nil
    }
}
