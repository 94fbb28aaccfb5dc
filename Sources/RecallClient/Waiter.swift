package import RecallCore
internal import Synchronization

/// What a caller of `send` waits with.
enum Waiter: Sendable {
    case one(CheckedContinuation<CallResult, any Error>)
    case many(SendBatch, Int)
    case recovered(AsyncStream<CallResult>.Continuation)

    func resume(_ result: Result<CallResult, any Error>) {
        switch self {
        case .one(let continuation): continuation.resume(with: result)
        case .many(let batch, let index): batch.resume(index, result)
        case .recovered(let answer):
            if case .success(let result) = result { answer.yield(result) }
            answer.finish()
        }
    }
}

/// The updates that a log held without an answer when it was opened, and what became of them.
package struct RecoveredUpdates: Sendable {
    /// In ascending order; each stream gives one result, or ends without one.
    package let updates: [(number: SequenceNumber, answer: AsyncStream<CallResult>)]
}

/// Collects the results of messages that were sent together.
final class SendBatch: Sendable {
    private struct State {
        var results: [Result<CallResult, any Error>?]
        var missing: Int
        var continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>?
    }
    private let state: Mutex<State>

    init(count: Int, _ continuation: CheckedContinuation<[Result<CallResult, any Error>], Never>) {
        state = Mutex(State(results: Array(repeating: nil, count: count), missing: count, continuation: continuation))
    }

    func resume(_ index: Int, _ result: Result<CallResult, any Error>) {
        let done: (CheckedContinuation<[Result<CallResult, any Error>], Never>, [Result<CallResult, any Error>])? =
            state.withLock { state in
                guard state.results[index] == nil else { return nil }
                state.results[index] = result
                state.missing -= 1
                guard state.missing == 0, let continuation = state.continuation else { return nil }
                state.continuation = nil
                return (continuation, state.results.compactMap { $0 })
            }
        if let (continuation, results) = done { continuation.resume(returning: results) }
    }
}
