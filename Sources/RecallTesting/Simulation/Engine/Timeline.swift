internal import HeapModule

/// Virtual time: one queue of everything that is going to happen, to whatever part of the simulated world.
///
/// Time leaps from one event to the next; events of one instant happen in the order in which they were queued.
/// Confined to the thread that runs the simulation, whose only mover it is.
final class Timeline: @unchecked Sendable {
    /// What is to happen, unless it is cancelled.
    final class Entry: @unchecked Sendable {
        fileprivate var action: (() -> Void)?
        fileprivate let process: SimulatedProcess?

        fileprivate init(_ process: SimulatedProcess?, _ action: @escaping () -> Void) {
            (self.process, self.action) = (process, action)
        }

        func cancel() { action = nil }
    }

    private struct Item: Comparable {
        let time: Int64
        let order: UInt64
        let entry: Entry
        static func == (a: Self, b: Self) -> Bool { a.order == b.order }
        static func < (a: Self, b: Self) -> Bool { (a.time, a.order) < (b.time, b.order) }
    }

    private var items = Heap<Item>()
    private var order: UInt64 = 0
    /// Nanoseconds since the simulation began.
    private(set) var now: Int64 = 0
    /// Events that happened.
    private(set) var count = 0

    /// - Parameter process: whose event it is: while the process is paused it does not happen.
    @discardableResult
    func at(_ time: Int64, in process: SimulatedProcess?, _ action: @escaping () -> Void) -> Entry {
        let entry = Entry(process, action)
        order += 1
        items.insert(Item(time: max(time, now), order: order, entry: entry))
        return entry
    }

    @discardableResult
    func after(
        _ nanoseconds: Int64, in process: SimulatedProcess? = nil, _ action: @escaping () -> Void
    ) -> Entry {
        at(now &+ max(0, nanoseconds), in: process, action)
    }

    /// Lets the next event happen, if there is one up to a time; false if there is none.
    func step(until limit: Int64) -> Bool {
        while let item = items.min, item.time <= limit {
            items.removeMin()
            guard let action = item.entry.action else { continue }
            now = item.time
            if let process = item.entry.process, process.isPaused {
                process.held.append(item.entry)
                continue
            }
            item.entry.action = nil
            count += 1
            action()
            item.entry.process?.lastEvent = now
            return true
        }
        now = max(now, limit)
        return false
    }

    /// What a paused process had to leave happens now, in its order.
    func release(_ entries: [Entry]) {
        for entry in entries {
            order += 1
            items.insert(Item(time: now, order: order, entry: entry))
        }
    }
}
