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

        static let kind = SessionKind<Tags>("tags", [1: Tag.self, 2: First.self, 3: Drop.self])
    }

    private static let many: [any Message<Tags.State>] = (0..<40).map { Tags.Tag(name: "tag \($0)") }

    @Test(arguments: [1, 2] as [UInt64]) func aGoodKindPasses(_ seed: UInt64) async {
        let report = await Simulation.run(Tags(), seed: seed) { tags, random in
            let names = (0..<3).map { _ in "tag \(Int.random(in: 0..<20, using: &random))" }
            try await tags.send(contentsOf: names.map { Tags.Tag(name: $0) })
        }
        #expect(report.violations.isEmpty)
        #expect(report.messages > 0)
    }

    @Test func whatIsTheSameEverywherePasses() async throws {
        #expect(try await DeterminismCheck.run(Tags(), Self.many) == nil)
    }

    @Test func aReplyThatGoesByHashOrderIsNamed() async throws {
        let difference = try await DeterminismCheck.run(Tags(), Self.many + [Tags.First()])
        #expect(difference?.index == 40)
        #expect(difference?.message == "First")
        #expect(difference?.isReply == true)
    }

    @Test func aStateThatGoesByHashOrderIsNamed() async throws {
        let difference = try await DeterminismCheck.run(Tags(), Self.many + [Tags.Drop(), Tags.Tag(name: "more")])
        #expect(difference?.index == 40)
        #expect(difference?.message == "Drop")
        #expect(difference?.isReply == false)
    }
}
