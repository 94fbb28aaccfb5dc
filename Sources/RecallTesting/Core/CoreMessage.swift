package import RecallCore

/// The messages of the harness's sessions: text that says what it does.
///
/// A name (letters and digits), then flags: `+` replies with the state, `@` reads the clock, `!` has an effect, `-` is
/// refused by `validate`, `%` cannot be applied, `*` breaks the copy that applies it, `~` is applied later. A request
/// is any name; `no` is refused.
package struct CoreMessage: Hashable, Sendable {
    package let name: String
    package let flags: String

    package init(_ content: RawSpan) {
        let text = String(decoding: content.array, as: UTF8.self)
        name = String(text.prefix { $0.isLetter || $0.isNumber })
        flags = String(text.dropFirst(name.count))
    }

    package func has(_ flag: Character) -> Bool { flags.contains(flag) }

    /// What the update leaves in the state, given what it took from outside; nil if it left nothing.
    package func item(_ determinants: Determinants) -> String? {
        let clock = determinants.clock.map { "@\($0.nanoseconds)" } ?? ""
        switch determinants.ending {
        case .applied: return name + clock
        case .outcome(let bytes): return name + clock + "!" + String(decoding: bytes, as: UTF8.self)
        case .refused, .failed: return nil
        }
    }
}

/// What a session's state holds: what each update left, in order.
package struct CoreState: Hashable, Sendable, CustomStringConvertible {
    package var items: [String] = []

    package init(items: [String] = []) { self.items = items }

    /// The state as replies and reads show it.
    package var description: String { items.isEmpty ? "-" : items.joined(separator: " ") }

    package var encoded: [UInt8] { Array(items.joined(separator: "\n").utf8) }

    /// Nil for what no state encodes to.
    package init?(encoded: [UInt8]) {
        guard let text = String(validating: encoded, as: UTF8.self) else { return nil }
        items = text.isEmpty ? [] : text.split(separator: "\n").map(String.init)
    }

    /// What the messages of a log leave, in order; computed from the log alone.
    package init(replaying messages: some Sequence<LoggedMessage>) {
        for message in messages {
            guard let recorded = try? Determinants(message.determinants.span.bytes) else { continue }
            if let item = CoreMessage(message.content.span.bytes).item(recorded) { items.append(item) }
        }
    }

    /// True if this state is an earlier one of the same history.
    package func precedes(_ later: CoreState) -> Bool { later.items.starts(with: items) }
}
