/// Reads a fuzzer's input as a script: what to do, and with what. Past its end everything is zero.
struct Script {
    private let bytes: [UInt8]
    private var next = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isOver: Bool { next >= bytes.count }

    mutating func byte() -> UInt8 {
        guard next < bytes.count else { return 0 }
        defer { next += 1 }
        return bytes[next]
    }

    /// 0 to `bound` - 1.
    mutating func number(below bound: Int) -> Int { bound < 2 ? 0 : Int(byte()) % bound }

    mutating func flag() -> Bool { byte() & 1 == 1 }

    /// So many bytes as one byte says.
    mutating func string() -> [UInt8] {
        let count = min(Int(byte()), bytes.count - next)
        defer { next += count }
        return Array(bytes[next..<(next + count)])
    }

    mutating func integer() -> Int { (0..<4).reduce(0) { value, _ in value << 8 | Int(byte()) } }

    /// Changes bytes at places that the script names; none, as a rule.
    mutating func spoil(_ body: inout [UInt8]) {
        for _ in 0..<number(below: 4) where !body.isEmpty {
            switch number(below: 4) {
            case 0: body[integer() % body.count] ^= 1 << UInt8(number(below: 8))
            case 1: body[integer() % body.count] = byte()
            case 2: body.removeLast(integer() % body.count)
            default: body.insert(contentsOf: string(), at: integer() % body.count)
            }
        }
    }
}
