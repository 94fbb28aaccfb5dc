public import RecallCore

/// What went wrong, when it was not the message's own rejection (that is thrown as itself).
public struct RecallError: Error, Sendable {
    /// Numbered; `docs/errors.md` says for each what to do.
    public typealias Code = FaultCode

    public var code: Code
    /// One sentence for a person, naming positions, files or limits where there are any.
    public var message: String
    /// The error below this one, if any.
    public var cause: (any Error)?
    /// True if the same attempt may succeed later without anything changing here.
    public var isRetryable: Bool { code.isRetryable }

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }
}

extension RecallError: CustomStringConvertible {
    public var description: String {
        "\(code): \(message)" + (cause.map { " (\($0))" } ?? "")
    }
}
