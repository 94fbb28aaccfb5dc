internal import Foundation

/// Shows a demonstration: a picture that changes on a terminal, a line now and then elsewhere, nothing if a machine
/// reads.
actor DemoScreen {
    enum Style: Sendable { case picture, lines, none }

    private let style: Style
    private let plan: DemoPlan
    private let began = ContinuousClock.now
    private var drawn = 0
    private var notes: [String] = []
    private var lastLine = ContinuousClock.now

    /// Sessions that have a line of their own.
    private static let rows = 16

    init(_ style: Style, _ plan: DemoPlan) {
        (self.style, self.plan) = (style, plan)
        var title = "\(plan.sessions) sessions, \(grouped(plan.updates)) keystrokes each; "
        title += "\(plan.serverKills.count) server kills, \(plan.clientKills.count) client kills; seed \(plan.seed)"
        if style != .none { try? Output.line(title) }
    }

    func note(_ text: String) {
        switch style {
        case .none: break
        case .lines: try? Output.line("\(clock)  \(text)")
        case .picture: notes = Array((notes + ["\(clock)  \(text)"]).suffix(5))
        }
    }

    func show(_ counts: DemoTally.Counts) {
        switch style {
        case .none: break
        case .lines:
            guard ContinuousClock.now - lastLine > .seconds(2) else { return }
            lastLine = .now
            try? Output.line(
                "\(clock)  acknowledged \(grouped(counts.acknowledged)) of \(grouped(plan.sessions * plan.updates)), "
                    + "\(counts.recalls.count) recalls")
        case .picture: draw(picture(counts))
        }
    }

    /// Leaves the last picture standing.
    func end() { drawn = 0 }

    private var clock: String {
        let tenths = (ContinuousClock.now - began).microseconds / 100_000
        let text = "\(tenths / 10).\(tenths % 10) s"
        return String(repeating: " ", count: max(0, 8 - text.count)) + text
    }

    /// Writes over the picture before, line by line: no flicker, and what stood above it stays.
    private func draw(_ lines: [String]) {
        var text = drawn > 0 ? "\u{1b}[\(drawn)A" : ""
        for line in lines { text += "\r\u{1b}[2K\(line.prefix(width))\n" }
        drawn = lines.count
        try? Output.bytes(Array(text.utf8))
    }

    /// Columns of the terminal.
    private var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) - 1 : 79
    }

    private func picture(_ counts: DemoTally.Counts) -> [String] {
        var lines = [""]
        for (index, session) in counts.sessions.prefix(Self.rows).enumerated() {
            let name = index == plan.sessions - 1 ? "process" : "session"
            let number = String(index + 1)
            lines.append(
                " \(name) \(pad(number, 2))  \(bar(session))  \(pad(grouped(session.acknowledged), 7))"
                    + "  recalled \(session.recalls)" + (session.problems.isEmpty ? "" : "  PROBLEM"))
        }
        if counts.sessions.count > Self.rows { lines.append(" … and \(counts.sessions.count - Self.rows) more") }
        lines.append("")
        lines.append(
            "\(clock)  acknowledged \(grouped(counts.acknowledged)) of \(grouped(plan.sessions * plan.updates))   "
                + "server killed \(counts.serverKills) times, client \(counts.clientKills)")
        // Always as many lines, so that the picture does not jump.
        return lines + notes + Array(repeating: "", count: 5 - notes.count)
    }

    private func bar(_ session: DemoTally.Session) -> String {
        let cells = 30
        let done = session.acknowledged * cells / max(1, plan.updates)
        let typed = max(done, session.typed * cells / max(1, plan.updates))
        return String(repeating: "█", count: done) + String(repeating: "▒", count: typed - done)
            + String(repeating: "·", count: max(0, cells - typed))
    }

    private func pad(_ text: String, _ count: Int) -> String {
        String(repeating: " ", count: max(0, count - text.count)) + text
    }
}
