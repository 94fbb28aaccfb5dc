import RecallCore
import RecallTesting
import Testing

/// All states of a session's place times all events, against an oracle written from the protocol's tables.
@Suite struct DecisionTests {
    /// What a server may have of a session. Copies hold a@1001 b@1002 or the beginning of it.
    enum Place: String, CaseIterable {
        case none
        case live00, live10, live11, live20, live21, live22  // head, confirmed
        case confirmation, outcome, application  // of update 2, at head 1; 1 is confirmed but for the first
        case waiting, full, gap, adopting, tombstone

        var head: Int {
            switch self {
            case .live10, .live11, .confirmation, .outcome, .application, .gap: 1
            case .live20, .live21, .live22, .adopting: 2
            default: 0
            }
        }
        var confirmed: Int {
            switch self {
            case .live11, .live21, .outcome, .application, .gap: 1
            case .live22, .adopting: 2
            default: 0
            }
        }
        var isLive: Bool {
            switch self {
            case .none, .waiting, .full, .gap, .tombstone: false
            default: true
            }
        }
        var isRouted: Bool { self != .none && self != .tombstone }
        var isIdle: Bool { rawValue.hasPrefix("live") }
    }

    static let story = Story(("a@", 1001), ("b@", 1002), ("c", nil))
    static let other = Story(("a@", 1001), ("b@", 2002), ("c", nil))
    static let foreign = Story(("a@", 9001), ("b@", 9002), ("c", nil))

    /// Brings a server there.
    static func make(_ place: Place) -> Peer {
        var limits = HandlerLimits()
        limits.recalls.concurrent = place == .waiting ? 1 : 64
        let network = CoreNetwork(servers: 1, terms: CoreNetwork.terms(adoptsBehind: true), limits: limits)
        if place == .waiting {
            let first = Peer(network, session: SessionID(high: 1 << 48, low: 99))
            first.attach(story, acknowledged: 1)
            first.hear()
        }
        let peer = Peer(network)
        let positions = story.positions(peer.keys)
        func live(_ log: Story, confirming count: Int) {
            peer.attach(Story(), acknowledged: 0)
            for index in 0..<log.count {
                peer.update(log.prefix(index + 1), from: index + 1)
                peer.hear()
            }
            if count > 0 { peer.confirm(positions[count]) }
        }
        switch place {
        case .none: break
        case .live00, .live10, .live11, .live20, .live21, .live22:
            live(story.prefix(place.head), confirming: place.confirmed)
        case .confirmation: live(Story(("a@", nil), ("b!", nil)), confirming: 0)
        case .outcome: live(Story(("a@", nil), ("b!", nil)), confirming: 1)
        case .application: live(Story(("a@", nil), ("b~", nil)), confirming: 1)
        case .waiting, .full: peer.attach(story.prefix(2), acknowledged: 2)
        case .gap:
            live(story.prefix(1), confirming: 1)
            peer.attach(story.prefix(2), acknowledged: 2)
        case .adopting:
            live(story.prefix(2), confirming: 2)
            peer.attach(story.prefix(1), acknowledged: 1)
        case .tombstone:
            live(story.prefix(2), confirming: 1)
            peer.attach(other.prefix(2), acknowledged: 2)
            peer.hear()
            peer.say(Detach(stream: peer.stream))
        }
        peer.hear()
        return peer
    }

    /// How the place stands afterwards, in a few words.
    static func look(_ peer: Peer) -> String {
        guard let status = peer.server.status(of: peer.session) else { return "none" }
        if status.phase != .live, status.route == nil {
            return "tombstone \(status.tombstone?.number.description ?? "-")"
        }
        if status.phase != .live { return "\(status.phase)" }
        let awaiting = status.awaiting == .nothing ? "" : " \(status.awaiting)"
        return "live \(status.head.number)/\(status.confirmed.number)\(awaiting)"
    }

    @Test(arguments: Place.allCases) func theStatesAreWhatTheySay(place: Place) {
        let peer = Self.make(place)
        #expect(Self.look(peer) == Self.unchanged(place))
        #expect((peer.server.status(of: peer.session)?.route != nil) == place.isRouted)
    }

