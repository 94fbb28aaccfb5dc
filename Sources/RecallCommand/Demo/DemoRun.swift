internal import Foundation
internal import RecallTesting

/// Carries a demonstration out.
struct DemoRun: Sendable {
    let plan: DemoPlan
    let tally: DemoTally
    let screen: DemoScreen
    /// Empty at first; everything the demonstration writes is in it.
    let folder: URL

    /// No session gets on for so long: something is broken.
    private static let patience = Duration.seconds(60)

    func run() async throws {
        let server = DemoServer(tool: plan.tool, folder: folder, tally: tally)
        do {
            try await perform(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func perform(_ server: DemoServer) async throws {
        try await server.start()
        guard let address = await server.address else { return }
        await screen.note("server up on \(address), process \(await server.processID ?? 0)")
        let typists = try await makeTypists(server: address)
        if !plan.serverKills.isEmpty { tally.change { $0.limit = plan.serverKills[0] + DemoPlan.lead } }
        try await watched {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for typist in typists { group.addTask { try await typist.type() } }
                group.addTask { try await killAgainAndAgain(server) }
                try await group.waitForAll()
            }
        }
        // As for a deploy: the server ends in order, and another one, which knows nothing, takes its place. What is
        // compared is thus what the logs alone bring back.
        await screen.note("all typed; replacing the server, then comparing every text")
        try await server.drain()
        try await server.start()
        try await watched {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for typist in typists { group.addTask { try await typist.check() } }
                try await group.waitForAll()
            }
        }
    }

    private func makeTypists(server: Address) async throws -> [any DemoTypist] {
        var typists: [any DemoTypist] = []
        for session in 0..<plan.sessions {
            let log = folder.appending(path: "session-\(session + 1).db").path
            // The last one is a process of its own, so that clients are killed, too.
            if session == plan.sessions - 1 {
                typists.append(
                    DemoProcessTypist(session, plan, tally, server: server, log: log, folder: folder.path))
            } else {
                typists.append(try await DemoLocalTypist(session, plan, tally, server: server, log: log))
            }
        }
        return typists
    }

    private func killAgainAndAgain(_ server: DemoServer) async throws {
        var random = SeededGenerator(seed: plan.seed &+ 0xdead)
        for (index, moment) in plan.serverKills.enumerated() {
            while tally.now.typed < moment { try await Task.sleep(for: .milliseconds(2)) }
            try await server.kill()
            let counts = tally.change { counts in
                counts.serverKills += 1
                let next = index + 1
                counts.limit = next < plan.serverKills.count ? plan.serverKills[next] + DemoPlan.lead : .max
                return counts
            }
            let open = counts.typed - counts.acknowledged
            await screen.note(
                "server killed (\(counts.serverKills) of \(plan.serverKills.count)) after \(grouped(counts.typed)) "
                    + "keystrokes, \(open) of them unanswered")
            try await Task.sleep(for: .milliseconds(random.below(200)))
            try await server.start()
        }
    }

    /// Shows progress while `body` runs, and ends it when nothing gets on any more.
    private func watched(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                var (last, since) = (-1, ContinuousClock.now)
                while true {
                    let counts = tally.now
                    await screen.show(counts)
                    let progress = counts.acknowledged + counts.typed + counts.serverKills
                    if progress != last { (last, since) = (progress, .now) }
                    guard ContinuousClock.now - since < Self.patience else {
                        throw CommandError(
                            "nothing went on for \(Self.patience.components.seconds) s: \(counts.acknowledged) of "
                                + "\(counts.typed) keystrokes are acknowledged")
                    }
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            defer { group.cancelAll() }
            while try await group.next() == false {}
        }
        await screen.show(tally.now)
    }
}

/// With commas between thousands, whatever the locale.
func grouped(_ number: some BinaryInteger) -> String {
    let digits = Array(String(number))
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index).isMultiple(of: 3), digits[index - 1] != "-" { text.append(",") }
        text.append(digit)
    }
    return text
}
