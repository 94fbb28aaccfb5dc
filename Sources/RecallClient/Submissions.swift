internal import RecallCore

/// What callers handed over and the window has no room for yet, in order.
struct Submissions {
    /// Messages that were handed over together, and how many of them had their turn.
    private struct Batch {
        let firstCall: CallID
        let contents: [[UInt8]]
        let isRequest: Bool
        var done = 0

        /// Those that had no turn.
        var left: Range<CallID> { firstCall.advanced(by: done)..<firstCall.advanced(by: contents.count) }
    }

    /// A part of what waits is sealed, logged and written before the next is: while the server works on it, the client
    /// does on that. A window that went round as one lump had one of the two wait for the other.
    private static let partMessages = 64
    private static let partBytes = 16 << 10

    /// Room in a part.
    private struct Room {
        var messages = partMessages, bytes = partBytes
        var isFull: Bool { messages <= 0 || bytes <= 0 }
    }

    private var batches = Fifo<Batch>()

    var count: Int { batches.count }
    var isEmpty: Bool { batches.isEmpty }

    mutating func append(_ contents: [[UInt8]], isRequest: Bool, firstCall: CallID) {
        batches.append(Batch(firstCall: firstCall, contents: contents, isRequest: isRequest))
    }

    /// Moves into the window what it has room for, at most a part if it goes in parts; true if that is full.
    mutating func admit(into machine: inout ClientMachine, _ waiters: WaiterTable, inParts: Bool) -> Bool {
        var room = inParts ? Room() : Room(messages: .max, bytes: .max)
        while !batches.isEmpty {
            batches.update(at: 0) { Self.admit(&$0, into: &machine, waiters, &room) }
            guard let batch = batches.first, batch.done == batch.contents.count else { break }
            batches.removeFirst(1)
        }
        return room.isFull
    }

    private static func admit(
        _ batch: inout Batch, into machine: inout ClientMachine, _ waiters: WaiterTable, _ room: inout Room
    ) {
        // Cancelled, as all are together, before their turn: they were never in the log.
        guard waiters.holds(batch.left.lowerBound) else { return batch.done = batch.contents.count }
        while batch.done < batch.contents.count, !room.isFull {
            let call = batch.left.lowerBound
            let content = batch.contents[batch.done]
            let fits = batch.isRequest ? machine.hasRoomForRequest : machine.hasRoom(for: content.count)
            guard fits || machine.failure != nil else { return }
            if batch.isRequest {
                machine.request(content, call: call)
            } else {
                machine.submit(content, call: call)
            }
            room.messages -= 1
            room.bytes -= content.count
            batch.done += 1
        }
    }

    /// The calls of those that had no turn, which nobody will take on any more.
    mutating func removeAll() -> [Range<CallID>] {
        var calls: [Range<CallID>] = []
        while let batch = batches.popFirst() { calls.append(batch.left) }
        return calls
    }
}
