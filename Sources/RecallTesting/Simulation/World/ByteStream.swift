internal import NIOCore

/// One direction of a simulated connection: bytes in order, after a while, cut anywhere; until it is severed.
///
/// Confined to the simulation's thread.
final class ByteStream: @unchecked Sendable {
    private let timeline: Timeline
    private let sender: SimulatedProcess
    private let receiver: SimulatedProcess
    private var random: SeededGenerator
    private let weather: Weather?
    private let high: Int, low: Int
    /// Nanoseconds that bytes are under way at least, and at most so much longer.
    private let latency: Int64, jitter: Int64
    private var lastArrival: Int64 = 0
    /// Nothing arrives before.
    private var stalledUntil: Int64 = 0
    /// Told of the first bytes that are held up.
    private var onStall: (() -> Void)?

    /// Nothing sent arrives any more.
    private(set) var isSevered = false
    /// Nothing that is sent from now on arrives.
    private var isBroken = false
    /// What waits to arrive with what is sent next, and of how many pieces it is.
    private var gathered: (bytes: ByteBuffer, pieces: Int)?
    private var isClosedBySender = false
    private var arrived: [ByteBuffer] = []
    private var hasEnded = false
    private var isDelivering = false
    private var isReceiving = true
    private var underWay = 0
    private(set) var isWritable = true

    var receive: (ByteBuffer) -> Void = { _ in }
    var batchEnded: () -> Void = {}
    var ended: () -> Void = {}
    var mayRead: () -> Bool = { true }
    var writabilityChanged: (Bool) -> Void = { _ in }
    /// Sees what is sent; true if there is an acknowledgement in it.
    var tap: (ByteBuffer) -> Bool = { _ in false }
    /// Alters what is sent.
    var tamper: ((ByteBuffer) -> ByteBuffer)?
    /// The connection is to break here: whoever sends is to hear of it.
    var breaks: () -> Void = {}
    /// The client is to leave the connection, with what it sent still under way. Nil if it is not the client's stream.
    var isLeft: (() -> Void)?

    init(
        _ timeline: Timeline, from sender: SimulatedProcess, to receiver: SimulatedProcess, latency: Int64,
        jitter: Int64, seed: UInt64, weather: Weather?
    ) {
        (self.timeline, self.sender, self.receiver) = (timeline, sender, receiver)
        (self.latency, self.jitter, random) = (latency, max(1, jitter), SeededGenerator(seed: seed))
        self.weather = weather
        high = weather?.bufferBytes ?? Weather.ampleBytes
        low = high / 4
    }

    // MARK: The sender's side

    func send(_ bytes: ByteBuffer) {
        guard !isSevered, !isClosedBySender, !sender.isDead, bytes.readableBytes > 0 else { return }
        let isAcknowledgement = tap(bytes)
        guard !isBroken else { return }
        let bytes = tamper?(bytes) ?? bytes
        underWay += bytes.readableBytes
        if underWay > high, isWritable {
            isWritable = false
            if high < Weather.ampleBytes { weather?.count(.fullBuffer) }
            writabilityChanged(false)
        }
        guard let weather else { return ship(bytes) }
        if gathered != nil {
            gathered?.bytes.writeImmutableBuffer(bytes)
            gathered?.pieces += 1
        } else if weather.strikes(.mergeDeliveries) {
            gathered = (bytes, 1)
            timeline.after(weather.delay()) { [self] in shipGathered() }
        } else {
            send(bytes, isAcknowledgement, in: weather)
        }
    }

    private func send(_ bytes: ByteBuffer, _ isAcknowledgement: Bool, in weather: Weather) {
        if weather.strikes(.cutInFrame) { return lose(bytes, in: weather) }
        if let isLeft, weather.strikes(.lateDelivery) {
            stall(until: timeline.now + latency + weather.delay())
            ship(bytes, as: .lateDelivery)
            return isLeft()
        }
        var rest = bytes
        if weather.strikes(.trickleDelivery), bytes.readableBytes > 2 {
            // A long one would take as many events as it has bytes.
            for _ in 0..<32 where rest.readableBytes > 1 {
                if let piece = rest.readSlice(length: 1) { ship(piece) }
            }
            return ship(rest, as: .trickleDelivery)
        }
        let held: AmbientFault = isAcknowledgement ? .holdAcknowledgement : .delayDelivery
        let isHeld = weather.strikes(held)
        let late = isHeld ? weather.delay() : 0
        guard bytes.readableBytes > 1, weather.strikes(.splitDelivery),
            let piece = rest.readSlice(length: 1 + weather.draw(below: bytes.readableBytes - 1))
        else { return ship(bytes, as: isHeld ? held : nil, late: late) }
        // It is the first part that comes late, or only the rest.
        let isFirst = weather.draw(below: 2) == 0
        ship(piece, as: isHeld && isFirst ? held : nil, late: isFirst ? late : 0)
        ship(rest, as: isHeld && !isFirst ? held : nil, late: isFirst ? 0 : late, isRest: true)
    }

