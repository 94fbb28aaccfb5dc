internal import RecallCore
internal import Synchronization

/// Brings calls' names together with their cancellation, whichever comes first.
final class CallCell: Sendable {
    private struct State {
        var calls: Range<CallID>?
        var isCancelled = false
    }
    private let state = Mutex(State())

    /// The calls have their names; true if they were cancelled before.
    func begin(_ calls: Range<CallID>) -> Bool {
        state.withLock { state in
            state.calls = calls
            return state.isCancelled
        }
    }

    /// The caller was cancelled; the calls, if they have their names.
    func cancel() -> Range<CallID>? {
        state.withLock { state in
            state.isCancelled = true
            return state.calls
        }
    }
}
