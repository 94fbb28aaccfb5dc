internal import Dispatch
internal import Foundation
internal import Synchronization

/// Something that happens once, and that many may wait for, each for a limited time. Also a pause that can be cut
/// short.
final class Gate<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiting: [UInt64: CheckedContinuation<Value?, Never>] = [:]
        var tickets: UInt64 = 0
    }

    private let state = Mutex(State())

    var value: Value? { state.withLock { $0.value } }
    var isOpen: Bool { value != nil }

    /// The first value counts.
    func open(_ value: Value) {
        let waiting = state.withLock { state in
            if state.value == nil { state.value = value }
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: self.value) }
    }

    /// Nil if it did not happen within so many seconds.
    func wait(within seconds: Double) async -> Value? {
        await withCheckedContinuation { continuation in
            let ticket: UInt64? = state.withLock { state in
                guard state.value == nil else { return nil }
                state.tickets += 1
                state.waiting[state.tickets] = continuation
                return state.tickets
            }
            guard let ticket else { return continuation.resume(returning: value) }
            DispatchQueue.global().asyncAfter(deadline: .now() + max(0, seconds)) {
                self.state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(returning: nil)
            }
        }
    }
}

/// Lets so many in at a time.
actor Turnstile {
    private var free: Int
    private var queue: [CheckedContinuation<Void, Never>] = []

    init(_ places: Int) { free = places }

    func pass<R: Sendable>(_ body: @Sendable () async -> R) async -> R {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { queue.append($0) } }
        let result = await body()
        // A place goes from hand to hand; only without a taker is it free.
        if queue.isEmpty { free += 1 } else { queue.removeFirst().resume() }
        return result
    }
}

/// Waits, at least so long. For pauses that nothing cuts short.
func pause(_ seconds: Double) async { try? await Task.sleep(for: .seconds(seconds)) }

/// Seconds on a clock that only goes forward.
func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }
