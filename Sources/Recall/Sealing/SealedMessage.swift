public import RecallCore

/// One update of a session under its seal: a link of the chain.
///
/// From here the whole sequence before it can be reached: `previous` either carries the message or fetches it when
/// asked.
public struct SealedMessage: Sendable {
    /// How the message before this one is reached.
    public enum Previous: Sendable {
        /// This is the first message of its history: of the session, or after a checkpoint.
        case none
        /// It lies here.
        indirect case carried(SealedMessage)
        /// It is asked for when needed, of the client's log for instance.
        case onRequest(@Sendable () async throws -> SealedMessage?)
    }

    /// Its number in the session, from 1.
    public let number: SequenceNumber
    /// SHA-256 keyed by the session's vector, over its content, its number and the seal before it.
    public let seal: Digest
    /// Its number in the kind (1 byte) and its encoded fields.
    public let content: [UInt8]
    /// What it took from outside when it was applied, encoded; empty if nothing, or if it is not acknowledged yet.
    public let determinants: [UInt8]
    public let previous: Previous

    public init(
        number: SequenceNumber, seal: Digest, content: [UInt8], determinants: [UInt8] = [], previous: Previous
    ) {
        self.number = number
        self.seal = seal
        self.content = content
        self.determinants = determinants
        self.previous = previous
    }

    /// The message before this one; nil at the beginning. Throws what fetching it throws.
    public func previousMessage() async throws -> SealedMessage? {
        switch previous {
        case .none: nil
        case .carried(let message): message
        case .onRequest(let fetch): try await fetch()
        }
    }
}
