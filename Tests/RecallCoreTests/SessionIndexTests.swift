import RecallCrypto
import RecallTesting
import Testing

@testable import RecallCore

/// Against a dictionary, through growth and removal in any order.
@Suite struct SessionIndexTests {
    @Test(arguments: 1...20) func itFindsWhatADictionaryFinds(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var index = SessionIndex(), places: [SessionPlace?] = [], free: [Int] = []
        var expected: [SessionID: Int] = [:]
        for step in 0..<4000 {
            let session = SessionID(high: 1, low: random.next() % 600)
            // It grows, shrinks to nothing, and grows again.
            let grows = step / 1000 % 2 == 0 ? 3 : 1
            if let number = expected[session] {
                guard random.next() % 4 >= grows, let place = places[number] else { continue }
                index.remove(place, in: places)
                places[number] = nil
                free.append(number)
                expected[session] = nil
            } else if random.next() % 4 < grows {
                let number = free.popLast() ?? places.count
                if number == places.count { places.append(nil) }
                let place = Self.place(session, number)
                places[number] = place
                index.insert(place, in: places)
                expected[session] = number
            }
            #expect(index.count == expected.count)
        }
        for low in 0..<600 as Range<UInt64> {
            let session = SessionID(high: 1, low: low)
            #expect(index.place(of: session, in: places)?.id.index == expected[session])
        }
        for (session, number) in expected {
            guard let place = places[number] else { continue }
            index.remove(place, in: places)
            #expect(index.place(of: session, in: places) == nil)
        }
        #expect(index.count == 0)
    }

    private static func place(_ session: SessionID, _ number: Int) -> SessionPlace {
        let identity = SessionIdentity(session: session, kindName: [1], principal: nil, .swiftCrypto)
        return SessionPlace(
            id: SlotID(number), identity: identity, kind: 0, incarnation: Incarnation(1), now: Instant(nanoseconds: 0))
    }
}
