internal import RecallCore
internal import Synchronization

/// Brings a call's name together with its cancellation, whichever comes first.
final class CallCell: Sendable {
    private struct State {
        var call: CallID?
        var isCancelled = false
    }
    private let state = Mutex(State())

    /// The call has its name; true if it was cancelled before.
    func begin(_ call: CallID) -> Bool {
        state.withLock { state in
            state.call = call
            return state.isCancelled
        }
    }

    /// The caller was cancelled; the call, if it has its name.
    func cancel() -> CallID? {
        state.withLock { state in
            state.isCancelled = true
            return state.call
        }
    }
}
