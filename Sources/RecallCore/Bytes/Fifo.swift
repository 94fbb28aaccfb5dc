/// A first-in, first-out queue in one array: constant amortised cost at both ends, and access by offset.
///
/// Inlinable: without it, other modules went through the runtime's look-up of types for every item.
@frozen
@usableFromInline
package struct Fifo<Element> {
    @usableFromInline var items: [Element?] = []
    @usableFromInline var start = 0

    @inlinable package init() {}

    @inlinable package var count: Int { items.count - start }
    @inlinable package var isEmpty: Bool { start == items.count }
    @inlinable package var first: Element? { isEmpty ? nil : items[start] }
    @inlinable package var last: Element? { isEmpty ? nil : items[items.count - 1] }

    /// Nil past the end.
    @inlinable
    package func item(at offset: Int) -> Element? {
        offset >= 0 && offset < count ? items[start + offset] : nil
    }

    @inlinable package mutating func append(_ item: Element) { items.append(item) }

    /// Puts an item before the first.
    @inlinable
    package mutating func putBack(_ item: Element) {
        if start > 0 {
            start -= 1
            items[start] = item
        } else {
            items.insert(item, at: 0)
        }
    }

    @inlinable
    package mutating func popFirst() -> Element? {
        guard start < items.count else { return nil }
        let item = items[start].take()
        start += 1
        reclaim()
        return item
    }

    /// Drops so many, at most all.
    @inlinable
    package mutating func removeFirst(_ amount: Int) {
        let end = start + min(max(amount, 0), count)
        for index in start..<end { items[index] = nil }
        start = end
        reclaim()
    }

    @inlinable
    mutating func reclaim() {
        if start == items.count {
            items.removeAll(keepingCapacity: items.capacity <= 1024)
            start = 0
        } else if start > 64, start > items.count / 2 {
            items.removeFirst(start)
            start = 0
        }
    }

    /// Changes an item in place; nothing past the end.
    @inlinable
    package mutating func update(at offset: Int, _ body: (inout Element) -> Void) {
        guard offset >= 0, offset < count, var item = items[start + offset].take() else { return }
        body(&item)
        items[start + offset] = item
    }

    /// Empty, it gives the room of few items back: little is soon had again, and would lie idle in each of very many
    /// sessions.
    @inlinable
    package mutating func trim() { if isEmpty, items.capacity <= 4 { removeAll() } }

    @inlinable
    package mutating func removeAll() {
        items = []
        start = 0
    }
}

extension Fifo: Sendable where Element: Sendable {}