    static func unchanged(_ place: Place) -> String {
        switch place {
        case .none: "none"
        case .waiting: "waiting"
        case .full, .gap: "recalling"
        case .tombstone: "tombstone 1"
        case .confirmation, .outcome, .application: "live \(place.head)/\(place.confirmed) \(place.rawValue)"
        case .adopting: "live 2/2 adoption"
        default: "live \(place.head)/\(place.confirmed)"
        }
    }

    /// What is left when the stream ends: a live copy stays; of a recall nothing, but for what had been confirmed here.
    static func afterStream(_ place: Place) -> String {
        switch place {
        case .waiting, .full: "none"
        case .gap: "tombstone 1"
        case .adopting: "live 2/2"
        default: unchanged(place)
        }
    }

    // MARK: Events on the stream

    enum Event: String, CaseIterable {
        case ping, detach, close, delete
        case next, badSeal, skipped, repeated
        case request, badLeaf, requestElsewhere
        case confirmHead, confirmBeyond, confirmOther, confirmStart
        case kept, keptOther
        case oldHistory, historyStart, chunkFirst, segmentFirst, wholeHistory, forgedHistory
        case serverFrame, truncated
    }

    /// What the session's next message follows on the stream: everything sent there, or what the attach said.
    static func received(_ place: Place) -> Story {
        switch place {
        case .confirmation, .outcome: Story(("a@", 1001), ("b!", nil))
        case .application: Story(("a@", 1001), ("b~", nil))
        case .waiting, .full, .gap: story.prefix(2)
        case .adopting: story.prefix(1)
        default: story.prefix(place.head)
        }
    }

    static func perform(_ event: Event, _ peer: Peer, _ place: Place) -> [String] {
        let sent = received(place)
        let positions = story.positions(peer.keys)
        var next = sent
        next.lines.append(.init(text: "next", clock: nil))
        let sentPositions = sent.positions(peer.keys)
        switch event {
        case .ping: peer.say(Ping(token: 1))
        case .detach: peer.say(Detach(stream: peer.stream))
        case .close: peer.server.closed(peer.connection)
        case .delete: peer.server.delete(peer.session)
        case .next: peer.update(next, from: next.count)
        case .badSeal: peer.update(next, from: next.count, seal: Digest())
        case .skipped:
            next.lines.append(.init(text: "after", clock: nil))
            peer.update(next, from: next.count)
        case .repeated: if sent.count > 0 { peer.update(sent, from: sent.count) } else { peer.update(next, from: 3) }
        case .request: peer.request(on: sentPositions[sent.count])
        case .badLeaf: peer.request(on: sentPositions[sent.count], leaf: Digest())
        case .requestElsewhere: peer.request(on: next.positions(peer.keys)[next.count])
        case .confirmHead: peer.confirm(positions[place.head])
        case .confirmBeyond: peer.confirm(positions[3])
        case .confirmOther:
            peer.confirm(
                Position(
                    number: positions[place.head].number, seal: Digest([UInt8](repeating: 1, count: 32)) ?? Digest(),
                    inputs: Digest()))
        case .confirmStart: peer.confirm(.start)
        case .kept: peer.say(Kept(stream: peer.stream, position: positions[2]))
        case .keptOther: peer.say(Kept(stream: peer.stream, position: foreign.positions(peer.keys)[2]))
        case .oldHistory:
            peer.historyStart(.start, recall: RecallID(77))
            peer.history(story.prefix(2), after: 0, recall: RecallID(77))
        case .historyStart: peer.historyStart(.start)
        case .chunkFirst: peer.history(story.prefix(2), after: 0)
        case .segmentFirst:
            peer.say(HistorySegment(stream: peer.stream, recall: peer.recall, index: 0)) { $0.integer(UInt8(1)) }
        case .wholeHistory:
            peer.historyStart(place == .gap ? .gap : .start)
            peer.history(story.prefix(2), after: place == .gap ? 1 : 0)
        case .forgedHistory:
            peer.historyStart(place == .gap ? .gap : .start)
            peer.history(other.prefix(2), after: place == .gap ? 1 : 0)
        case .serverFrame: peer.say(Gone(stream: peer.stream))
        case .truncated: peer.server.receive(peer.connection, [FrameType.attach.rawValue, 0])
        }
        return peer.hear()
    }

    typealias Answer = (said: [String], after: String)