    /// A beginning arrives, perhaps, and nothing behind it.
    private func lose(_ bytes: ByteBuffer, in weather: Weather) {
        var bytes = bytes
        weather.count(.cutInFrame)
        if let piece = bytes.readSlice(length: weather.draw(below: bytes.readableBytes)), piece.readableBytes > 0 {
            ship(piece)
        }
        isBroken = true
        timeline.at(nextArrival(), in: receiver) { [self] in
            if !isSevered { end() }
        }
        breaks()
    }

    private func shipGathered() {
        guard let (bytes, pieces) = gathered else { return }
        gathered = nil
        ship(bytes, as: pieces > 1 ? .mergeDeliveries : nil)
    }

    /// Bytes that the sender did not send now. False if nothing arrives any more.
    func inject(_ bytes: [UInt8]) -> Bool {
        guard !isSevered, !isBroken, !isClosedBySender, !sender.isDead else { return false }
        shipGathered()
        underWay += bytes.count
        ship(ByteBuffer(bytes: bytes))
        return true
    }

    /// - Parameters:
    ///   - fault: counted if it comes to that.
    ///   - late: nanoseconds beside those that it takes.
    ///   - isRest: the bytes are the last of those that were sent at once.
    private func ship(_ bytes: ByteBuffer, as fault: AmbientFault? = nil, late: Int64 = 0, isRest: Bool = false) {
        let due = nextArrival()
        lastArrival += late
        timeline.at(due + late, in: receiver) { [self] in
            guard !isSevered, isReceiving, !receiver.isDead else { return }
            if let fault { count(fault, due: due) }
            if isRest { weather?.count(.splitDelivery) }
            arrived.append(bytes)
            deliver()
        }
    }

    private func count(_ fault: AmbientFault, due: Int64) {
        switch fault {
        case .delayDelivery, .holdAcknowledgement: weather?.count(fault, due: due, in: receiver)
        case .lateDelivery: if isClosedBySender { weather?.count(fault) }
        default: weather?.count(fault)
        }
    }

    private func nextArrival() -> Int64 {
        let delay = latency + Int64(random.next() % UInt64(jitter))
        let arrival = max(lastArrival + 1, timeline.now + delay)
        lastArrival = max(arrival, stalledUntil)
        if arrival < stalledUntil, let onStall {
            self.onStall = nil
            onStall()
        }
        return lastArrival
    }

    /// The sender says nothing more; the receiver is told behind what was sent.
    func closeBySender() {
        guard !isClosedBySender, !sender.isDead else { return }
        shipGathered()
        isClosedBySender = true
        writabilityChanged = { _ in }
        guard !isBroken else { return }
        timeline.at(nextArrival(), in: receiver) { [self] in
            if !isSevered { end() }
        }
    }

    // MARK: Faults

    /// What is under way and what is sent from now on is lost. The receiver is told after a while, or never.
    func sever(tellsAfter delay: Int64?) {
        isSevered = true
        guard let delay else { return }
        timeline.after(delay, in: receiver) { [self] in end() }
    }

    /// What is sent from now on comes late, all at once.
    ///
    /// - Parameter onStall: told if anything is.
    func stall(until time: Int64, _ onStall: (() -> Void)? = nil) {
        stalledUntil = max(stalledUntil, time)
        if let onStall { self.onStall = onStall }
    }

    /// Something that was sent waits for a stall to end.
    var isHoldingUp: Bool { stalledUntil > timeline.now && lastArrival >= stalledUntil }

    /// This end's process died, or closed the connection: nothing more is handed to it. The other end is not told here.
    func stopReceiving() {
        (isReceiving, arrived) = (false, [])
        forget()
    }

    // MARK: The receiver's side

    private func end() {
        guard isReceiving, !receiver.isDead else { return }
        hasEnded = true
        deliver()
    }

    /// Hands over what arrived, as far as it is wanted.
    func deliver() {
        guard isReceiving, !isDelivering else { return }
        isDelivering = true
        var taken = 0
        while !arrived.isEmpty, isReceiving, mayRead() {
            let bytes = arrived.removeFirst()
            taken += bytes.readableBytes
            receive(bytes)
        }
        if taken > 0, isReceiving { batchEnded() }
        isDelivering = false
        if taken > 0 { timeline.after(latency, in: sender) { [self, taken] in wasTaken(taken) } }
        if hasEnded, arrived.isEmpty, isReceiving {
            let ended = ended
            stopReceiving()
            ended()
        }
    }

    private func wasTaken(_ count: Int) {
        underWay -= count
        guard !isWritable, underWay < low else { return }
        isWritable = true
        if !sender.isDead { writabilityChanged(true) }
    }

    /// The receiver wants nothing more.
    func closeByReceiver() { stopReceiving() }

    private func forget() { (receive, batchEnded, ended, mayRead) = ({ _ in }, {}, {}, { true }) }
}
