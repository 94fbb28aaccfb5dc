import RecallCore
import RecallTesting
import Testing

/// The core's small parts, each against the simplest model of it.
@Suite struct PartsTests {
    @Test func fifoIsAQueue() {
        var random = SeededGenerator(seed: 1)
        var fifo = Fifo<Int>()
        var model: [Int] = []
        for step in 0..<20_000 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<3:
                fifo.append(step)
                model.append(step)
            case 3..<5:
                let popped = fifo.popFirst()
                let expected = model.isEmpty ? nil : model.removeFirst()
                #expect(popped == expected)
                if let popped, random.chance(30) {
                    fifo.putBack(popped)
                    model.insert(popped, at: 0)
                }
            case 5:
                let count = Int.random(in: -1...(random.chance(2) ? 1000 : 4), using: &random)
                fifo.removeFirst(count)
                model.removeFirst(min(max(count, 0), model.count))
            case 6:
                let offset = Int.random(in: -1...8, using: &random)
                fifo.update(at: offset) { $0 += 1 }
                if model.indices.contains(offset) { model[offset] += 1 }
            default:
                fifo.putBack(-step)
                model.insert(-step, at: 0)
            }
            #expect(fifo.count == model.count && fifo.first == model.first && fifo.last == model.last)
            let offset = Int.random(in: -1...8, using: &random)
            #expect(fifo.item(at: offset) == (model.indices.contains(offset) ? model[offset] : nil))
            if random.chance(1) {
                fifo.removeAll()
                model = []
            }
        }
    }

    // MARK: Frames in a stream of bytes

    @Test func splitterCutsWhateverComesInWhateverPieces() {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<200 {
            let bodies = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                (0..<Int.random(in: 1...(random.chance(5) ? 100_000 : 50), using: &random)).map {
                    UInt8(truncatingIfNeeded: $0)
                }
            }
            var stream = ByteWriter()
            for body in bodies { stream.block(body.span.bytes) }
            var splitter = FrameSplitter()
            var found: [[UInt8]] = []
            var rest = stream.bytes[...]
            while !rest.isEmpty {
                let piece = Array(rest.prefix(Int.random(in: 1...(random.chance(20) ? 70_000 : 30), using: &random)))
                rest = rest.dropFirst(piece.count)
                splitter.feed(piece.span.bytes)
                let take: (RawSpan) throws(WireError) -> Void = { found.append($0.array) }
                while (try? splitter.next(take, invalid: { $0 })) == true {}
            }
            #expect(found == bodies)
            #expect(splitter.pending == 0)
        }
    }

    @Test func splitterRefusesLengths() {
        func first(_ bytes: [UInt8], limit: Int) -> WireError? {
            var splitter = FrameSplitter(limit: limit)
            splitter.feed(bytes.span.bytes)
            let take: (RawSpan) throws(WireError) -> Void = { _ in }
            do throws(WireError) { _ = try splitter.next(take, invalid: { $0 }) } catch { return error }
            return nil
        }
        #expect(first([0, 0, 0, 0], limit: 9) == .malformed)
        #expect(first([0, 0, 0, 10], limit: 9) == .tooLong)
        #expect(first([0xff, 0xff, 0xff, 0xff], limit: 9) == .tooLong)
        #expect(first([0, 0, 0, 9], limit: 9) == nil)
        #expect(first([0, 0, 0], limit: 9) == nil)
    }

    // MARK: Admission

    @Test func admissionIsFairByConnection() {
        var limits = RecallAdmission.Limits()
        limits.concurrent = 1
        var admission = RecallAdmission(limits)
        #expect(admission.request(SlotID(0), from: ConnectionID(0), bytes: 1) == .admitted)
        // One connection asks for a hundred, another for two: it does not wait behind the hundred.
        for index in 0..<100 {
            #expect(admission.request(SlotID(100 + index), from: ConnectionID(1), bytes: 1) == .waiting)
        }
        for index in 0..<2 {
            #expect(admission.request(SlotID(200 + index), from: ConnectionID(2), bytes: 1) == .waiting)
        }
        var order: [Int] = []
        var running = SlotID(0)
        while true {
            admission.finish(running)
            guard let next = admission.next() else { break }
            #expect(admission.next() == nil)
            running = next
            order.append(next.index)
        }
        #expect(order.count == 102)
        #expect(order.prefix(4) == [100, 200, 101, 201])
    }

    @Test func admissionKeepsItsBounds() {
        var random = SeededGenerator(seed: 3)
        var limits = RecallAdmission.Limits()
        (limits.concurrent, limits.bytes, limits.waiting) = (3, 100, 10)
        var admission = RecallAdmission(limits)
        var running: [SlotID: Int] = [:], needs: [SlotID: Int] = [:], waiting: Set<SlotID> = []
        for _ in 0..<20_000 {
            let slot = SlotID(Int.random(in: 0..<30, using: &random))
            if random.chance(50) {
                let needed = Int.random(in: 1...(random.chance(5) ? 500 : 60), using: &random)
                let connection = ConnectionID(UInt64.random(in: 0..<4, using: &random))
                let answer = admission.request(slot, from: connection, bytes: needed)
                let bytes = min(needed, 50)  // more than half is charged half
                switch answer {
                case .admitted:
                    if running[slot].map({ $0 < bytes }) ?? true { running[slot] = bytes }
                case .waiting:
                    running[slot] = nil
                    waiting.insert(slot)
                    needs[slot] = bytes
                case .overloaded:
                    #expect(waiting.count == 10)
                    running[slot] = nil
                    admission.finish(slot)
                }
            } else {
                admission.finish(slot)
                running[slot] = nil
                waiting.remove(slot)
            }
            while let next = admission.next() {
                #expect(waiting.remove(next) != nil)
                running[next] = needs[next]
            }
            #expect(admission.runningCount == running.count && admission.waitingCount == waiting.count)
            #expect(running.count <= 3 && (running.count <= 1 || running.values.reduce(0, +) <= 100))
            #expect(waiting.isEmpty || !running.isEmpty)
            #expect(admission.ticketCount <= 2 * 10 + 65)
        }
    }

    // MARK: Checkpoints

    @Test func debtIsBoundedByTheLastCheckpoint() {
        var policy = CheckpointPolicy()
        (policy.minimumBytes, policy.growth, policy.messages) = (100, 2, 1000)
        var debt = ReplayDebt()
        let position = Position(number: SequenceNumber(1), seal: Digest(), inputs: Digest())
        debt.add(bytes: 100)
        #expect(!debt.isDue(policy))
        debt.add(bytes: 1)
        #expect(debt.isDue(policy))
        debt.offer(at: position, size: 80)
        debt.add(bytes: 30)
        #expect(!debt.isDue(policy), "one offer at a time")
        let isKeptElsewhere = debt.keep(Position.start)
        #expect(!isKeptElsewhere)
        let (isKept, isKeptTwice) = (debt.keep(position), debt.keep(position))
        #expect(isKept && !isKeptTwice)
        #expect(debt.bytes == 30 && debt.messages == 1 && debt.checkpointBytes == 80)
        debt.add(bytes: 130)
        #expect(!debt.isDue(policy), "twice the last checkpoint")
        debt.add(bytes: 1)
        #expect(debt.isDue(policy))
        policy.isEnabled = false
        #expect(!debt.isDue(policy))
    }

    @Test func aPolicyMayBeExtreme() {
        var policy = CheckpointPolicy()
        (policy.minimumBytes, policy.growth, policy.messages, policy.patience) = (.max, .max, .max, .max)
        var debt = ReplayDebt(checkpointBytes: .max / 2)
        debt.add(bytes: 1)
        #expect(!debt.isDue(policy))
        debt.offer(at: .start, size: 1)
        #expect(!debt.isOverdue(policy, windowBytes: .max, windowMessages: .max))
    }

    // MARK: Pauses

    @Test func backoffStaysInItsBounds() {
        for (floor, ceiling) in [(1, 1), (50_000_000, 5_000_000_000), (.max, .max), (0, 0), (7, 3)] as [(Int64, Int64)]
        {
            var backoff = Backoff(floor: floor, ceiling: ceiling)
            var last: Int64 = 0
            for attempt in 0..<100 {
                var other = backoff
                let shortest = backoff.next(random: 0)
                let longest = other.next(random: UInt64(max(1, ceiling) / 2))
                #expect(shortest >= 0 && longest <= max(1, ceiling) && shortest <= longest)
                #expect(shortest >= last, "attempt \(attempt)")
                last = shortest
            }
            backoff.reset()
            let afterReset = backoff.next(random: 0)
            #expect(afterReset <= max(1, floor))
        }
    }

    // MARK: Numbers

    @Test func numbersSaturate() {
        let last = SequenceNumber(.max)
        #expect(
            last.next == last && last.advanced(by: .max) == last
                && SequenceNumber(5).advanced(by: -1) == SequenceNumber(5))
        #expect(last.distance(from: .zero) == .max && SequenceNumber.zero.distance(from: last) == 0)
        #expect(Instant(nanoseconds: .max).advanced(byNanoseconds: 1) == Instant(nanoseconds: .max))
    }

    /// Determinants have one encoding each: what decodes encodes to the same bytes.
    @Test func determinantsHaveOneEncoding() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<5000 {
            let clock = random.chance(50) ? WallTime(nanoseconds: Int64(truncatingIfNeeded: random.next())) : nil
            let bytes = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                UInt8.random(in: 97...122, using: &random)
            }
            let endings: [Determinants.Ending] = [
                .applied, .outcome(bytes), .refused(bytes), .failed(code: UInt16(bytes.count), text: bytes),
            ]
            let value = Determinants(clock: clock, ending: endings.randomElement(using: &random) ?? .applied)
            #expect((try? Determinants(value.encoded.span.bytes)) == value)
            #expect(value.encoded.isEmpty == value.isEmpty)
            var altered = value.encoded + (random.chance(30) ? [0] : [])
            if !altered.isEmpty { altered[Int.random(in: 0..<altered.count, using: &random)] = random.next() }
            if let other = try? Determinants(altered.span.bytes) { #expect(other.encoded == altered) }
        }
    }

    /// Invariant 14: what a recall holds is what the server gave credit for, however much the client sends.
    @Test func aRecallHoldsNoMoreThanItsCredit() {
        let peer = Peer(CoreNetwork(servers: 1))
        let story = Story(("a~", nil), ("b", nil), ("c", nil), ("d", nil), ("e", nil), ("f", nil), ("g", nil))
        peer.attach(story, acknowledged: story.count)
        #expect(peer.hear() == ["recall newest"])
        peer.historyStart(.start)
        for number in 1...7 {
            let receipt = story.prefix(number).receipt(peer.keys)
            let line = story.lines[number - 1]
            peer.say(
                HistoryChunk(
                    stream: peer.stream, recall: peer.recall, isLast: number == 7,
                    first: SequenceNumber(UInt64(number)), receipt: receipt)
            ) {
                $0.block(Array(line.text.utf8).span.bytes)
                $0.block([UInt8]().span.bytes)
            }
        }
        // The first waits for the host, so four are held at most.
        #expect(peer.hear().last == "refused windowExceeded")
        #expect(peer.server.sessionCount == 0)
    }

    /// A checkpoint may be as large as the attach said, and no larger.
    @Test func aCheckpointMayNotOutgrowItsAnnouncement() {
        let peer = Peer(CoreNetwork(servers: 1))
        peer.attach(Story(("a", nil)), acknowledged: 1)
        peer.hear()
        let position = Story(("a", nil)).positions(peer.keys)[1]
        let header = CheckpointHeader(
            kindVersion: 1, position: position, outputs: Digest(), time: WallTime(nanoseconds: 0), segmentCount: 1)
        peer.historyStart(.checkpoint(header))
        peer.say(HistorySegment(stream: peer.stream, recall: peer.recall, index: 0)) { $0.integer(UInt64(0)) }
        #expect(peer.hear() == ["refused windowExceeded"])
    }

    @Test func aWindowHasNothingOutsideOfIt() {
        let start = Position(number: SequenceNumber(3), seal: Digest(), inputs: Digest())
        let window = CopyWindow(confirmed: start)
        #expect(window.entry(at: SequenceNumber(3)) == nil)
        #expect(window.entry(at: SequenceNumber(4)) == nil)
        #expect(window.position(at: SequenceNumber(2)) == nil)
        #expect(window.position(at: SequenceNumber(3)) == start)
    }

    @Test func acknowledgementsAreEqualInAllTheirParts() {
        let receipt = Receipt(
            position: .start, outputs: Digest(), time: WallTime(nanoseconds: 1), mac: Digest())
        var other = receipt
        other.time = WallTime(nanoseconds: 2)
        let outcome: [(number: SequenceNumber, bytes: [UInt8])] = [(SequenceNumber(1), [1])]
        let entry = LoggedAcknowledgement(determinants: outcome, receipt: receipt)
        #expect(entry == LoggedAcknowledgement(determinants: outcome, receipt: receipt))
        #expect(Set([entry, LoggedAcknowledgement(determinants: outcome, receipt: receipt)]).count == 1)
        for different in [
            LoggedAcknowledgement(determinants: outcome, receipt: other),
            LoggedAcknowledgement(determinants: outcome, receipt: receipt, supersedes: SequenceNumber(1)),
            LoggedAcknowledgement(determinants: [], receipt: receipt),
            LoggedAcknowledgement(determinants: [(SequenceNumber(1), [2])], receipt: receipt),
            LoggedAcknowledgement(determinants: [(SequenceNumber(2), [1])], receipt: receipt),
        ] {
            #expect(entry != different)
        }
    }
}
