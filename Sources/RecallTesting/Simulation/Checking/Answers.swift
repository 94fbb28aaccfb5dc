internal import Foundation
internal import Recall
internal import RecallCore

/// What callers are told.
extension Checker {
    /// A caller was told something: its log must have it.
    func delivered(_ call: History.Call, to member: Member) {
        world.mix(UInt64(call.id))
        switch call.result {
        case .answered, .done, .stamped, .paid, .refused: break
        case .failed(let code) where code == 52 || code == 53: break
        case .failed, .abandoned, .waiting: return
        }
        guard let number = numbers[call.id] else { return violate("10: \(call.id) was answered and is in no log") }
        let view = member.store.view
        if number > view.acknowledged {
            violate("10: \(member.name)'s caller was told of update \(number); its log is at \(view.place)")
        }
        // Given up, perhaps, for a state that was adopted.
        guard let recorded = view.message(number)?.determinants, !Self.agrees(call.result, recorded) else { return }
        violate(
            "10: \(member.name)'s caller was told of update \(number) that it is \(call.result); its log has "
                + "\(RecordedEnding(recorded))")
    }

    /// True if what a caller is told is how its update ended by the log.
    static func agrees(_ result: History.Result, _ determinants: [UInt8]) -> Bool {
        let ending = RecordedEnding(determinants)
        switch result {
        case .answered, .done: return ending == .applied
        case .stamped(let stamp):
            // As its own update rounds it.
            return ending == .applied
                && RecordedEnding.clock(determinants).map { abs($0 - stamp.time) < 2_000_000 } ?? false
        case .paid(let paid): return ending.outcome == paid.outcome
        case .refused: return ending == .refused
        case .failed(let code): return ending == .failed(code)
        case .abandoned, .waiting: return true
        }
    }

    /// A read was shown: what it saw must be in the log, acknowledged.
    func read(_ view: View, by member: Member) {
        guard let applied = member.store.view.applied, view.count > applied else { return }
        violate("10: \(member.name)'s caller reads a state of \(view.count) updates, its log has \(applied)")
    }

    // MARK: Failures

    /// What an update that failed comes to for its caller: each way of failing wants a reason.
    ///
    /// - Parameter wasCancelled: its caller did not wait any longer.
    func failed(_ call: History.Call, _ error: any Error, wasCancelled: Bool, of member: Member) -> History.Result {
        guard let error = error as? RecallError else {
            if !(error is CancellationError && wasCancelled) {
                violate("2: \(member.name)'s update \(call.id & 0xfffff) fails with \(error)")
            }
            return .abandoned
        }
        let hasReason: Bool
        switch error.code {
        case .poisonedMessage:
            let number = numbers[call.id]
            hasReason = number != nil && member.session.map { isPoison($0, number) } ?? false
        case .effectFailed: hasReason = world.outside.lostAnswers.contains(call.id)
        case .messageTooLarge: hasReason = call.request.byteCount > WireLimits.message
        case .outcomeUnknown:
            hasReason = member.mayAdopt
            call.mayBeMissing = true
        case .closed: hasReason = member.wasSuperseded
        case .unreachable: hasReason = false
        default: return .abandoned  // its session's end, which is judged apart
        }
        if !hasReason { violate("2: \(member.name)'s update \(call.id & 0xfffff) fails without a reason: \(error)") }
        return error.code == .closed || error.code == .unreachable ? .abandoned : .failed(error.code.rawValue)
    }

    /// A read failed.
    func readFailed(_ error: any Error, of member: Member) {
        switch (error as? RecallError)?.code {
        case .closed where member.wasSuperseded: break
        case nil, .closed, .unreachable, .outcomeUnknown, .poisonedMessage, .effectFailed, .messageTooLarge:
            violate("2: a read of \(member.name) fails without a reason: \(error)")
        default: break  // its session's end, which is judged apart
        }
    }

    /// A client could not open its session.
    func openFailed(_ error: any Error, of member: Member) {
        switch (error as? RecallError)?.code {
        case .unreachable: break
        case nil, .closed, .outcomeUnknown, .poisonedMessage, .effectFailed, .messageTooLarge:
            violate("22: \(member.name) cannot be opened: \(error)")
        default: break  // its session's end, which is judged apart
        }
    }

    /// A log failed, and with it its client.
    func logFailed(_ member: Member, _ code: FaultCode, _ text: String) {
        // Nothing damages a file here, and nobody opens it twice.
        guard code == .logFailed, member.store.faults > 0 else {
            return violate("4: \(member.name)'s log has no reason for \(code): \(text)")
        }
    }

    /// A session ended for its client: some server must have said so, and have had a reason.
    func ended(_ member: Member, _ code: FaultCode, _ text: String) {
        let refusing = member.refusals[code.rawValue] ?? []
        let isAllowed =
            switch code {
            case .forked, .clientBehind: !refusing.isDisjoint(with: member.livesThatSawMore)
            case .unknownKey: member.isRetired && !refusing.isEmpty
            case .poisoned: !refusing.isEmpty && member.session.map { isPoison($0, nil) } ?? false
            default: false
            }
        if !isAllowed { violate("21: \(member.name) was refused \(code): \(text)") }
    }
}

extension RecordedEnding {
    /// What an effect of the simulation's own kinds brought, as their codec writes it.
    var outcome: String? {
        guard case .outcome(let bytes) = self else { return nil }
        return try? JSONDecoder().decode(String.self, from: Data(bytes))
    }
}
