internal import Recall

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// An update whose reply shows what it did. Every update begins with its id, so that an onlooker knows it by its bytes.
struct Change: UpdateMessage, BinaryCodable {
    typealias State = SimulatedState
    typealias Rejection = SimulatedRefusal
    var id: UInt32
    var operation: Operation

    func validate(against state: State) throws(SimulatedRefusal) { try state.check(operation) }
    func update(_ state: inout State) -> Answer { state.perform(operation, id: id) }
}

/// The same without a reply.
struct QuietChange: UpdateMessage, BinaryCodable {
    typealias State = SimulatedState
    typealias Rejection = SimulatedRefusal
    var id: UInt32
    var operation: Operation

    func validate(against state: State) throws(SimulatedRefusal) { try state.check(operation) }
    func update(_ state: inout State) { _ = state.perform(operation, id: id) }
}

/// An update that reads the clock and draws a number.
struct Stamp: ContextualUpdateMessage, BinaryCodable {
    typealias State = SimulatedState
    var id: UInt32

    func update(_ state: inout State, in context: inout UpdateContext) -> SimulatedState.Stamped {
        state.ids.append(id)
        let seconds = context.now.timeIntervalSince1970
        let stamped = State.Stamped(
            id: id, time: Int64(seconds * 1000) * 1_000_000, random: context.random.next())
        state.stamps.append(stamped)
        return stamped
    }

    init(id: UInt32) { self.id = id }
    func write(to writer: inout ByteWriter) { writer.integer(id) }
    init(reading reader: inout ByteReader) throws(WireError) { id = try reader.integer() }
}

/// Pays with money of the first account: outside, once.
struct Pay<Terms: SimulatedTerms>: EffectMessage, BinaryCodable {
    typealias State = SimulatedState
    typealias Rejection = SimulatedRefusal
    var id: UInt32
    var amount: Int64

    func validate(against state: State) throws(SimulatedRefusal) {
        if state.accounts[0] < amount { throw .insufficient(missing: amount - state.accounts[0]) }
    }

    func perform(on state: State, in context: EffectContext<SimulatedSession<Terms>>) async throws -> String {
        try await context.host.outside.pay(id: id, seen: state.ids, key: context.idempotencyKey)
    }

    func update(_ state: inout State, outcome: String) -> SimulatedState.Paid {
        state.ids.append(id)
        state.accounts[0] -= amount
        state.accounts[3] += amount
        let paid = State.Paid(id: id, outcome: outcome)
        state.payments.append(paid)
        return paid
    }

    init(id: UInt32, amount: Int64) { (self.id, self.amount) = (id, amount) }
    func write(to writer: inout ByteWriter) {
        writer.integer(id)
        writer.integer(amount)
    }
    init(reading reader: inout ByteReader) throws(WireError) {
        id = try reader.integer()
        amount = try reader.integer()
    }
}

/// A read that shows a little of everything.
struct Look: RequestMessage {
    typealias State = SimulatedState

    func reply(from state: State) -> View {
        View(
            count: state.ids.count, total: state.total, accounts: state.accounts, length: state.text.count,
            sum: state.sum, payments: state.payments.count)
    }
}

/// A read that shows everything but the text.
struct Inspect: RequestMessage {
    typealias State = SimulatedState

    func reply(from state: State) -> Inspection {
        Inspection(view: Look().reply(from: state), ids: state.ids, stamps: state.stamps, payments: state.payments)
    }
}

struct Inspection: BinaryCodable {
    var view: View
    var ids: [UInt32]
    var stamps: [SimulatedState.Stamped]
    var payments: [SimulatedState.Paid]
}

extension Inspection {
    func write(to writer: inout ByteWriter) {
        view.write(to: &writer)
        writer.integer(UInt32(ids.count))
        for id in ids { writer.integer(id) }
        writer.integer(UInt32(stamps.count))
        for stamp in stamps { stamp.write(to: &writer) }
        writer.integer(UInt32(payments.count))
        for payment in payments { payment.write(to: &writer) }
    }

    init(reading reader: inout ByteReader) throws(WireError) {
        (view, ids, stamps, payments) = (try View(reading: &reader), [], [], [])
        for _ in 0..<(try reader.integer(UInt32.self)) { ids.append(try reader.integer()) }
        for _ in 0..<(try reader.integer(UInt32.self)) { stamps.append(try .init(reading: &reader)) }
        for _ in 0..<(try reader.integer(UInt32.self)) { payments.append(try .init(reading: &reader)) }
    }
}

// MARK: Bytes

extension Change {
    init(id: UInt32, _ operation: Operation) { (self.id, self.operation) = (id, operation) }
    func write(to writer: inout ByteWriter) { operation.write(id, to: &writer) }
    init(reading reader: inout ByteReader) throws(WireError) {
        id = try reader.integer()
        operation = try Operation(reading: &reader)
    }
}

extension QuietChange {
    init(id: UInt32, _ operation: Operation) { (self.id, self.operation) = (id, operation) }
    func write(to writer: inout ByteWriter) { operation.write(id, to: &writer) }
    init(reading reader: inout ByteReader) throws(WireError) {
        id = try reader.integer()
        operation = try Operation(reading: &reader)
    }
}

extension Operation {
    fileprivate func write(_ id: UInt32, to writer: inout ByteWriter) {
        writer.integer(id)
        switch self {
        case .add(let amount):
            writer.integer(UInt8(0))
            writer.integer(amount)
        case .move(let from, let to, let amount):
            writer.integer(UInt8(1))
            writer.integer(from)
            writer.integer(to)
            writer.integer(amount)
        case .insert(let place, let bytes):
            writer.integer(UInt8(2))
            writer.integer(place)
            writer.block(bytes.span.bytes)
        case .remove(let place, let count):
            writer.integer(UInt8(3))
            writer.integer(place)
            writer.integer(count)
        case .kill: writer.integer(UInt8(4))
        case .spoil: writer.integer(UInt8(5))
        }
    }

    fileprivate init(reading reader: inout ByteReader) throws(WireError) {
        switch try reader.integer(UInt8.self) {
        case 0: self = .add(try reader.integer())
        case 1: self = .move(from: try reader.integer(), to: try reader.integer(), amount: try reader.integer())
        case 2: self = .insert(at: try reader.integer(), try reader.block(limit: 1 << 20).array)
        case 3: self = .remove(at: try reader.integer(), count: try reader.integer())
        case 4: self = .kill
        case 5: self = .spoil
        default: throw .malformed
        }
    }
}
