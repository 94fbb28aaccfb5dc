internal import Recall
internal import RecallCore

/// Something that an impostor's log said, and that was not so.
struct Lie: CustomStringConvertible {
    enum Subject {
        /// Messages, determinants or a receipt: whoever accepts them has not looked.
        case history
        /// A checkpoint: there may be an older one, or the whole history, that is genuine.
        case checkpoint
        /// All of it is another session's.
        case state
    }

    let subject: Subject
    let description: String

    init(_ subject: Subject, _ description: String) { (self.subject, self.description) = (subject, description) }
}

/// Impostors: what becomes of histories that are not genuine.
extension Checker {
    /// A state was shown for a log that lied, or had nothing to lie about: only what was passed over may have been a
    /// lie, and the state must be what the genuine log leads to.
    func accepted(_ state: Inspection, from lies: [Lie], of member: Member, _ genuine: LogView) {
        let text = lies.map(\.description).joined(separator: ", ")
        guard lies.allSatisfy({ $0.subject == .checkpoint }) else {
            return violate("11: a history of \(genuine.place) that was altered (\(text)) was accepted")
        }
        if let difference = GenuineCourse(genuine, member.history).difference(from: state) {
            violate("11: a history of \(genuine.place) with \(lies.isEmpty ? "no lie" : text) led to \(difference)")
        }
    }

    /// It must be a server that refuses, and for what it was told.
    func refused(_ error: any Error, for lies: [Lie]) {
        let text = lies.map(\.description).joined(separator: ", ")
        guard !lies.isEmpty else { return violate("21: a genuine history is refused with: \(error)") }
        switch (error as? RecallError)?.code {
        case .brokenChain, .badReceipt, .badCheckpoint, .malformedFrame, .unexpectedFrame: break
        default: violate("11: an altered history (\(text)) is refused with: \(error)")
        }
    }
}

/// What a log leads to, in a place where nobody has looked at it yet.
struct GenuineCourse {
    private let history: History
    /// What is acknowledged and took effect, with what it took from outside.
    private var settled: [(id: UInt32, determinants: [UInt8])] = []
    /// Sent again, to be applied or refused anew.
    private var tail: [UInt32] = []

    init(_ view: LogView, _ history: History) {
        self.history = history
        for number in (view.base + 1)..<(view.last + 1) {
            guard let message = view.message(number) else { continue }
            let id = Checker.id(message.content)
            guard number <= view.acknowledged else {
                tail.append(id)
                continue
            }
            switch RecordedEnding(message.determinants) {
            case .applied, .outcome: settled.append((id, message.determinants))
            case .refused, .failed, .unreadable: break
            }
        }
    }

    /// What of a state is not so, in words.
    func difference(from state: Inspection) -> String? {
        let ids = settled.map(\.id)
        guard state.ids.starts(with: ids) else {
            let place = zip(state.ids, ids).prefix { $0 == $1 }.count
            return "\(state.ids.count) updates, of \(ids.count) acknowledged the first \(place) are there"
        }
        var rest = tail[...]
        for id in state.ids.dropFirst(ids.count) {
            guard let place = rest.firstIndex(of: id) else { return "update \(id), which was not sent again" }
            rest = rest[(place + 1)...]
        }
        var intended = IntendedState()
        for id in state.ids {
            guard let call = history.call(id) else { return "update \(id) of somebody else" }
            _ = intended.take(call.request)
        }
        if intended.view != state.view { return "\(state.view), which is not what its updates make" }
        return stamps(state) ?? payments(state)
    }

    private func stamps(_ state: Inspection) -> String? {
        let recorded = settled.filter { history.call($0.id)?.request == .stamp }
        guard state.stamps.count >= recorded.count else { return "\(state.stamps.count) stamps" }
        for (stamp, (id, determinants)) in zip(state.stamps, recorded) {
            guard stamp.id == id, let clock = RecordedEnding.clock(determinants),
                // As its own update rounds it.
                abs(stamp.time - clock) < 2_000_000
            else { return "\(stamp), which the log does not have" }
        }
        return nil
    }

    private func payments(_ state: Inspection) -> String? {
        var place = 0
        for (id, determinants) in settled {
            let ending = RecordedEnding(determinants)
            guard case .outcome = ending else { continue }
            let outcome = ending.outcome
            guard place < state.payments.count, state.payments[place].id == id,
                state.payments[place].outcome == outcome
            else { return "no payment \(id & 0xfffff) with \(outcome ?? "an outcome that cannot be read")" }
            place += 1
        }
        return nil
    }
}
