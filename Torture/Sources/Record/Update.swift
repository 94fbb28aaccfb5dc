internal import Foundation

/// What a session is. Said again here, from the tool's documentation, and not shared with it.
enum Kind: String, Sendable {
    case text
    case json
}

/// An update that the rig sends. Its name is unique within the session.
struct Update: Hashable, Sendable {
    let number: Int
    let name: String
    /// Text: it goes in before so many of the names that are there. Document: an earlier number, whose member it
    /// deletes.
    let place: Int?
    /// What the tool is given.
    let line: String
    /// The answer that there has to be if exactly the updates before it were applied, in order, each once.
    let reply: Int?
}

/// Makes a session's updates, one after the other, and knows what they make of its state.
struct UpdateMaker: Sendable {
    let kind: Kind
    private let session: Int
    private var random: SeededGenerator
    /// Of a text: the lengths of the names, in the order in which they stand.
    private var lengths: [Int] = []
    private var total = 0
    private(set) var count = 0

    init(kind: Kind, session: Int, random: SeededGenerator) {
        (self.kind, self.session, self.random) = (kind, session, random)
    }

    mutating func next() -> Update {
        count += 1
        return kind == .text ? nextEdit() : nextPatch()
    }

    private mutating func nextEdit() -> Update {
        // Of differing lengths, so that a length in a reply tells which updates were applied, not only how many.
        let filling = String(repeating: "ü", count: random.below(6))
        let name = "\(session)-\(count)\(filling)"
        let place = random.chance(0.7) ? lengths.count : random.below(lengths.count + 1)
        let position = place == lengths.count ? total : lengths[..<place].reduce(0, +)
        let length = name.unicodeScalars.count + 1
        lengths.insert(length, at: place)
        total += length
        return Update(
            number: count, name: name, place: place, line: "[\(position),0,\"\(name);\"]", reply: total)
    }

    private mutating func nextPatch() -> Update {
        let name = "u\(count)"
        let place = count > 1 && random.chance(0.3) ? 1 + random.below(count - 1) : nil
        let deletion = place.map { ",\"u\($0)\":null" } ?? ""
        return Update(
            number: count, name: name, place: place, line: "{\"\(name)\":\(count)\(deletion),\"last\":\(count)}",
            reply: nil)
    }
}

/// The state that updates lead to, computed without the tool.
enum ExpectedState {
    /// The names in a text after these updates, in order.
    static func names(after updates: some Sequence<Update>) -> [String] {
        var names: [String] = []
        for update in updates { names.insert(update.name, at: min(update.place ?? names.count, names.count)) }
        return names
    }

    /// The members of a document after these updates.
    static func members(after updates: some Sequence<Update>) -> [String: Int] {
        var members: [String: Int] = [:]
        for update in updates {
            members[update.name] = update.number
            if let place = update.place { members["u\(place)"] = nil }
            members["last"] = update.number
        }
        return members
    }
}
