import FoundationEssentials
import Recall
import RecallCore
import RecallTesting
import Testing

struct Point: BinaryCodable, Equatable {
    var x: Int32, y: Int32
    init(x: Int32, y: Int32) { (self.x, self.y) = (x, y) }
    init(reading reader: inout ByteReader) throws(WireError) { (x, y) = (try reader.integer(), try reader.integer()) }
    func write(to writer: inout ByteWriter) {
        writer.integer(x)
        writer.integer(y)
    }
}

/// A kind whose state, message, outcome, reply and rejection all write their own bytes.
struct Plane: Session {
    struct State: SessionState, BinaryCodable, Equatable {
        var at = Point(x: 0, y: 0)
        init() {}
        init(reading reader: inout ByteReader) throws(WireError) { at = try Point(reading: &reader) }
        func write(to writer: inout ByteWriter) { at.write(to: &writer) }
    }
    struct Off: Error, BinaryCodable, Equatable {
        var by: Int32
        init(by: Int32) { self.by = by }
        init(reading reader: inout ByteReader) throws(WireError) { by = try reader.integer() }
        func write(to writer: inout ByteWriter) { writer.integer(by) }
    }
    struct Move: EffectMessage, BinaryCodable {
        var to: Point
        init(to: Point) { self.to = to }
        init(reading reader: inout ByteReader) throws(WireError) { to = try Point(reading: &reader) }
        func write(to writer: inout ByteWriter) { to.write(to: &writer) }

        func validate(against plane: State) throws(Off) { if to.x < 0 { throw Off(by: -to.x) } }
        func perform(on plane: State, in context: EffectContext<Plane>) async throws -> Point { to }
        func update(_ plane: inout State, outcome: Point) -> Point {
            plane.at = outcome
            return plane.at
        }
    }
    static let kind = SessionKind<Plane>("plane", [1: Move.self])
}

@Suite struct CodecTests {
    func json(_ value: some Encodable) throws -> String {
        var writer = ByteWriter()
        try JSONCodec().encode(value, to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    func value<T: Decodable>(_ text: String, as type: T.Type = T.self) throws -> T {
        let bytes = Array(text.utf8)
        return try JSONCodec().decode(type, from: bytes.span.bytes)
    }

    @Test func keysAreSortedByTheirBytes() throws {
        let values = ["a10": 1, "a9": 2, "B": 3, "a": 4, "_": 5, "é": 6, "Z/": 7, "aa": 8]
        #expect(try json(values) == #"{"B":3,"Z/":7,"_":5,"a":4,"a10":1,"a9":2,"aa":8,"é":6}"#)
        #expect(try json([10: 1, 9: 2, -1: 3]) == #"{"-1":3,"10":1,"9":2}"#)
        let many = Dictionary(uniqueKeysWithValues: (0..<500).map { ("\($0)", $0) })
        let sorted = many.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        #expect(try json(many) == "{" + sorted.map { "\"\($0)\":\($0)" }.joined(separator: ",") + "}")
    }

    @Test func floatsArePinned() throws {
        #expect(
            try json([0.1, -0.0, 1e100, 1e-7, 1.0 / 3, 5, .infinity, -.infinity, .nan])
                == #"[0.1,-0,1e+100,1e-07,0.3333333333333333,5,"inf","-inf","nan"]"#)
        #expect(
            try json([Float(0.1), .greatestFiniteMagnitude, .leastNonzeroMagnitude]) == "[0.1,3.4028235e+38,1e-45]")
        #expect(try json([Date(timeIntervalSinceReferenceDate: 0.1)]) == "[0.1]")
    }

    @Test func floatsComeBackBitByBit() throws {
        var random = SeededGenerator(seed: 0xf10a7)
        var doubles: [Double] = [0, -0.0, .pi, .ulpOfOne, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .infinity]
        doubles += (0..<2000).map { _ in Double(bitPattern: random.next()) }.filter { !$0.isNaN }
        let back: [Double] = try value(try json(doubles))
        #expect(back.map(\.bitPattern) == doubles.map(\.bitPattern))
        #expect(try value(#"["nan"]"#, as: [Double].self).first?.isNaN == true)
    }

    @Test func fragmentsAndWrongTypes() throws {
        #expect(try json(7) == "7")
        #expect(try json(Optional<Int>.none) == "null")
        #expect(try value("7", as: Int.self) == 7)
        for text in ["", "7 8", "nul", "[", "\"\u{0}", "1e999", "{\"a\":1}"] {
            #expect(throws: (any Error).self) { try value(text, as: Int.self) }
        }
    }

    @Test func deepNestingIsAnError() {
        indirect enum Tree: Codable { case node(Tree), leaf }
        let deep = String(repeating: #"{"node":{"_0":"#, count: 100_000)
        #expect(throws: (any Error).self) { try value(deep, as: Tree.self) }
        #expect(throws: (any Error).self) { try value(String(repeating: "[", count: 1_000_000), as: [Int].self) }
    }

    @Test func binaryTypesWriteTheirOwnBytesEverywhere() async throws {
        let plane = Harness(Plane()), to = Point(x: 1, y: -2), bytes: [UInt8] = [0, 0, 0, 1, 255, 255, 255, 254]
        #expect(try plane.content(Plane.Move(to: to)) == [1] + bytes)
        #expect(try await plane.send(Plane.Move(to: to)) == to)
        #expect(plane.log == [.init(content: [1] + bytes, determinants: .init(ending: .outcome(bytes)), reply: bytes)])
        #expect(try plane.state == bytes)
        #expect(try plane.replay().state == bytes)
        await #expect(throws: Plane.Off(by: 3)) { try await plane.send(Plane.Move(to: Point(x: -3, y: 0))) }
        #expect(plane.written == [0, 0, 0, 3])
    }

    @Test func binaryTypesInsistOnAllBytes() throws {
        let plane = Harness(Plane())
        for count in [0, 7, 9, 100] {
            guard case .failed(.undecodable, _) = plane.apply(raw: [1] + [UInt8](repeating: 0, count: count)) else {
                Issue.record("\(count) bytes were taken for a point")
                continue
            }
            let state = [UInt8](repeating: 0, count: count)
            #expect(throws: RecallError.self) { try plane.hosted.restoreState(state.span.bytes) }
        }
    }
}
