internal import Recall

/// The simulation's own kind of session: counters, accounts, text, clocks and effects in one state, which remembers
/// every update that it ever saw, so that nothing can be lost, doubled or reordered unseen.
struct SimulatedSession<Terms: SimulatedTerms>: Session {
    typealias State = SimulatedState

    /// The world outside, as far as this server reaches it.
    let outside: OutsideDoor

    static var kind: SessionKind<Self> { Terms.kind }
}

/// What tells the simulation's kinds apart: their names, bounds, and what they do with a log that fell behind.
protocol SimulatedTerms: Sendable {
    static var kind: SessionKind<SimulatedSession<Self>> { get }
}

enum AdoptingTerms: SimulatedTerms {
    static let kind = make(Self.self, "adopting", whenBehind: .adopt, checkpointBytes: 600)
}

enum RefusingTerms: SimulatedTerms {
    static let kind = make(Self.self, "refusing", whenBehind: .refuse, checkpointBytes: 8000)
}

/// The same name with other code, which some servers do not host.
enum NextTerms: SimulatedTerms {
    static let kind = make(Self.self, "adopting", version: 2, whenBehind: .adopt, checkpointBytes: 600)
}

private func make<Terms: SimulatedTerms>(
    _ terms: Terms.Type, _ name: String, version: UInt32 = 1, whenBehind: WhenBehind, checkpointBytes: Int
) -> SessionKind<SimulatedSession<Terms>> {
    SessionKind(
        name, version: version,
        limits: SessionLimits(
            checkpoints: CheckpointBounds(
                minimumBytes: checkpointBytes, growthFactor: 1, maximumMessages: 300,
                // Virtual time stands still while an update is applied.
                maximumReplayTime: .seconds(1), refusalFactor: 8)),
        whenBehind: whenBehind,
        [1: Change.self, 2: QuietChange.self, 3: Stamp.self, 4: Pay<Terms>.self, 5: Look.self, 6: Inspect.self])
}

/// What a session remembers.
struct SimulatedState: SessionState, BinaryCodable, Equatable {
    struct Stamped: BinaryCodable, Hashable {
        var id: UInt32
        /// Nanoseconds since 1970, and a random number.
        var time: Int64
        var random: UInt64
    }
    struct Paid: BinaryCodable, Hashable {
        var id: UInt32
        var outcome: String
    }

    /// Every update that took effect, in order.
    var ids: [UInt32] = []
    var total: Int64 = 0
    var accounts: [Int64] = [100, 100, 100, 100]
    var text: [UInt8] = []
    /// What a read shows of the text beside its length: its first, middle and last byte.
    var sum: Int { text.isEmpty ? 0 : Int(text[0]) + Int(text[text.count / 2]) + Int(text[text.count - 1]) }
    var stamps: [Stamped] = []
    var payments: [Paid] = []
    var isSpoilt = false

    init() {}

    var isConsistent: Bool { !isSpoilt && accounts.count == 4 && accounts.reduce(0, +) == 400 }
}

/// What an update does.
enum Operation: Codable, Hashable, Sendable {
    case add(Int64)
    /// Refused if there is not enough.
    case move(from: UInt8, to: UInt8, amount: Int64)
    case insert(at: UInt32, [UInt8])
    case remove(at: UInt32, count: UInt32)
    /// Kills the process that applies it.
    case kill
    /// Leaves a state that is not consistent.
    case spoil
}

enum SimulatedRefusal: Error, Codable, Hashable, Sendable {
    case insufficient(missing: Int64)
    case declined
}

/// What an update that changes something shows.
struct Answer: BinaryCodable, Hashable {
    /// Updates that took effect, this one included.
    var count: UInt32
    var value: Int64

    init(count: UInt32, value: Int64) { (self.count, self.value) = (count, value) }

    func write(to writer: inout ByteWriter) {
        writer.integer(count)
        writer.integer(value)
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        count = try reader.integer()
        value = try reader.integer()
    }
}

/// What a read shows.
struct View: BinaryCodable, Hashable {
    var count: Int
    var total: Int64
    var accounts: [Int64]
    var length: Int
    var sum: Int
    var payments: Int
}

extension SimulatedState {
    func write(to writer: inout ByteWriter) {
        writer.integer(UInt32(ids.count))
        for id in ids { writer.integer(id) }
        writer.integer(total)
        for account in accounts { writer.integer(account) }
        writer.block(text.span.bytes)
        writer.integer(UInt32(stamps.count))
        for stamp in stamps { stamp.write(to: &writer) }
        writer.integer(UInt32(payments.count))
        for payment in payments { payment.write(to: &writer) }
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        for _ in 0..<(try reader.integer(UInt32.self)) { ids.append(try reader.integer()) }
        total = try reader.integer()
        for index in 0..<4 { accounts[index] = try reader.integer() }
        text = try reader.block(limit: 64 << 20).array
        for _ in 0..<(try reader.integer(UInt32.self)) {
            stamps.append(try Stamped(reading: &reader))
        }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            payments.append(try Paid(reading: &reader))
        }
    }

    func check(_ operation: Operation) throws(SimulatedRefusal) {
        guard case .move(let from, _, let amount) = operation else { return }
        let balance = accounts[Int(from) & 3]
        if balance < amount { throw .insufficient(missing: amount - balance) }
    }

    mutating func perform(_ operation: Operation, id: UInt32) -> Answer {
        ids.append(id)
        let value: Int64
        switch operation {
        case .add(let amount):
            total &+= amount
            value = total
        case .move(let from, let to, let amount):
            accounts[Int(from) & 3] -= amount
            accounts[Int(to) & 3] += amount
            value = accounts[Int(to) & 3]
        case .insert(let place, let bytes):
            text.insert(contentsOf: bytes, at: Int(place) % (text.count + 1))
            value = Int64(text.count)
        case .remove(let place, let count):
            let start = Int(place) % (text.count + 1)
            let end = min(text.count, start + Int(count))
            text.removeSubrange(start..<end)
            value = Int64(text.count)
        case .kill: value = 0
        case .spoil:
            isSpoilt = true
            value = 0
        }
        return Answer(count: UInt32(ids.count), value: value)
    }
}

extension SimulatedState.Stamped {
    func write(to writer: inout ByteWriter) {
        writer.integer(id)
        writer.integer(time)
        writer.integer(random)
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        (id, time, random) = (try reader.integer(), try reader.integer(), try reader.integer())
    }
}

extension SimulatedState.Paid {
    func write(to writer: inout ByteWriter) {
        writer.integer(id)
        writer.string(outcome)
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        (id, outcome) = (try reader.integer(), try reader.string())
    }
}

extension View {
    func write(to writer: inout ByteWriter) {
        for number in [Int64(count), total] + accounts + [Int64(length), Int64(sum), Int64(payments)] {
            writer.integer(number)
        }
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        var numbers: [Int64] = []
        for _ in 0..<9 { numbers.append(try reader.integer()) }
        self.init(
            count: Int(numbers[0]), total: numbers[1], accounts: Array(numbers[2..<6]), length: Int(numbers[6]),
            sum: Int(numbers[7]), payments: Int(numbers[8]))
    }
}
