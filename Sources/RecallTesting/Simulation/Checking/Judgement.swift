internal import Recall
internal import RecallCore

/// The last word on a run: are the states that are left those that the callers meant and were shown?
extension Checker {
    func judge(_ states: [(Member, Inspection)], _ when: String) {
        for (member, state) in states {
            world.mix(UInt64(state.ids.count))
            if member.isRetired { complain(13, member, "its key was retired, and it is served", when) }
            world.mix(UInt64(bitPattern: state.view.total))
            checkOrder(state, member, when)
            checkLog(state, member, when)
            checkCalls(state, member, when)
            checkReads(state, member, when)
            checkPayments(state, member, when)
        }
    }

    private func complain(_ invariant: Int, _ member: Member, _ text: String, _ when: String) {
        violate("\(invariant): \(member.name), \(when): \(text)")
    }

    private func name(_ id: UInt32) -> String { "update #\(id & 0xfffff)" }

    /// Every update once, in the order in which it was asked for.
    private func checkOrder(_ state: Inspection, _ member: Member, _ when: String) {
        for (id, next) in zip(state.ids, state.ids.dropFirst()) where id >= next {
            complain(id == next ? 3 : 17, member, "\(name(next)) comes after \(name(id))", when)
        }
        for id in state.ids where member.history.call(id) == nil {
            complain(12, member, "\(name(id)) is not its own", when)
        }
    }

    /// What the log says happened is what happened.
    private func checkLog(_ state: Inspection, _ member: Member, _ when: String) {
        let view = member.store.view
        var expected: [UInt32] = []
        for message in view.messages {
            switch RecordedEnding(message.determinants) {
            case .applied, .outcome: expected.append(Self.id(message.content))
            case .refused, .failed: break
            case .unreadable: complain(4, member, "the log holds determinants that cannot be read", when)
            }
        }
        // Of a state that was adopted the log has what came since.
        let shown = view.isWhole ? state.ids : state.ids.suffix(expected.count)
        guard expected != shown else { return }
        let missing = expected.filter { !Set(shown).contains($0) }.map(name)
        let extra = shown.filter { !Set(expected).contains($0) }.map(name)
        complain(3, member, "the state is not the log's: \(missing) are missing, \(extra) too many", when)
    }

    private func checkCalls(_ state: Inspection, _ member: Member, _ when: String) {
        var intended = IntendedState()
        var next = 0
        let stamps = Dictionary(state.stamps.map { ($0.id, $0) }) { first, _ in first }
        let payments = Dictionary(state.payments.map { ($0.id, $0) }) { first, _ in first }
        var made = (stamps: [UInt32](), payments: [UInt32]())
        for call in member.history.calls {
            let isPresent = next < state.ids.count && state.ids[next] == call.id
            let shortfall = intended.shortfall(call.request)
            var answer: Answer?
            if isPresent {
                next += 1
                answer = intended.take(call.request)
                if call.request == .stamp { made.stamps.append(call.id) }
                if case .pay = call.request { made.payments.append(call.id) }
            }
            if call.wasAcknowledged, !isPresent, !call.mayBeMissing {
                complain(1, member, "\(name(call.id)) was acknowledged and is gone", when)
            }
            guard !call.mayBeMissing else { continue }
            switch call.result {
            case .answered(let seen) where isPresent && answer != seen:
                complain(2, member, "\(name(call.id)) had shown \(seen), it is \(answer as Any)", when)
            case .stamped(let seen) where stamps[call.id] != seen:
                complain(2, member, "\(name(call.id)) had shown \(seen), it is \(stamps[call.id] as Any)", when)
            case .paid(let seen) where payments[call.id] != seen:
                complain(2, member, "\(name(call.id)) had shown \(seen), it is \(payments[call.id] as Any)", when)
            case .refused(let refusal):
                if isPresent { complain(2, member, "\(name(call.id)) was refused and took effect", when) }
                if case .insufficient(let missing) = refusal, shortfall != missing {
                    complain(2, member, "\(name(call.id)) lacked \(missing), it was \(shortfall as Any)", when)
                }
            case .failed where isPresent: complain(2, member, "\(name(call.id)) had failed and took effect", when)
            default: break
            }
        }
        if next < state.ids.count { complain(3, member, "\(name(state.ids[next])) is out of place", when) }
        if made.stamps != state.stamps.map(\.id) || made.payments != state.payments.map(\.id) {
            complain(3, member, "the state has other stamps or payments than its updates make", when)
        }
        if intended.view != state.view { complain(7, member, "the state is not what its updates make", when) }
    }

