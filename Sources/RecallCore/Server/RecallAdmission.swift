/// Recalls are work: so many run at once and in so much memory; the others wait, fairly by connection, up to a bound.
///
/// A recall that says it needs more than half of the memory is a *large* one. It is charged half, for a claim costs its
/// client nothing, and one of them runs at a time; the others have the rest meanwhile. While one waits for room, half
/// of the memory and one place are not given to others, so that its turn comes.
///
/// A *short* recall, whose history comes along with its attach, takes no place and waits for none: its client need not
/// be asked for anything, and like an update it is work for as long as its connection's next bytes are. To drop them
/// and ask for them again would be more. It is charged what has arrived; together they have a fourth of the memory.
/// They are bounded in number, since a client may say that a history comes and send none.
package struct RecallAdmission: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Recalls under way at once.
        package var concurrent = 64
        /// Bytes that recalls under way may hold together: checkpoints, chunks and queued messages. One large recall
        /// may hold more than its half.
        package var bytes = 512 << 20
        /// Recalls that may wait.
        package var waiting = 200_000
        /// Short recalls under way at once; others ask for a place.
        package var short = 4096

        package init() {}
    }
    private let limits: Limits
    private var running: [SlotID: Int] = [:]
    private var short: [SlotID: Int] = [:]
    private var shortBytes = 0
    /// Those of short ones, too.
    private var bytesInUse = 0
    /// The large recall that runs.
    private var runningLarge: SlotID?
    private var waiting: [SlotID: UInt64] = [:]
    private var lastTicket: UInt64 = 0
    private var usual = RecallQueue()
    private var large = RecallQueue()

    package init(_ limits: Limits) { self.limits = limits }

    package var runningCount: Int { running.count + short.count }
    /// Those under way, in order.
    package var runningSlots: [SlotID] { (Array(running.keys) + Array(short.keys)).sorted { $0.index < $1.index } }
    package var waitingCount: Int { waiting.count }
    /// Tickets held, stale ones included; bounded by a multiple of those that wait.
    package var ticketCount: Int { usual.count + large.count }

    package enum Answer: Sendable, Equatable { case admitted, waiting, overloaded }

    /// What a large recall is charged, and what it takes to be one.
    private var half: Int { limits.bytes / 2 }

    /// Bytes that a short recall may take: those of its history, and its checkpoint open.
    private static let shortLimit = 2 * WireLimits.receiptInterval

    /// Admits a recall as a short one; false if it has to ask for a place, or has one.
    package mutating func admitShort(_ slot: SlotID) -> Bool {
        guard running[slot] == nil else { return false }
        finish(slot)
        guard short.count < limits.short, shortBytes + WireLimits.rideAlong <= limits.bytes / 4 else { return false }
        short[slot] = 0
        return true
    }

    /// So much of a short recall's history has arrived. False if it is none any more, or there is no room for it: it
    /// has to ask for a place. True for the others.
    package mutating func holdShort(_ slot: SlotID, bytes: Int) -> Bool {
        guard let held = short[slot] else { return true }
        guard bytes <= Self.shortLimit, shortBytes + max(0, bytes - held) <= limits.bytes / 4 else { return false }
        charge(slot, bytes, holding: held)
        return true
    }

    private mutating func charge(_ slot: SlotID, _ bytes: Int, holding held: Int) {
        guard bytes > held else { return }
        short[slot] = bytes
        shortBytes += bytes - held
        bytesInUse += bytes - held
    }

    /// Asks for a place. One recall alone is always admitted, whatever it needs.
    package mutating func request(_ slot: SlotID, from connection: ConnectionID, bytes: Int) -> Answer {
        let isLarge = bytes > half
        finishShort(slot)
        if let granted = running[slot] {
            if isLarge ? runningLarge == slot : bytes <= granted { return .admitted }
            finish(slot)  // it asks for more than it was given, so it queues again
        }
        if waiting.isEmpty, isLarge ? fitsLarge : fits(bytes) {
            start(slot, bytes, isLarge: isLarge)
            return .admitted
        }
        guard waiting[slot] != nil || waiting.count < limits.waiting else { return .overloaded }
        dropStaleTickets()
        lastTicket &+= 1
        waiting[slot] = lastTicket
        let ticket = RecallQueue.Ticket(slot: slot, number: lastTicket, bytes: bytes)
        if isLarge { large.append(ticket, from: connection) } else { usual.append(ticket, from: connection) }
        return .waiting
    }

    /// A recall under way turned out to hold more than it asked for. A large one has its share already.
    package mutating func hold(_ slot: SlotID, bytes: Int) {
        // What is kept for each of its messages is known only now; others have the less.
        if let held = short[slot] { return charge(slot, bytes, holding: held) }
        guard slot != runningLarge, let granted = running[slot], bytes > granted else { return }
        running[slot] = bytes
        bytesInUse += bytes - granted
    }

    /// Gives a place back, or leaves the queue.
    package mutating func finish(_ slot: SlotID) {
        if let bytes = running.removeValue(forKey: slot) { bytesInUse -= bytes }
        finishShort(slot)
        if runningLarge == slot { runningLarge = nil }
        waiting[slot] = nil
    }

    private mutating func finishShort(_ slot: SlotID) {
        guard let bytes = short.removeValue(forKey: slot) else { return }
        shortBytes -= bytes
        bytesInUse -= bytes
    }

    /// Tickets of recalls that left the queue cost nothing but room: at most as much as those that wait.
    private mutating func dropStaleTickets() {
        guard ticketCount > 2 * waiting.count + 64 else { return }
        usual.keep(waiting)
        large.keep(waiting)
    }

    /// The next recall to start, if there is room.
    package mutating func next() -> SlotID? {
        guard !waiting.isEmpty else { return nil }
        if fitsLarge, let ticket = large.first(waiting) {
            large.removeFirst()
            return start(ticket, isLarge: true)
        }
        guard let ticket = usual.first(waiting), fits(ticket.bytes) else { return nil }
        usual.removeFirst()
        return start(ticket, isLarge: false)
    }

    private mutating func start(_ ticket: RecallQueue.Ticket, isLarge: Bool) -> SlotID {
        waiting[ticket.slot] = nil
        start(ticket.slot, ticket.bytes, isLarge: isLarge)
        return ticket.slot
    }

    private var fitsLarge: Bool {
        running.isEmpty || (runningLarge == nil && running.count < limits.concurrent && fits(half, in: limits.bytes))
    }

    /// True if there is room for a recall that is not large, beside what is left to a large one that waits for room.
    private mutating func fits(_ bytes: Int) -> Bool {
        if running.isEmpty { return true }
        let isDue = runningLarge == nil && large.first(waiting) != nil
        return running.count < limits.concurrent - (isDue ? 1 : 0)
            && fits(bytes, in: limits.bytes - (isDue ? half : 0))
    }

    private func fits(_ bytes: Int, in limit: Int) -> Bool {
        let (sum, overflow) = bytesInUse.addingReportingOverflow(bytes)
        return !overflow && sum <= limit
    }

    private mutating func start(_ slot: SlotID, _ bytes: Int, isLarge: Bool) {
        let charge = isLarge ? half : bytes
        running[slot] = charge
        bytesInUse += charge
        if isLarge { runningLarge = slot }
    }
}

