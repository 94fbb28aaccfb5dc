internal import RecallCore

/// Which effects are out, and which wait. One that is suspected of a death goes out alone, so that the next death tells
/// whose it was.
struct EffectGate {
    struct Effect {
        let slot: SlotID
        let incarnation: Incarnation
        let idempotencyKey: String
        let isSuspect: Bool
    }
    private var out: Set<SlotID> = []
    /// In order of arrival: nobody passes a suspect, or it would wait for ever.
    private var waiting = Fifo<Effect>()
    private var isSuspectOut = false

    mutating func add(_ effect: Effect) { waiting.append(effect) }

    /// The effect ended, or nobody waits for it any more.
    mutating func returned(_ slot: SlotID) {
        out.remove(slot)
        if out.isEmpty { isSuspectOut = false }
    }

    /// The next effect to start, if one may. Those that are not wanted any more are skipped.
    mutating func next(_ isWanted: (Effect) -> Bool) -> Effect? {
        while let effect = waiting.first {
            guard isWanted(effect) else {
                waiting.removeFirst(1)
                continue
            }
            guard !isSuspectOut, out.isEmpty || !effect.isSuspect else { return nil }
            waiting.removeFirst(1)
            out.insert(effect.slot)
            isSuspectOut = effect.isSuspect
            return effect
        }
        return nil
    }
}
