/// The numbered messages of a kind, written as a dictionary: `[1: Deposit.self, 2: Balance.self]`.
///
/// Unlike a dictionary it keeps a number or a type that was listed twice, so that the mistake is reported when the kind
/// is hosted or opened (`misconfigured`) and does not end the process.
public struct MessageList<State: SessionState>: ExpressibleByDictionaryLiteral, Sendable {
    package let elements: [(number: UInt8, type: any Message<State>.Type)]

    public init(dictionaryLiteral elements: (UInt8, any Message<State>.Type)...) {
        self.elements = elements.map { (number: $0.0, type: $0.1) }
    }

    /// A list made at run time.
    public init(_ elements: [(UInt8, any Message<State>.Type)]) {
        self.elements = elements.map { (number: $0.0, type: $0.1) }
    }

    /// The first number that is listed twice.
    var repeatedNumber: UInt8? {
        var seen: Set<UInt8> = []
        return elements.first { !seen.insert($0.number).inserted }?.number
    }

    /// The first type that is listed twice.
    var repeatedType: (any Message<State>.Type)? {
        var seen: Set<ObjectIdentifier> = []
        return elements.first { !seen.insert(ObjectIdentifier($0.type)).inserted }?.type
    }
}
