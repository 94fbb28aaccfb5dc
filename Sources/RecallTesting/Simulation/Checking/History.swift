internal import Recall

/// What a caller asked for and what it was told, as it saw it. Confined to the simulation's thread.
final class History {
    /// An update.
    enum Request: Hashable {
        case change(Operation)
        case quiet(Operation)
        case stamp
        case pay(Int64)

        /// Of its content, at most.
        var byteCount: Int {
            switch self {
            case .change(.insert(_, let bytes)), .quiet(.insert(_, let bytes)): bytes.count + 16
            case .change, .quiet, .stamp, .pay: 32
            }
        }
    }

    /// What the caller was told.
    enum Result: Hashable {
        case waiting
        case answered(Answer)
        case done
        case stamped(SimulatedState.Stamped)
        case paid(SimulatedState.Paid)
        case refused(SimulatedRefusal)
        case failed(UInt16)
        /// The caller's process died or it gave up waiting: it knows nothing.
        case abandoned
    }

    final class Call {
        let id: UInt32
        let request: Request
        var result = Result.waiting
        /// The log lost it, as logs may that promise no more.
        var mayBeMissing = false

        init(_ id: UInt32, _ request: Request) { (self.id, self.request) = (id, request) }

        var wasAcknowledged: Bool {
            switch result {
            case .answered, .done, .stamped, .paid: true
            case .waiting, .refused, .failed, .abandoned: false
            }
        }
    }

    struct Read {
        let view: View
        /// Calls that were made before it.
        let callsBefore: Int
        /// The last update that the log held as acknowledged when the read was answered: the state that it saw lies no
        /// later.
        let acknowledged: UInt64
        var mayBeWrong = false
        /// What it saw was on the way here, but an update before it may be applied now that was given up then.
        var mayHaveMissed = false
    }

    /// In the order in which they were made.
    private(set) var calls: [Call] = []
    private(set) var reads: [Read] = []
    private(set) var readsWaiting = 0
    /// How many there were when the log was first found to be shorter, since it adopted a state.
    private var readsBeforeLoss: Int?
    private var lastID: UInt32

    init(firstID: UInt32) { lastID = firstID }

    func begin(_ request: Request) -> Call {
        lastID += 1
        let call = Call(lastID, request)
        calls.append(call)
        return call
    }

    func call(_ id: UInt32) -> Call? {
        guard let first = calls.first?.id, id >= first, Int(id - first) < calls.count else { return nil }
        return calls[Int(id - first)]
    }

    func beginRead() -> Int {
        readsWaiting += 1
        return calls.count
    }

    func endRead(_ view: View?, callsBefore: Int, acknowledged: UInt64) {
        readsWaiting -= 1
        if let view { reads.append(Read(view: view, callsBefore: callsBefore, acknowledged: acknowledged)) }
    }

    /// The log turned out to be shorter than it was, or gave up its course for another one: reads of states beyond so
    /// many updates may be contradicted. One that saw just so many may have seen later updates given up, whose
    /// acknowledgements are lost, and which are applied when they come again.
    ///
    /// - Parameter isOnOtherCourse: so may all that were made since the two courses parted.
    func rewound(to acknowledged: UInt64, beyond applied: Int, isOnOtherCourse: Bool) {
        let parted = isOnOtherCourse ? readsBeforeLoss ?? reads.count : reads.count
        for index in reads.indices {
            let read = reads[index]
            if read.view.count > applied || index >= parted { reads[index].mayBeWrong = true }
            if read.view.count == applied, read.acknowledged > acknowledged { reads[index].mayHaveMissed = true }
        }
        readsBeforeLoss = isOnOtherCourse ? nil : min(readsBeforeLoss ?? reads.count, reads.count)
    }

    /// The process died: nobody is told anything more.
    func abandonAll() {
        for call in calls where call.result == .waiting { call.result = .abandoned }
        readsWaiting = 0
    }
}

/// The intended course of a session: what each update does, written down once more and otherwise.
struct IntendedState {
    private var count: UInt32 = 0
    private var sum: Int64 = 0
    private var balances: [UInt8: Int64] = [0: 100, 1: 100, 2: 100, 3: 100]
    private var characters: [UInt8] = []
    private var payments = 0

    var view: View {
        View(
            count: Int(count), total: sum, accounts: (0..<4).map { balances[$0] ?? 0 }, length: characters.count,
            sum: characterSum, payments: payments)
    }

    private var characterSum: Int {
        [characters.first, characters.dropFirst(characters.count / 2).first, characters.last]
            .reduce(0) { $0 + Int($1 ?? 0) }
    }

    /// What is missing for an update that is refused; nil if it is not.
    func shortfall(_ request: History.Request) -> Int64? {
        switch request {
        case .change(.move(let from, _, let amount)), .quiet(.move(let from, _, let amount)):
            let missing = amount - (balances[from % 4] ?? 0)
            return missing > 0 ? missing : nil
        case .pay(let amount):
            let missing = amount - (balances[0] ?? 0)
            return missing > 0 ? missing : nil
        case .change, .quiet, .stamp: return nil
        }
    }

    /// The reply to expect, if it does not depend on anything outside.
    mutating func take(_ request: History.Request) -> Answer? {
        count += 1
        switch request {
        case .stamp: return nil
        case .pay(let amount):
            balances[0, default: 0] -= amount
            balances[3, default: 0] += amount
            payments += 1
            return nil
        case .change(let operation), .quiet(let operation): return Answer(count: count, value: take(operation))
        }
    }

    private mutating func take(_ operation: Operation) -> Int64 {
        switch operation {
        case .add(let amount):
            sum = sum &+ amount
            return sum
        case .move(let from, let to, let amount):
            balances[from % 4, default: 0] -= amount
            balances[to % 4, default: 0] += amount
            return balances[to % 4] ?? 0
        case .insert(let place, let bytes):
            let place = Int(place) % (characters.count + 1)
            characters = Array(characters.prefix(place)) + bytes + Array(characters.dropFirst(place))
            return Int64(characters.count)
        case .remove(let place, let length):
            let place = Int(place) % (characters.count + 1)
            characters = Array(characters.prefix(place)) + Array(characters.dropFirst(place + Int(length)))
            return Int64(characters.count)
        case .kill, .spoil: return 0
        }
    }
}
