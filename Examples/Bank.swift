public import Recall

/// What the bank needs of the outside world. The server has a real one; clients need none.
public protocol Gateway: Sendable {
    /// Sends money and returns the bank's receipt. Asked twice under one key it sends once, and returns the same
    /// receipt.
    func wire(_ amount: Int, to iban: String, idempotencyKey: String) async throws -> String
}

/// An account: an effect that must not happen twice, refusals that the caller can catch, and an invariant.
public struct Bank: Session {
    /// Stored properties are there for effects, on servers only.
    public let gateway: any Gateway

    /// In cents.
    public struct State: SessionState {
        public internal(set) var balance = 0
        public internal(set) var receipts: [String] = []

        public init() {}

        // Never false unless memory or code is broken; then this copy is deleted and rebuilt from the client's log.
        public var isConsistent: Bool { balance >= 0 && balance <= Bank.ceiling }
    }

    /// `send` throws these as they are: `catch Bank.Refusal.insufficient(let missing)`.
    public enum Refusal: Error, Codable, Equatable {
        case insufficient(missing: Int)
        case notPositive
        case tooMuch(limit: Int)
    }

    /// The most that an account holds; far from where integers end, so sums cannot overflow.
    public static let ceiling = 1_000_000_000_000

    public struct Deposit: UpdateMessage {
        public var amount: Int

        public init(amount: Int) { self.amount = amount }

        public func validate(against account: State) throws(Refusal) {
            guard amount > 0 else { throw .notPositive }
            guard amount <= Bank.ceiling - account.balance else {
                throw .tooMuch(limit: Bank.ceiling - account.balance)
            }
        }

        public func update(_ account: inout State) { account.balance += amount }
    }

    /// `validate`, then `perform` once, then `update` with its outcome. A replay reads the outcome from the client's
    /// log and runs `update` alone: no money moves again.
    public struct Transfer: EffectMessage {
        public var amount: Int, iban: String

        public init(amount: Int, to iban: String) {
            self.amount = amount
            self.iban = iban
        }

        public func validate(against account: State) throws(Refusal) {
            guard amount > 0 else { throw .notPositive }
            guard amount <= account.balance else { throw .insufficient(missing: amount - account.balance) }
        }

        public func perform(on account: State, in context: EffectContext<Bank>) async throws -> String {
            try await context.host.gateway.wire(amount, to: iban, idempotencyKey: context.idempotencyKey)
        }

        public func update(_ account: inout State, outcome receipt: String) -> String {
            account.balance -= amount
            account.receipts.append(receipt)
            return receipt
        }
    }

    public struct Balance: RequestMessage {
        public init() {}
        public func reply(from account: State) -> Int { account.balance }
    }

    public static let kind = SessionKind<Bank>("bank", [1: Deposit.self, 2: Transfer.self, 3: Balance.self])

    public init(gateway: any Gateway) { self.gateway = gateway }
}
