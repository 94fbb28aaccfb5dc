/// Recalls are work: so many run at once and in so much memory; the others wait, fairly by connection, up to a bound.
package struct RecallAdmission: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Recalls under way at once.
        package var concurrent = 64
        /// Bytes that recalls under way may hold together: checkpoints, chunks and queued messages.
        package var bytes = 512 << 20
        /// Recalls that may wait.
        package var waiting = 200_000

        package init() {}
    }
    private let limits: Limits
    private var running: [SlotID: Int] = [:]
    private var bytesInUse = 0
    /// Waiting recalls by connection; connections take turns. An entry whose slot left `waiting` is skipped.
    private var queues: [ConnectionID: Fifo<Ticket>] = [:]
    private var turns = Fifo<ConnectionID>()
    private var waiting: [SlotID: UInt64] = [:]
    private var lastTicket: UInt64 = 0
    /// In all queues, stale ones included.
    private var tickets = 0

    private struct Ticket: Sendable {
        var slot: SlotID, number: UInt64, bytes: Int
    }

    package init(_ limits: Limits) { self.limits = limits }

    package var runningCount: Int { running.count }
    /// Those that hold a place, in order.
    package var runningSlots: [SlotID] { running.keys.sorted { $0.index < $1.index } }
    package var waitingCount: Int { waiting.count }
    /// Tickets held, stale ones included; bounded by a multiple of those that wait.
    package var ticketCount: Int { tickets }

    package enum Answer: Sendable, Equatable { case admitted, waiting, overloaded }

    /// Asks for a place. One recall alone is always admitted, whatever it needs.
    package mutating func request(_ slot: SlotID, from connection: ConnectionID, bytes: Int) -> Answer {
        if let granted = running[slot] {
            if bytes <= granted { return .admitted }
            finish(slot)  // it asks for more than it was given, so it queues again
        }
        if waiting.isEmpty, fits(bytes) {
            start(slot, bytes)
            return .admitted
        }
        guard waiting[slot] != nil || waiting.count < limits.waiting else { return .overloaded }
        dropStaleTickets()
        lastTicket &+= 1
        tickets += 1
        waiting[slot] = lastTicket
        if queues[connection] == nil {
            queues[connection] = Fifo()
            turns.append(connection)
        }
        queues[connection]?.append(Ticket(slot: slot, number: lastTicket, bytes: bytes))
        return .waiting
    }

    /// A recall under way turned out to hold more than it asked for.
    package mutating func hold(_ slot: SlotID, bytes: Int) {
        guard let granted = running[slot], bytes > granted else { return }
        running[slot] = bytes
        bytesInUse += bytes - granted
    }

    /// Gives a place back, or leaves the queue.
    package mutating func finish(_ slot: SlotID) {
        if let bytes = running.removeValue(forKey: slot) { bytesInUse -= bytes }
        waiting[slot] = nil
    }

    /// Tickets of recalls that left the queue cost nothing but room: at most as much as those that wait.
    private mutating func dropStaleTickets() {
        guard tickets > 2 * waiting.count + 64 else { return }
        let old = (queues, turns)
        (queues, turns, tickets) = ([:], Fifo(), 0)
        for offset in 0..<old.1.count {
            guard let connection = old.1.item(at: offset), var queue = old.0[connection] else { continue }
            var kept = Fifo<Ticket>()
            while let ticket = queue.popFirst() {
                if waiting[ticket.slot] == ticket.number { kept.append(ticket) }
            }
            guard !kept.isEmpty else { continue }
            tickets += kept.count
            queues[connection] = kept
            turns.append(connection)
        }
    }

    /// The next recall to start, if there is room.
    package mutating func next() -> SlotID? {
        while !waiting.isEmpty, let connection = turns.popFirst() {
            guard let ticket = queues[connection]?.first else {
                queues[connection] = nil
                continue
            }
            guard waiting[ticket.slot] == ticket.number else {  // left the queue, or came back later
                queues[connection]?.removeFirst(1)
                tickets -= 1
                turns.putBack(connection)
                continue
            }
            guard fits(ticket.bytes) else {
                turns.putBack(connection)
                return nil
            }
            queues[connection]?.removeFirst(1)
            tickets -= 1
            turns.append(connection)
            waiting[ticket.slot] = nil
            start(ticket.slot, ticket.bytes)
            return ticket.slot
        }
        return nil
    }

    private func fits(_ bytes: Int) -> Bool {
        let (sum, overflow) = bytesInUse.addingReportingOverflow(bytes)
        return running.isEmpty || (running.count < limits.concurrent && !overflow && sum <= limits.bytes)
    }

    private mutating func start(_ slot: SlotID, _ bytes: Int) {
        running[slot] = bytes
        bytesInUse += bytes
    }
}
