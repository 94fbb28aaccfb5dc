/// What befalls one connection through the proxy, and when.
struct ProxyFault: Sendable {
    enum Kind: Hashable, Sendable {
        case none
        /// Seconds by which each piece comes late, either way.
        case latency(Double)
        /// Both ends are reset in the middle of what passes.
        case cut
        /// One end is closed and the other not told; it hears nothing any more.
        case halfOpen(ProxyLink.Side)
        /// Nothing that comes from this end arrives any more.
        case silence(ProxyLink.Side)
        /// So many bytes arrive one at a time.
        case byByte(Int)
        /// Bytes that nobody sent arrive from this end.
        case garbage(ProxyLink.Side, [UInt8])
    }

    var kind: Kind
    /// Seconds from the connection's beginning.
    var time: Double

    static let none = ProxyFault(kind: .none, time: 0)

    static func draw(_ random: inout SeededGenerator) -> ProxyFault {
        let side: ProxyLink.Side = random.chance(0.5) ? .client : .server
        let kind: Kind =
            switch random.below(100) {
            case ..<15: .none
            case ..<35: .latency(random.logUniform(0.005...0.5))
            case ..<55: .cut
            case ..<65: .halfOpen(side)
            case ..<75: .silence(side)
            case ..<90: .byByte(1 + random.below(4096))
            default: .garbage(side, random.bytes(1 + random.below(200)))
            }
        return ProxyFault(kind: kind, time: random.logUniform(0.002...4))
    }

    /// Its row in the report.
    var row: Item? {
        switch kind {
        case .none: nil
        case .latency: .proxyLatency
        case .cut: .proxyCut
        case .halfOpen: .proxyHalfOpen
        case .silence: .proxySilence
        case .byByte: .proxyByByte
        case .garbage: .proxyGarbage
        }
    }
}

/// Finds where frames begin in a stream of them: each is its length, a `u32`, and so many bytes.
struct FrameBoundaries: Sendable {
    private var header: [UInt8] = []
    private var rest = 0

    /// Takes the next bytes of the stream, and returns the place of the first beginning among them.
    mutating func first(in bytes: some Collection<UInt8>) -> Int? {
        var (found, place): (Int?, Int) = (nil, 0)
        var bytes = bytes[...]
        while !bytes.isEmpty {
            if rest > 0 {
                let count = min(rest, bytes.count)
                bytes = bytes.dropFirst(count)
                rest -= count
                place += count
                continue
            }
            if header.isEmpty, found == nil { found = place }
            if let byte = bytes.popFirst() { header.append(byte) }
            place += 1
            guard header.count == 4 else { continue }
            rest = header.reduce(0) { $0 << 8 | Int($1) }
            header = []
        }
        // Between two frames, what comes next is a beginning.
        return found ?? (rest == 0 && header.isEmpty ? place : nil)
    }
}
