package import RecallCore

/// Who waits for the results of calls. Confined to the client's loop.
///
/// Classes and not an enum with the continuations in it: their layout is known to the concurrency library only, so that
/// each copy of such an enum asked the runtime.
class Waiter {
    /// The result of its call of that index.
    func resume(_ index: Int, _ result: Result<CallResult, any Error>) {}
}

/// A caller of `send`.
final class SingleWaiter: Waiter {
    private let continuation: CheckedContinuation<CallResult, any Error>
    init(_ continuation: CheckedContinuation<CallResult, any Error>) { self.continuation = continuation }

    override func resume(_ index: Int, _ result: Result<CallResult, any Error>) { continuation.resume(with: result) }
}

/// Somebody who follows an update that the log held.
final class RecoveredWaiter: Waiter {
    private let answer: AsyncStream<CallResult>.Continuation
    init(_ answer: AsyncStream<CallResult>.Continuation) { self.answer = answer }

    override func resume(_ index: Int, _ result: Result<CallResult, any Error>) {
        if case .success(let result) = result { answer.yield(result) }
        answer.finish()
    }
}

/// Collects the results of messages that were sent together.
final class BatchWaiter: Waiter {
    private var results: [Result<CallResult, any Error>?]
    private var missing: Int
    private var continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>?

    init(count: Int, _ continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>) {
        (results, missing, self.continuation) = (Array(repeating: nil, count: count), count, continuation)
    }

    override func resume(_ index: Int, _ result: Result<CallResult, any Error>) {
        guard results[index] == nil else { return }
        results[index] = result
        missing -= 1
        guard missing == 0, let continuation else { return }
        self.continuation = nil
        continuation.resume(returning: results.compactMap { $0 })
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
        /// Nil once nobody waits.
        var waiter: Waiter?
        var index: Int
    }

    private var entries = Fifo<Entry>()
    private var first: UInt64 = 1

    /// The name that the next call gets.
    var next: CallID { CallID(first &+ UInt64(entries.count)) }

    /// Names so many calls, whose results go to one who waits.
    mutating func add(_ waiter: Waiter, count: Int = 1) -> Range<CallID> {
        let call = next
        for index in 0..<count { entries.append(Entry(waiter: waiter, index: index)) }
        return call..<call.advanced(by: count)
    }

    /// True if somebody waits for the call.
    func holds(_ call: CallID) -> Bool {
        call.rawValue >= first && entries.item(at: Int(clamping: call.rawValue - first))?.waiter != nil
    }

    /// Whoever waits for the call, if anybody still does, and the call's index with them.
    mutating func take(_ call: CallID) -> (waiter: Waiter, index: Int)? {
        guard call.rawValue >= first else { return nil }
        var taken: Entry?
        entries.update(at: Int(clamping: call.rawValue - first)) {
            taken = $0
            $0.waiter = nil
        }
        while let entry = entries.popFirst() {
            guard entry.waiter == nil else {
                entries.putBack(entry)
                break
            }
            first &+= 1
        }
        return taken.flatMap { entry in entry.waiter.map { ($0, entry.index) } }
    }
}
