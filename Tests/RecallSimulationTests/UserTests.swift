import Recall
import RecallClient
import RecallTesting
import Testing

/// A user's kind in the simulator, and the check for determinism: a good one passes, a careless one is found.
@Suite struct UserTests {
    struct Tags: Session {
        struct State: SessionState { var counts: [String: Int] = [:] }

        struct Tag: UpdateMessage {
            typealias State = Tags.State
            var name: String
            func update(_ tags: inout State) -> Int {
                tags.counts[name, default: 0] += 1
                return tags.counts.count
            }
        }
        /// Goes by hash order.
        struct First: UpdateMessage {
            typealias State = Tags.State
            func update(_ tags: inout State) -> String { tags.counts.keys.first ?? "" }
        }
        /// Changes the state by hash order, and shows nothing of it.
        struct Drop: UpdateMessage {
            typealias State = Tags.State
            func update(_ tags: inout State) {
                if let name = tags.counts.keys.first { tags.counts[name] = nil }
            }
        }

        /// Shows what goes by hash order, and changes nothing.
        struct Some: RequestMessage {
            typealias State = Tags.State
            func reply(from tags: State) -> String { tags.counts.keys.first ?? "" }
        }
        struct Count: RequestMessage {
            typealias State = Tags.State
            func reply(from tags: State) -> Int { tags.counts.count }
        }

        static let kind = SessionKind<Tags>(
            "tags", [1: Tag.self, 2: First.self, 3: Drop.self, 4: Some.self, 5: Count.self])
    }

    private static let many: [any Message<Tags.State>] = (0..<40).map { Tags.Tag(name: "tag \($0)") }

    @Test func aGoodKindPasses() async {
        var comparisons = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            let report = await Simulation.run(Tags(), seed: seed) { tags, random in
                let names = (0..<3).map { _ in "tag \(Int.random(in: 0..<20, using: &random))" }
                try await tags.send(contentsOf: names.map { Tags.Tag(name: $0) })
            }
            #expect(report.violations.isEmpty, "seed \(seed)")
            #expect(report.messages > 0)
            if report.comparisons > 0 { comparisons += 1 }
        }
        // A session that has nothing to say may be evicted before anybody looks.
        #expect(comparisons > 15)
    }

    /// What it does is not the same twice.
    struct Dice: Session {
        struct State: SessionState { var sum = 0 }

        /// And shows.
        struct Throw: UpdateMessage {
            typealias State = Dice.State
            func update(_ dice: inout State) -> Int {
                dice.sum += Int.random(in: 1...1_000_000)
                return dice.sum
            }
        }
        struct Hide: UpdateMessage {
            typealias State = Dice.State
            func update(_ dice: inout State) { dice.sum += Int.random(in: 1...1_000_000) }
        }

        static let kind = SessionKind<Dice>("dice", [1: Throw.self, 2: Hide.self])
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>) func aKindWhoseRepliesDifferIsRefused(_ seed: UInt64) async {
        let report = await Simulation.run(Dice(), seed: seed) { dice, _ in _ = try await dice.send(Dice.Throw()) }
        #expect(report.violations.first?.contains("diverged") == true, "\(report.violations)")
    }

    @Test func whatBreaksAKindIsShrunk() async {
        let shrunk = await Simulation.shrink(Dice(), seed: 1, within: .seconds(20)) { dice, _ in
            _ = try await dice.send(Dice.Throw())
        }
        #expect(shrunk.violations.first?.contains("diverged") == true, "\(shrunk.violations)")
        #expect(shrunk.seed == 1)
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>) func aKindWhoseStateDiffersIsFoundInTheEnd(_ seed: UInt64) async {
        let report = await Simulation.run(Dice(), seed: seed) { dice, _ in try await dice.send(Dice.Hide()) }
        #expect(
            report.violations.first?.contains("a replay of its log gives another state") == true, "\(report.violations)"
        )
    }

    @Test func whatIsTheSameEverywherePasses() async throws {
        #expect(try await DeterminismCheck.run(Tags(), Self.many + [Tags.Count(), Tags.Tag(name: "more")]) == nil)
    }

    @Test func aReplyThatGoesByHashOrderIsNamed() async throws {
        let difference = try await DeterminismCheck.run(Tags(), Self.many + [Tags.First()])
        #expect(difference?.index == 40)
        #expect(difference?.message == "First")
        #expect(difference?.isReply == true)
    }

    @Test func aRequestWhoseReplyGoesByHashOrderIsNamed() async throws {
        let difference = try await DeterminismCheck.run(Tags(), Self.many + [Tags.Count(), Tags.Some()])
        #expect(difference?.index == 41)
        #expect(difference?.message == "Some")
        #expect(difference?.isReply == true)
    }

    @Test func aStateThatGoesByHashOrderIsNamed() async throws {
        let difference = try await DeterminismCheck.run(Tags(), Self.many + [Tags.Drop(), Tags.Tag(name: "more")])
        #expect(difference?.index == 40)
        #expect(difference?.message == "Drop")
        #expect(difference?.isReply == false)
    }
}
