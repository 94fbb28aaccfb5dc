import ArgumentParser
@testable import RecallCommand
import Testing

@Suite struct DemoPartsTests {
    private func plan(
        sessions: Int = 4, updates: Int? = 500, kills: Int = 30, recording: [TextEdit]? = nil, seed: UInt64 = 3
    ) -> DemoPlan {
        DemoPlan(
            sessions: sessions, updates: updates, serverKills: kills, clientKills: 5, rate: nil, recording: recording,
            seed: seed, tool: "/bin/false")
    }

    @Test func allFollowsFromTheSeed() {
        let (a, b, c) = (plan(), plan(), plan(seed: 4))
        #expect(a.serverKills == b.serverKills && a.serverKills != c.serverKills)
        #expect(Array(a.edits(of: 2)) == Array(b.edits(of: 2)))
        #expect(Array(a.edits(of: 2)) != Array(a.edits(of: 1)))
        #expect(Array(a.edits(of: 0)).count == 500)
    }

    @Test func killsComeWhileTypingGoesOn() {
        let plan = plan()
        #expect(plan.serverKills.count == 30 && plan.clientKills.count == 5)
        #expect(plan.serverKills == plan.serverKills.sorted())
        #expect(plan.serverKills.allSatisfy { (40...1960).contains($0) })
        #expect(plan.clientKills.allSatisfy { (10...490).contains($0) })
        #expect(self.plan(sessions: 1, updates: 1, kills: 2).serverKills == [0, 0])
    }

    @Test func aRecordingIsTypedAsFarAsItGoes() {
        let recording = [TextEdit(0, 0, "a"), TextEdit(1, 0, "b"), TextEdit(2, 0, "c")]
        #expect(plan(updates: nil, recording: recording).updates == 3)
        #expect(plan(updates: 9, recording: recording).updates == 3)
        let two = plan(updates: 2, recording: recording)
        #expect(Array(two.edits(of: 0)) == Array(recording[..<2]))
        #expect(two.rate == 0 && plan().rate == 250)
    }

    @Test func judgesWhatASessionEndedWith() throws {
        var plain = PlainText()
        try plain.apply(TextEdit(0, 0, "é"))
        func counts(_ text: String, _ updates: UInt64) -> DemoTally.Counts {
            let tally = DemoTally(sessions: 1)
            tally.judge(0, text: text, expected: plain, updates: updates, typed: 5)
            return tally.now
        }
        #expect(counts("é", 5).isPerfect)
        #expect(counts("e\u{301}", 5).stateMismatches == 1)
        #expect(counts("é", 3).updatesLost == 2)
        #expect(counts("é", 6).updatesDuplicated == 1)
        #expect(!counts("é", 6).isPerfect)
    }

    @Test func aProblemIsNoSuccess() {
        let tally = DemoTally(sessions: 2)
        #expect(tally.now.isPerfect)
        tally.problem(1, "odd")
        #expect(!tally.now.isPerfect)
        #expect(tally.now.problems == ["session 2: odd"])
    }

    @Test func typistsWaitForAKillThatIsDue() async throws {
        let tally = DemoTally(sessions: 1)
        tally.change { $0.limit = 2 }
        try await tally.admit(0)
        try await tally.admit(0)
        let third = Task { try await tally.admit(0) }
        try await Task.sleep(for: .milliseconds(20))
        #expect(tally.now.typed == 2)
        tally.change { $0.limit = .max }
        try await third.value
        #expect(tally.now.typed == 3)
    }

    @Test(arguments: [(1, 1), (50, 50), (99, 99), (100, 100)] as [(Int, Int64)])
    func percentiles(_ percent: Int, _ expected: Int64) {
        #expect((1...100).reversed().map(Int64.init).percentile(percent) == expected)
    }

    @Test func percentilesOfFew() {
        #expect([Int64]().percentile(50) == 0)
        #expect([Int64(7)].percentile(1) == 7 && [Int64(7)].percentile(99) == 7)
        #expect([Int64(1), 2, 3].percentile(50) == 2)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-1000, "-1,000"), (-100, "-100"),
    ])
    func groupsThousands(_ number: Int, _ text: String) { #expect(grouped(number) == text) }
}

@Suite struct CommandLineTests {
    @Test(arguments: [
        ["demo", "--sessions", "0"], ["demo", "--updates", "0"], ["demo", "--kills", "-1"], ["demo", "--nope"],
        ["serve", "--port", "70000"], ["serve", "--tls-key", "x"], ["serve", "--concurrent-recalls", "0"],
        ["serve", "--log-level", "loud"], ["send"], ["send", "--log", "x", "--window", "0"],
        ["send", "--log", "x", "--kind", "xml"], ["request"], ["log", "show"], ["frobnicate"],
    ])
    func badUsageIsExitCode64(_ arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try RecallTool.parseAsRoot(arguments) }
        if let error { #expect(RecallTool.exitCode(for: error) == .validationFailure) }
    }

    @Test func everyCommandExplainsItself() {
        let commands: [any ParsableCommand.Type] = [
            Serve.self, Send.self, Request.self, LogCommand.self, LogCommand.Show.self, LogCommand.Verify.self,
            LogCommand.Export.self, Demo.self,
        ]
        for command in commands {
            let help = RecallTool.helpMessage(for: command)
            #expect(help.contains("OVERVIEW: ") && help.contains("USAGE: recall "), "\(command)")
        }
    }

    @Test(arguments: [
        #"[0,0]"#, #"[0,0,"a",1]"#, #"[0,"0","a"]"#, #"[0.5,0,"a"]"#, #"{"a":1}"#, #"[99999999999999999999,0,""]"#,
    ])
    func otherLinesAreNoEdits(_ line: String) throws {
        let value = try JSONValue(parsing: line)
        #expect(throws: CommandError.self) { try TextSession.change(from: value) }
    }

    @Test func linesAndUpdatesAreTheSameThing() throws {
        let line = try JSONValue(parsing: #"[3,1,"é\n"]"#)
        #expect(try TextSession.change(from: line) == TextEdit(3, 1, "é\n"))
        #expect(TextSession.describe(TextEdit(3, 1, "é\n")) == line)
        let patch = try JSONValue(parsing: #"{"a":null}"#)
        #expect(JSONSession.describe(JSONSession.change(from: patch)) == patch)
    }
}
