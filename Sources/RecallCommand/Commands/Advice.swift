internal import Recall
internal import RecallCore

extension CommandError {
    /// An error with its code and what to do about it, for whoever ran a command on a log.
    static func advising(_ error: any Error, log: String) -> any Error {
        guard let error = error as? RecallError, let advice = advice(error.code, log) else { return error }
        return CommandError("\(error)\n\(advice) (docs/errors.md, code \(error.code.rawValue))")
    }

    /// Runs `body`, which looks into the log.
    static func advising<T>(log: String, _ body: () throws -> T) throws -> T {
        do { return try body() } catch { throw advising(error, log: log) }
    }

    /// Nil where the message says it all.
    private static func advice(_ code: FaultCode, _ log: String) -> String? {
        switch code {
        case .brokenChain:
            """
            What to do: see whether the server has the key file that it had when the session began, and this client \
            the credentials that it had. If so, the log was altered: run 'recall log verify \(log)'.
            """
        case .badReceipt: "What to do: restore a copy of \(log); a receipt in it was altered."
        case .unknownKey: "What to do: give the server the key file of that number, too: --key-file NUMBER=FILE."
        case .unknownKind, .unsupportedVersion:
            "What to do: use a server that hosts this kind and version; 'recall log show \(log)' names them."
        case .clientBehind:
            """
            What to do: bring the copy of \(log) back that holds what is missing. If there is none, as after \
            'recall log salvage', a server that has let go of the session takes the log as it is.
            """
        case .superseded, .forked:
            """
            What to do: see whether another copy of \(log) is in use, or was, and give one of them up; \
            'recall log show' tells how far each goes.
            """
        case .diverged, .inconsistent, .poisoned:
            "What to do: keep \(log) as it is, and start a server with the code that wrote it, or with mended code."
        case .badCheckpoint: "What to do: run 'recall log verify \(log)'; if it is in order, the server's code changed."
        case .expired: "What to do: begin a new session with another --log; this one is over."
        case .unauthenticated: "What to do: see what --credentials should be."
        case .protocolVersion: "What to do: see whether --server names a server of recall, and of this version."
        case .logInUse: "What to do: wait for the other process to end, or end it; 'recall log show \(log)' names it."
        case .logFailed: "What to do: see to the disk, and the permissions of \(log) and its folder; run this again."
        case .logDamaged:
            "What to do: restore a copy of \(log), or keep what can be read of it: recall log salvage \(log)"
        case .unreachable:
            "What to do: see whether a server runs at the address of --server; run this again with the same --log."
        default: nil
        }
    }
}