/// Waiting recalls by connection; connections take turns. A ticket whose slot left, or came back later, is skipped.
private struct RecallQueue: Sendable {
    struct Ticket: Sendable {
        var slot: SlotID, number: UInt64, bytes: Int
    }
    private var queues: [ConnectionID: Fifo<Ticket>] = [:]
    private var turns = Fifo<ConnectionID>()
    /// Tickets, stale ones included.
    private(set) var count = 0

    mutating func append(_ ticket: Ticket, from connection: ConnectionID) {
        if queues[connection] == nil {
            queues[connection] = Fifo()
            turns.append(connection)
        }
        queues[connection]?.append(ticket)
        count += 1
    }

    /// The ticket whose turn it is.
    mutating func first(_ waiting: [SlotID: UInt64]) -> Ticket? {
        while let connection = turns.first {
            while let ticket = queues[connection]?.first {
                if waiting[ticket.slot] == ticket.number { return ticket }
                queues[connection]?.removeFirst(1)
                count -= 1
            }
            queues[connection] = nil
            turns.removeFirst(1)
        }
        return nil
    }

    /// Takes the ticket that `first` gave; the next connection's turn comes.
    mutating func removeFirst() {
        guard let connection = turns.popFirst() else { return }
        queues[connection]?.removeFirst(1)
        count -= 1
        turns.append(connection)
    }

    /// Drops the stale tickets.
    mutating func keep(_ waiting: [SlotID: UInt64]) {
        let old = (queues, turns)
        self = RecallQueue()
        for offset in 0..<old.1.count {
            guard let connection = old.1.item(at: offset), var queue = old.0[connection] else { continue }
            while let ticket = queue.popFirst() {
                if waiting[ticket.slot] == ticket.number { append(ticket, from: connection) }
            }
        }
    }
}