    static func oracle(_ event: Event, _ place: Place) -> Answer {
        let same: Answer = ([], unchanged(place))
        let gone: Answer = (["gone"], afterStream(place))
        func refused(_ code: String) -> Answer { (["refused \(code)"], afterStream(place)) }
        switch event {
        case .ping: return (["pong"], unchanged(place))
        case .serverFrame: return (["closing unexpectedFrame"], afterStream(place))
        case .truncated: return (["closing malformedFrame"], afterStream(place))
        case .detach, .close: return ([], afterStream(place))
        case .delete: return (place.isRouted ? ["gone"] : [], "none")
        default: break
        }
        // A stream that is no more: late and harmless.
        guard place.isRouted else { return same }
        switch event {
        case .next:
            return place.isIdle ? (["ack \(place.head + 1)"], "live \(place.head + 1)/\(place.confirmed)") : same
        case .badSeal, .badLeaf: return refused("brokenChain")
        case .skipped, .repeated, .requestElsewhere: return gone
        case .request: return place.isIdle ? (["reply \(place.head)"], unchanged(place)) : same
        case .confirmHead, .confirmBeyond, .confirmOther, .confirmStart: return confirmed(event, place)
        case .kept: return place == .adopting ? (["attached"], "live 2/2") : same
        case .keptOther, .oldHistory: return same
        default: return history(event, place)
        }
    }

    /// Confirmations are raised only to a position that agrees and was acknowledged on the stream.
    static func confirmed(_ event: Event, _ place: Place) -> Answer {
        let same: Answer = ([], unchanged(place)), gone: Answer = (["gone"], afterStream(place))
        guard place.isLive else { return same }
        switch event {
        case .confirmHead:
            if place == .adopting { return gone }
            if place == .confirmation { return ([], "live 1/1 outcome") }
            return place.isIdle ? ([], "live \(place.head)/\(place.head)") : same
        case .confirmStart: return same
        default: return gone
        }
    }

    static func history(_ event: Event, _ place: Place) -> Answer {
        let same: Answer = ([], unchanged(place))
        guard place == .full || place == .gap else { return same }
        switch event {
        case .historyStart: return same
        case .chunkFirst: return (["refused windowExceeded"], afterStream(place))
        case .segmentFirst: return (["refused unexpectedFrame"], afterStream(place))
        case .wholeHistory: return (["attached"], "live 2/2")
        // Genuine, but not what the attach announced; a gap that does not fit is recalled in full.
        default: return place == .gap ? (["recall newest"], "recalling") : (["refused brokenChain"], "none")
        }
    }

    @Test(arguments: Place.allCases) func onTheStream(place: Place) {
        for event in Event.allCases {
            let peer = Self.make(place)
            let said = Self.perform(event, peer, place)
            let (expected, after) = Self.oracle(event, place)
            #expect(event == .close || said == expected, "\(place) x \(event)")
            if event == .serverFrame || event == .truncated { peer.server.closed(peer.connection) }
            #expect(Self.look(peer) == after, "\(place) x \(event)")
        }
    }

    // MARK: Attaches

    /// What a client may come with: a branch, how much of it is acknowledged, how long it is in all.
    struct Log: CustomStringConvertible {
        var story: Story
        var name: String
        var acknowledged: Int
        var description: String { "\(name) \(acknowledged)/\(story.count)" }
    }

    static let logs: [Log] = {
        var logs: [Log] = []
        let branches = [
            ("same", story), ("other", other), ("foreign", foreign),
            ("otherTail", Story(("a@", 1001), ("x", nil), ("y", nil))),
        ]
        for (name, branch) in branches {
            for count in 0...3 {
                for acknowledged in 0...count {
                    logs.append(Log(story: branch.prefix(count), name: name, acknowledged: acknowledged))
                }
            }
        }
        return logs
    }()

