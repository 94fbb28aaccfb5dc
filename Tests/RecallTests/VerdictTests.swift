import Recall
import RecallCore
import Testing

@Suite struct VerdictTests {
    let lab = Harness(Lab())

    @Test func appliesAnUpdateAndWritesItsReply() throws {
        #expect(try lab.apply(Lab.Add(amount: 4)) == .applied)
        #expect(lab.written == Array("4".utf8))
    }

    @Test func appendsToWhatTheReplyBufferHolds() throws {
        let content = try lab.content(Lab.Add(amount: 4)), bad: [UInt8] = [1, 0]
        var context = UpdateContext(environment: lab.environment, keys: testKeys, number: SequenceNumber(1))
        var reply = ByteWriter()
        reply.integer(UInt8(9))
        let applied = lab.hosted.apply(
            content: content.span.bytes, replaying: false, context: &context, reply: &reply)
        #expect(applied == .applied)
        _ = lab.hosted.apply(content: bad.span.bytes, replaying: false, context: &context, reply: &reply)
        #expect(reply.bytes == [9] + Array("4".utf8))
    }

    @Test func voidRepliesHaveNoBytes() async throws {
        #expect(try lab.apply(Lab.Fill(count: 3)) == .applied)
        #expect(lab.written.isEmpty)
        let junk: [UInt8] = [1]
        #expect(throws: RecallError.self) { try Lab.kind.coding(of: Lab.Fill.self).reply(from: junk.span.bytes) }
        try await lab.send(Lab.Fill(count: 2))
    }

    @Test func refusesWithTheMessagesOwnRejection() async throws {
        let before = try lab.state
        #expect(try lab.apply(Lab.Add(amount: 13)) == .refused)
        let written = lab.written
        #expect(try Lab.kind.coding(of: Lab.Add.self).rejection(from: written.span.bytes) == .unlucky(0))
        await #expect(throws: Lab.Refusal.unlucky(0)) { try await lab.send(Lab.Add(amount: 13)) }
        #expect(try lab.state == before)
    }

    @Test func aReplayDoesNotValidate() throws {
        let content = try lab.content(Lab.Add(amount: 13))
        #expect(lab.apply(raw: content) == .refused)
        #expect(lab.apply(raw: content, replaying: true) == .applied)
    }

    @Test func unknownNumbersFail() throws {
        for raw: [UInt8] in [[], [0], [14, 1, 2], [255]] {
            guard case .failed(.unknownMessage, _) = lab.apply(raw: raw) else {
                Issue.record("\(raw) is not an unknown message")
                continue
            }
            guard case .failed(.unknownMessage, _) = lab.request(raw: raw) else {
                Issue.record("\(raw) is not an unknown request")
                continue
            }
        }
    }

    @Test func rolesAreNotConfused() throws {
        guard case .failed(.unknownMessage, let text) = try lab.apply(Lab.Look()) else {
            Issue.record("a request was applied")
            return
        }
        #expect(text == "message 5 is a request, and was sent as an update")
        for content in [try lab.content(Lab.Add(amount: 1)), try lab.content(Lab.Fetch(amount: 1))] {
            guard case .failed(.unknownMessage, _) = lab.request(raw: content) else {
                Issue.record("an update was answered")
                return
            }
        }
        #expect(!lab.hosted.hasEffect)
    }

    @Test func contentThatDoesNotDecodeFails() throws {
        let before = try lab.state
        for raw: [UInt8] in [[1], [1, 0x7b], [1] + Array("{\"amount\":\"4\"}".utf8), [1, 0xff, 0xfe]] {
            guard case .failed(.undecodable, let text) = lab.apply(raw: raw) else {
                Issue.record("\(raw) was not undecodable")
                continue
            }
            #expect(text.utf8.count < 1100)
            #expect(lab.written.isEmpty)
        }
        #expect(try lab.state == before)
    }

    @Test func aReplyThatDoesNotEncodeBreaksTheCopy() throws {
        guard case .broken(let text) = try lab.apply(Lab.Mute()) else {
            Issue.record("not broken")
            return
        }
        #expect(text.contains("unencodable on purpose"))
        #expect(lab.written.isEmpty)
    }

    @Test func aFalseInvariantBreaksTheCopy() throws {
        #expect(lab.hosted.isConsistent)
        #expect(try lab.apply(Lab.Add(amount: -1)) == .broken("the state's invariant is false after the update"))
        #expect(!lab.hosted.isConsistent)
        #expect(lab.written.isEmpty)
    }

    @Test func aRejectionThatDoesNotEncodeFailsTheMessage() throws {
        guard case .failed(.undecodable, _) = try lab.apply(Lab.Touchy()) else {
            Issue.record("not failed")
            return
        }
    }

    @Test func requestsReplyRefuseOrFail() async throws {
        try await lab.send(Lab.Add(amount: 5))
        #expect(try await lab.send(Lab.Look()) == 5)
        await #expect(throws: Lab.Refusal.unlucky(5)) { try await lab.send(Lab.Look(limit: 4)) }
        guard case .failed(.undecodable, _) = lab.request(raw: try lab.content(Lab.Riddle())) else {
            Issue.record("a reply without bytes was sent")
            return
        }
        #expect(lab.log.count == 1)
    }

    @Test func limitsHoldForNewMessagesOnly() async throws {
        let long: [UInt8] = [1] + [UInt8](repeating: 0x20, count: 200) + Array("{\"amount\":4}".utf8)
        #expect(lab.apply(raw: long) == .failed(.messageTooLarge, "the message takes 212 bytes; the limit is 200"))
        #expect(lab.request(raw: long) == .failed(.messageTooLarge, "the message takes 212 bytes; the limit is 200"))
        #expect(lab.apply(raw: long, replaying: true) == .applied)
        #expect(lab.request(raw: try lab.content(Lab.Echo(count: 198))) == .replied)
        #expect(
            lab.request(raw: try lab.content(Lab.Echo(count: 199)))
                == .failed(.messageTooLarge, "the answer takes 201 bytes; the limit is 200"))
        let shout = try lab.content(Lab.Shout(count: 199))
        #expect(lab.apply(raw: shout) == .broken("the answer takes 201 bytes; the limit is 200"))
        #expect(lab.written.isEmpty)
        #expect(lab.apply(raw: shout, replaying: true) == .applied)
    }

    @Test func statesTravelThroughTheirBytes() async throws {
        try await lab.send(Lab.Add(amount: 5))
        let other = Harness(Lab()), bytes = try lab.state
        try other.hosted.restoreState(bytes.span.bytes)
        #expect(try other.state == bytes)
        let junk: [UInt8] = Array("{}".utf8)
        #expect(throws: RecallError.self) { try other.hosted.restoreState(junk.span.bytes) }
        #expect(try other.state == bytes)
    }
}
