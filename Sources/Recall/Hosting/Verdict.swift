public import RecallCore

/// How a hosted session took a message.
public enum _Verdict: Equatable, Sendable {
    /// The state was updated; the reply's bytes are written.
    case applied
    /// The message's own rejection is written; the state is as before.
    case refused
    /// The request's reply is written; the state is as before.
    case replied
    /// Not applicable: unknown number, undecodable content, the wrong role, over a limit. The state is as before.
    case failed(FaultCode, String)
    /// Validated, and its effect is to be launched; the state is as before.
    case effect
    /// This copy can no longer be trusted, and must be deleted: the invariant is false, or the reply has no bytes
    /// although the update has happened.
    case broken(String)
}

/// How an effect ended without an outcome.
public enum _EffectFailure: Error, Equatable, Sendable {
    /// `perform` threw the message's own rejection; these are its bytes.
    case rejected([UInt8])
    /// It threw something else, or its outcome has no bytes or too many; a description of at most 1,024 bytes.
    case failed(String)
}

extension _Verdict {
    // Out of line: what goes wrong should not swell what is specialised for each message.

    @usableFromInline static func undecodable(_ error: any Error) -> Self {
        .failed(.undecodable, "the message does not decode: \(described(error))")
    }

    @usableFromInline static func unencodable(reply error: any Error) -> Self {
        .failed(.undecodable, "the reply does not encode: \(described(error))")
    }

    @usableFromInline static func brokenReply(_ error: any Error) -> Self {
        .broken("the reply does not encode: \(described(error))")
    }

    @usableFromInline static func badOutcome(_ error: any Error) -> Self {
        .failed(.effectFailed, "the effect's outcome does not decode: \(described(error))")
    }

    @usableFromInline static var inconsistent: Self { .broken("the state's invariant is false after the update") }

    @usableFromInline static func refusal<R: Error & Codable>(
        _ rejection: R, by coder: Coder<R>, into writer: inout ByteWriter
    ) -> Self {
        do { try coder.encode(rejection, &writer) } catch {
            return .failed(.undecodable, "the rejection does not encode: \(described(error))")
        }
        return .refused
    }
}

/// The error for a person, at most 1,024 bytes: the text may be logged once for each failing message.
package func described(_ error: any Error) -> String {
    let text = String(describing: error)
    guard text.utf8.count > 1024 else { return text }
    var end = text.utf8.index(text.startIndex, offsetBy: 1024)
    while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
}
