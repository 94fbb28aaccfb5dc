internal import NIOCore

/// One direction of a simulated connection: bytes in order, after a while, cut anywhere; until it is severed.
///
/// Confined to the simulation's thread.
final class ByteStream: @unchecked Sendable {
    private static let high = 4 << 20
    private static let low = 1 << 20

    private let timeline: Timeline
    private let sender: SimulatedProcess
    private let receiver: SimulatedProcess
    private var random: SeededGenerator
    /// Nanoseconds that bytes are under way at least, and at most so much longer.
    private let latency: Int64, jitter: Int64
    private var lastArrival: Int64 = 0
    /// Nothing arrives before.
    private var stalledUntil: Int64 = 0

    /// Nothing sent arrives any more.
    private(set) var isSevered = false
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
    /// Sees what is sent.
    var tap: (ByteBuffer) -> Void = { _ in }

    init(
        _ timeline: Timeline, from sender: SimulatedProcess, to receiver: SimulatedProcess, latency: Int64,
        jitter: Int64, seed: UInt64
    ) {
        (self.timeline, self.sender, self.receiver) = (timeline, sender, receiver)
        (self.latency, self.jitter, random) = (latency, max(1, jitter), SeededGenerator(seed: seed))
    }

    // MARK: The sender's side

    func send(_ bytes: ByteBuffer) {
        guard !isSevered, !isClosedBySender, !sender.isDead, bytes.readableBytes > 0 else { return }
        tap(bytes)
        underWay += bytes.readableBytes
        if underWay > Self.high, isWritable {
            isWritable = false
            writabilityChanged(false)
        }
        var rest = bytes
        while rest.readableBytes > 1, random.chance(8) {
            let count = Int.random(in: 1..<rest.readableBytes, using: &random)
            if let piece = rest.readSlice(length: count) { ship(piece) }
        }
        ship(rest)
    }

    /// Bytes that the sender did not send now.
    func inject(_ bytes: [UInt8]) {
        guard !isSevered, !isClosedBySender, !sender.isDead else { return }
        ship(ByteBuffer(bytes: bytes))
    }

    private func ship(_ bytes: ByteBuffer) {
        timeline.at(nextArrival(), in: receiver) { [self] in
            guard !isSevered, isReceiving, !receiver.isDead else { return }
            arrived.append(bytes)
            deliver()
        }
    }

    private func nextArrival() -> Int64 {
        let delay = latency + Int64(random.next() % UInt64(jitter))
        lastArrival = max(lastArrival + 1, timeline.now + delay, stalledUntil)
        return lastArrival
    }

    /// The sender says nothing more; the receiver is told behind what was sent.
    func closeBySender() {
        guard !isClosedBySender, !sender.isDead else { return }
        isClosedBySender = true
        writabilityChanged = { _ in }
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

    /// What is under way comes late, all at once.
    func stall(until time: Int64) { stalledUntil = max(stalledUntil, time) }

    /// The process at this end died: whoever is at the other end of the connection hears of it.
    func stopReceiving() { (isReceiving, arrived) = (false, []) }

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
            stopReceiving()
            let ended = ended
            forget()
            ended()
        }
    }

    private func wasTaken(_ count: Int) {
        underWay -= count
        guard !isWritable, underWay < Self.low else { return }
        isWritable = true
        if !sender.isDead { writabilityChanged(true) }
    }

    /// The receiver wants nothing more.
    func closeByReceiver() {
        stopReceiving()
        forget()
    }

    private func forget() { (receive, batchEnded, ended, mayRead) = ({ _ in }, {}, {}, { true }) }
}
