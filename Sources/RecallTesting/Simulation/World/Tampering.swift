internal import NIOCore

/// What a peer that is not quite right, or a wire without TLS, does to a frame, and the other side must notice.
enum Tampering {
    private static let confirmation: UInt8 = 0x05
    private static let acknowledgement: UInt8 = 0x44
    private static let offer: UInt8 = 0x48
    /// Behind the length, the type, the stream and the fields of fixed size, by `docs/protocol.md`.
    private static let items = 129, offeredNumber = 20, adoptFlag = 129, confirmedSeal = 17

    /// Alters the first frame that has what is to be altered; nil if none has.
    static func alter(_ fault: SimulationFault, in bytes: ByteBuffer, bit: UInt64) -> ByteBuffer? {
        var all = Array(bytes.readableBytesView)
        var start = 0
        while start + 5 <= all.count {
            let end = start + 4 + integer(all, at: start)
            guard end <= all.count else { return nil }
            let place: Int? =
                switch (fault, all[start + 4]) {
                case (.alterDeterminants, acknowledgement): determinants(all, start, end, bit)
                case (.alterConfirmation, confirmation): start + confirmedSeal + Int(bit / 8 % 32)
                case (.alterOffer, offer) where start + adoptFlag < end && all[start + adoptFlag] == 0:
                    start + offeredNumber
                default: nil
                }
            if let place {
                all[place] ^= 1 << UInt8(bit % 8)
                return ByteBuffer(bytes: all)
            }
            start = end
        }
        return nil
    }

    private static func integer(_ bytes: [UInt8], at place: Int) -> Int {
        bytes[place..<(place + 4)].reduce(0) { $0 << 8 | Int($1) }
    }

    /// A byte of the first determinants that are not empty.
    private static func determinants(_ bytes: [UInt8], _ start: Int, _ end: Int, _ bit: UInt64) -> Int? {
        var place = start + items
        while place + 8 <= end {
            let count = integer(bytes, at: place + 4)
            if count > 0 { return place + 8 + Int(bit / 8 % UInt64(count)) }
            place += 8 + count
            guard place + 4 <= end else { return nil }
            place += 4 + integer(bytes, at: place)
        }
        return nil
    }
}