    /// Every read saw a state that was on the way here.
    private func checkReads(_ state: Inspection, _ member: Member, _ when: String) {
        var views = [IntendedState().view]
        var intended = IntendedState()
        var counts: [Int] = []
        for call in member.history.calls {
            counts.append(views.count - 1)
            guard views.count - 1 < state.ids.count, state.ids[views.count - 1] == call.id else { continue }
            _ = intended.take(call.request)
            views.append(intended.view)
        }
        counts.append(views.count - 1)
        for read in member.history.reads where !read.mayBeWrong {
            guard views.indices.contains(read.view.count), views[read.view.count] == read.view else {
                complain(2, member, "a read showed \(read.view), which never was", when)
                continue
            }
            let sent = counts[min(read.callsBefore, counts.count - 1)]
            if read.view.count < sent, !read.mayHaveMissed {
                complain(
                    2, member,
                    "a read saw \(read.view.count) updates of the \(sent) that were sent before it", when)
            }
        }
    }

    /// What the world outside was asked for is what happened, and each under one key.
    private func checkPayments(_ state: Inspection, _ member: Member, _ when: String) {
        var entries: [UInt32: [(key: String, entry: Outside.Entry)]] = [:]
        for (key, entry) in world.outside.ledger.sorted(by: { $0.key < $1.key }) {
            entries[entry.id, default: []].append((key, entry))
        }
        for paid in state.payments {
            let answers = (entries[paid.id] ?? []).map(\.entry.outcome)
            if !answers.contains(paid.outcome.split(separator: "/").first.map { String($0) }) {
                complain(10, member, "\(name(paid.id)) is \(paid.outcome), which nobody said outside", when)
            }
            if let origin = origins[paid.outcome], !accepted.contains(origin) {
                complain(10, member, "\(name(paid.id)) has the answer that a copy got which was gone", when)
            }
        }
        // What the log lost may have been another course, with effects of its own.
        for call in member.history.calls where !call.mayBeMissing {
            check(call, entries[call.id] ?? [], state, member, when)
        }
    }

    /// The effect of one update: asked for on the state that was, under one key, and taken as it was answered.
    private func check(
        _ call: History.Call, _ entries: [(key: String, entry: Outside.Entry)], _ state: Inspection, _ member: Member,
        _ when: String
    ) {
        let paid = state.payments.first { $0.id == call.id }
        guard let (key, entry) = entries.first else {
            if call.result == .refused(.declined) {
                complain(10, member, "\(name(call.id)) was declined, and nobody was asked", when)
            }
            return
        }
        if entries.count > 1 {
            complain(10, member, "\(name(call.id)) was asked for under \(entries.count) keys", when)
        }
        if state.ids.prefix(while: { $0 < call.id }) != entry.seen[...] {
            complain(10, member, "the effect of \(name(call.id)) ran on a state that never was", when)
        }
        let message = numbers[call.id].flatMap { member.store.view.message($0) }
        let recorded = message.map { RecordedEnding($0.determinants) }
        if let entry = entry.outcome, paid == nil, recorded == .applied || recorded == .refused {
            complain(10, member, "\(name(call.id)) had \(entry) outside, and was \(recorded as Any)", when)
        }
        if call.result == .refused(.declined), entry.outcome != nil {
            complain(10, member, "\(name(call.id)) was declined, and \(key.prefix(8)) was not", when)
        }
        if let paid, entry.outcome != paid.outcome.split(separator: "/").first.map({ String($0) }) {
            complain(
                10, member,
                "\(name(call.id)) is \(paid), and under \(key.prefix(8)) it was \(entry.outcome ?? "-")", when)
        }
    }
}
