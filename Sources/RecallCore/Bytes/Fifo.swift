/// A first-in, first-out queue in one array: constant amortised cost at both ends, and access by offset.
package struct Fifo<Element> {
    private var items: [Element?] = []
    private var start = 0

    package init() {}

    package var count: Int { items.count - start }
    package var isEmpty: Bool { start == items.count }
    package var first: Element? { isEmpty ? nil : items[start] }
    package var last: Element? { isEmpty ? nil : items[items.count - 1] }

    /// Nil past the end.
    package func item(at offset: Int) -> Element? {
        offset >= 0 && offset < count ? items[start + offset] : nil
    }

    package mutating func append(_ item: Element) { items.append(item) }

    /// Puts an item before the first.
    package mutating func putBack(_ item: Element) {
        if start > 0 {
            start -= 1
            items[start] = item
        } else {
            items.insert(item, at: 0)
        }
    }

    package mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let item = items[start]
        removeFirst(1)
        return item
    }

    /// Drops so many, at most all.
    package mutating func removeFirst(_ amount: Int) {
        let end = start + min(max(amount, 0), count)
        for index in start..<end { items[index] = nil }
        start = end
        if start == items.count {
            items.removeAll(keepingCapacity: items.capacity <= 1024)
            start = 0
        } else if start > 64, start > items.count / 2 {
            items.removeFirst(start)
            start = 0
        }
    }

    /// Changes an item in place; nothing past the end.
    package mutating func update(at offset: Int, _ body: (inout Element) -> Void) {
        guard offset >= 0, offset < count, var item = items[start + offset] else { return }
        items[start + offset] = nil
        body(&item)
        items[start + offset] = item
    }

    package mutating func removeAll() {
        items = []
        start = 0
    }
}

extension Fifo: Sendable where Element: Sendable {}
