internal import RecallTesting

/// Somebody at a keyboard: types words, slips and corrects it, jumps about, selects and replaces, pastes now and then.
/// Endless, and the same for the same seed. Every edit fits the text that the edits before it made of an empty one.
package struct Typist: Sequence, IteratorProtocol, Sendable {
    private enum Stroke: Sendable {
        case key(Unicode.Scalar)
        case backspace
        case paste(String, replacing: Int)
    }

    private var random: SeededGenerator
    /// What the typist has decided to do and not yet done, last first.
    private var strokes: [Stroke] = []
    private var cursor = 0
    /// The text's length in code points.
    private var length = 0

    package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// Never nil.
    package mutating func next() -> TextEdit? { edit() }

    package mutating func edit() -> TextEdit {
        while true {
            if let stroke = strokes.popLast(), let edit = carryOut(stroke) { return edit }
            if strokes.isEmpty { decide() }
        }
    }

    private mutating func carryOut(_ stroke: Stroke) -> TextEdit? {
        switch stroke {
        case .key(let scalar): return replace(0, with: String(scalar), count: 1)
        case .backspace:
            guard cursor > 0 else { return nil }
            cursor -= 1
            return replace(1, with: "", count: 0)
        case .paste(let text, let replaced):
            let deleted = Swift.min(replaced, length - cursor)
            guard deleted > 0 || !text.isEmpty else { return nil }
            return replace(deleted, with: text, count: text.unicodeScalars.count)
        }
    }

    private mutating func replace(_ deleted: Int, with text: String, count: Int) -> TextEdit {
        defer {
            cursor += count
            length += count - deleted
        }
        return TextEdit(cursor, deleted, text)
    }

    private mutating func decide() {
        switch random.below(100) {
        case ..<78: plan(word: Self.words[random.below(Self.words.count)])
        case ..<84: plan(keys: [", ", ". ", ".\n", ": ", "\n\n", " — "][random.below(6)])
        case ..<90: cursor = random.below(length + 1)
        case ..<93: cursor = Swift.min(length, Swift.max(0, cursor + random.below(81) - 40))
        case ..<96: strokes = Array(repeating: .backspace, count: 1 + random.below(12))
        case ..<99: strokes = [.paste(random.chance(50) ? sentence(1) : "", replacing: 1 + random.below(24))]
        default: strokes = [.paste(sentence(5 + random.below(30)), replacing: 0)]
        }
    }

    private mutating func plan(keys: String) { strokes = keys.unicodeScalars.reversed().map { .key($0) } }

    /// One word in eight goes wrong: a neighbouring key, noticed at once or a few letters later, then put right.
    private mutating func plan(word: String) {
        let letters = Array((word + " ").unicodeScalars)
        guard random.chance(12) else { return plan(keys: word + " ") }
        let slip = random.below(letters.count)
        let late = Swift.min(slip + 1 + random.below(4), letters.count)
        var all = letters[..<slip].map { Stroke.key($0) }
        all.append(.key(Self.neighbours[random.below(Self.neighbours.count)]))
        all += letters[..<late].dropFirst(slip + 1).map { .key($0) }
        all += Array(repeating: .backspace, count: late - slip)
        all += letters[slip...].map { .key($0) }
        strokes = all.reversed()
    }

    private mutating func sentence(_ count: Int) -> String {
        (0..<count).map { _ in Self.words[random.below(Self.words.count)] }.joined(separator: " ") + " "
    }

    private static let neighbours = Array("asdfjklqwertzuiopyxcvbnm".unicodeScalars)

    /// Some have letters of two, three and four bytes, and some of two code points.
    private static let words = [
        "a", "the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "with", "as", "be", "at", "by",
        "this",
        "server", "state", "message", "session", "log", "seal", "client", "recall", "history", "replay", "crash",
        "letter",
        "every", "nothing", "remembers", "forgets", "between", "before", "after", "morning", "window", "paper", "river",
        "Zürich", "naïve", "façade", "señor", "Łódź", "жизнь", "память", "λόγος", "記憶", "手紙", "세션", "🙂", "🧵",
        "cafe\u{301}", "n\u{303}andu\u{301}", "👩‍💻",
    ]
}
