internal import ArgumentParser
internal import Foundation
internal import Synchronization

/// Standard output and error, whole lines at a time, whoever writes.
enum Output {
    private static let turn = Mutex(())

    /// Whether standard output is a person's terminal.
    static let isTerminal = isatty(STDOUT_FILENO) == 1

    /// A line on standard output, written at once. Throws if nobody reads it any more.
    static func line(_ text: String) throws { try bytes(Array((text + "\n").utf8)) }

    static func line(_ value: JSONValue) throws { try bytes(value.encoded + [0x0a]) }

    /// Several lines at once, ended each by its own newline.
    static func bytes(_ bytes: [UInt8]) throws {
        do {
            try turn.withLock { _ throws(SystemFailure) in try writeAll(bytes, to: STDOUT_FILENO) }
        } catch {
            guard error.code != EPIPE else { throw ReaderGone() }
            throw CommandError("cannot write to standard output: \(error)")
        }
    }

    /// Nobody reads standard output any more, as after `| head -1`.
    struct ReaderGone: Error, CustomStringConvertible {
        var description: String { "nobody reads standard output any more" }
        /// As a shell shows the end by SIGPIPE; nothing is said, for nothing is wrong.
        var exitCode: ExitCode { ExitCode(128 + SIGPIPE) }
    }

    /// A line on standard error. If that is closed there is nobody left to tell.
    static func note(_ text: String) {
        turn.withLock { _ in try? writeAll(Array((text + "\n").utf8), to: STDERR_FILENO) }
    }
}