    /// The agreement rule, from whole histories: where do log and copy last agree?
    static func attachOracle(_ log: Log, _ place: Place) -> String {
        let acknowledged = log.acknowledged
        let copy = copyStory(place)
        switch place {
        case .none, .full: return acknowledged == 0 ? "attached" : "recall newest"
        case .gap:
            if acknowledged == 0 || acknowledged < place.confirmed { return "refused clientBehind" }
            return "recall newest"
        case .waiting: return acknowledged == 0 ? "attached" : ""
        case .tombstone: return acknowledged < 1 ? "refused clientBehind" : "recall newest"
        default: break
        }
        if acknowledged < place.confirmed { return adoption(place) }
        if acknowledged > place.head {
            let isUnderWay = place == .outcome || place == .application
            return isUnderWay ? "recall newest" : "recall after \(place.head)"
        }
        guard log.story.prefix(acknowledged) == copy.prefix(acknowledged) else {
            return acknowledged == place.confirmed ? "refused forked" : dropped(acknowledged)
        }
        // The copy's rest must be the log's unacknowledged messages; their outcomes the log does not know yet.
        let rest = copy.lines.dropFirst(acknowledged).map(\.text)
        let tail = log.story.lines.dropFirst(acknowledged).map(\.text)
        if tail.count < rest.count { return dropped(acknowledged) }
        if tail.count == rest.count, tail != Array(rest) { return dropped(acknowledged) }
        return "attached"  // a longer tail that differs shows when it arrives
    }

    static func copyStory(_ place: Place) -> Story { story.prefix(place.head) }

    static func dropped(_ acknowledged: Int) -> String { acknowledged == 0 ? "attached" : "recall newest" }

    static func adoption(_ place: Place) -> String {
        place == .outcome || place == .application ? "refused overloaded" : "adopt \(place.head)"
    }

    @Test(arguments: Place.allCases) func attaches(place: Place) {
        for log in Self.logs {
            let former = Self.make(place)
            let peer = Peer(former.network)
            peer.attach(log.story, acknowledged: log.acknowledged)
            let said = peer.hear()
            #expect(said == [Self.attachOracle(log, place)].filter { !$0.isEmpty }, "\(place) x \(log)")
            #expect(former.hear() == (place.isRouted ? ["refused superseded"] : []), "\(place) x \(log)")
        }
    }

    /// The unacknowledged messages follow an attach: what the copy has of them is acknowledged again, never applied
    /// twice; what differs drops the copy.
    @Test func tailsBehindAnAttach() {
        for place in Place.allCases where place.isIdle {
            for log in Self.logs where Self.attachOracle(log, place) == "attached" && log.story.count > log.acknowledged
            {
                let former = Self.make(place)
                let applied = former.server.host.applied
                let peer = Peer(former.network)
                let isDropped = log.acknowledged == 0 && Self.isDropped(log, place)
                peer.attach(log.story, acknowledged: log.acknowledged)
                peer.update(log.story, from: log.acknowledged + 1)
                let said = peer.hear()
                let rest = Self.copyStory(place).lines.dropFirst(log.acknowledged).map(\.text)
                let fits = log.story.lines.dropFirst(log.acknowledged).map(\.text).starts(with: rest)
                let end = fits || isDropped ? "ack \(log.story.count)" : "gone"
                #expect(said == ["attached", end], "\(place) x \(log)")
                let kept = isDropped ? 0 : max(place.head, log.acknowledged)
                let fresh = fits || isDropped ? log.story.count - kept : said.contains("gone") ? nil : 0
                if let fresh { #expect(peer.server.host.applied - applied == fresh, "\(place) x \(log)") }
            }
        }
    }

    /// True if the attach alone showed that the copy is an orphan.
    static func isDropped(_ log: Log, _ place: Place) -> Bool {
        let rest = copyStory(place).lines.dropFirst(log.acknowledged).map(\.text)
        let tail = log.story.lines.dropFirst(log.acknowledged).map(\.text)
        return tail.count < rest.count || (tail.count == rest.count && tail != Array(rest))
    }

    /// Invariant 15: what does not verify costs neither a slot nor the place that is there.
    @Test(arguments: Place.allCases) func invalidAttaches(place: Place) {
        for spoilsReceipt in [false, true] {
            let former = Self.make(place)
            let (sessions, applied) = (former.server.sessionCount, former.server.host.applied)
            let peer = Peer(former.network)
            peer.attach(Self.story, acknowledged: 2, spoilLeaf: !spoilsReceipt, spoilReceipt: spoilsReceipt)
            #expect(peer.hear() == [spoilsReceipt ? "refused badReceipt" : "refused brokenChain"])
            #expect(former.hear() == [])
            #expect(Self.look(former) == Self.unchanged(place))
            #expect(former.server.sessionCount == sessions && former.server.host.applied == applied)
        }
    }
}
