internal import Foundation
internal import Synchronization

/// The independent record: what was sent and what was acknowledged. An acknowledgement is in its file before anything
/// else is done about it.
final class Journal: Sendable {
    private let file: Int32
    private let tally: Tally

    init(path: String, tally: Tally) throws(TortureError) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(call: "open \(path)", reason: errorText(errno)) }
        self.tally = tally
    }

    deinit { close(file) }

    func begin(_ maker: UpdateMaker, name: String, log: String) -> SessionRecord {
        tally.add(.sessions)
        return SessionRecord(maker, name: name, log: log, journal: self, tally: tally)
    }

    /// One write for lines that came together: they stay together in the file.
    fileprivate func write(_ session: String, _ lines: [String]) {
        let text = lines.map { "\(session) \($0)\n" }.joined()
        let bytes = Array(text.utf8)
        if Foundation.write(file, bytes, bytes.count) != bytes.count {
            tally.problem("the journal cannot be written: \(errorText(errno))")
        }
    }
}

/// What is known of one session.
final class SessionRecord: Sendable {
    struct State: Sendable {
        var maker: UpdateMaker
        var updates: [Update] = []
        /// The last update whose answer was seen, and so that all before it are applied.
        var answered = 0
        /// Answers since the present client process began: they follow each other without a gap.
        var answersOfProcess = 0
        /// What the present client process said on standard error that is no event.
        var words: [String] = []
        /// What it said last of its connection.
        var lastEvent = ""

        /// What to tell of a client that did not do what it should.
        var said: String { (words.suffix(10) + [lastEvent]).joined(separator: " ") }
    }

    let name: String
    let kind: Kind
    /// The path of the client's log.
    let log: String
    private let journal: Journal
    private let tally: Tally
    private let state: Mutex<State>

    init(_ maker: UpdateMaker, name: String, log: String, journal: Journal, tally: Tally) {
        (kind, self.name, self.log, self.journal, self.tally) = (maker.kind, name, log, journal, tally)
        state = Mutex(State(maker: maker))
    }

    var now: State { state.withLock { $0 } }
    var answered: Int { state.withLock { $0.answered } }
    var outstanding: Int { state.withLock { $0.updates.count - $0.answered } }

    /// Makes more updates: their lines.
    func make(_ count: Int) -> String {
        tally.add(.updatesSent, count)
        return state.withLock { state in
            var text = ""
            for _ in 0..<count {
                let update = state.maker.next()
                state.updates.append(update)
                text += update.line + "\n"
            }
            return text
        }
    }

    /// A new client process: the lines of the session from its beginning.
    func restart() -> String {
        state.withLock { state in
            (state.answersOfProcess, state.words, state.lastEvent) = (0, [], "")
            return state.updates.map { $0.line + "\n" }.joined()
        }
    }

    // MARK: - What the client says

    func take(answers lines: [String]) {
        journal.write(name, lines)
        for line in lines { take(answer: line) }
    }

    private func take(answer line: String) {
        guard let object = jsonObject(line), let number = object["number"] as? Int else {
            return tally.problem("\(name): an answer that is none: \(line.prefix(200))")
        }
        let known = now
        guard number > known.answered else {
            return tally.problem("\(name): update \(number) was answered twice", .twice)
        }
        guard number <= known.updates.count else {
            return tally.problem("\(name): an answer to update \(number), of \(known.updates.count)", .twice)
        }
        // Still to be answered, or applied.
        if object["unknown"] != nil { return }
        if known.answersOfProcess > 0, number != known.answered + 1 {
            tally.problem("\(name): after the answer to \(known.answered) came the one to \(number)")
        }
        state.withLock { state in
            state.answered = number
            state.answersOfProcess += 1
        }
        tally.add(.acknowledged)
        let expected = known.updates[number - 1].reply
        guard let reply = object["reply"] else {
            return tally.problem("\(name): update \(number) was not applied: \(line.prefix(200))", .lost)
        }
        let isAsExpected = expected.map { reply as? Int == $0 } ?? (reply is NSNull)
        if !isAsExpected {
            tally.problem("\(name): update \(number) has the reply \(reply), not \(expected.map { "\($0)" } ?? "null")")
        }
    }

    func take(errors lines: [String]) {
        for line in lines {
            guard line.hasPrefix("{"), let object = jsonObject(line), let event = object["event"] as? String else {
                state.withLock { if $0.words.count < 50 { $0.words.append(line) } }
                continue
            }
            state.withLock { $0.lastEvent = line }
            switch event {
            case "recalled":
                tally.add(.recalls)
                tally.add(.messagesReplayed, object["messages"] as? Int ?? 0)
            case "adopted":
                tally.problem("\(name): a log had lost what it had confirmed: \(line)")
            default: break
            }
        }
    }
}

func jsonObject(_ text: String) -> [String: Any]? {
    (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any]
}
