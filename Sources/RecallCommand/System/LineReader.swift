internal import Dispatch
internal import Foundation
internal import Synchronization

/// One line of input, without its newline.
struct InputLine: Sendable {
    /// Counted from 1.
    var number: Int
    var bytes: [UInt8]
    /// The line was longer than the limit; `bytes` has its beginning.
    var isTooLong = false

    /// Only space: passed over.
    var isBlank: Bool { bytes.allSatisfy { [0x20, 0x09, 0x0d].contains($0) } }
}

/// Reads lines from a file descriptor without holding up anything else: the reading blocks a thread of its own, and
/// only when somebody waits for lines, so that a slow taker slows the writer down.
final class LineReader: Sendable {
    private struct State {
        var splitter: LineSplitter
        var isAtEnd = false
        var isStopped = false
        var waiting: CheckedContinuation<[InputLine], any Error>?
    }

    private let file: Int32
    private let queue = DispatchQueue(label: "recall.lines")
    private let state: Mutex<State>

    /// - Parameter limit: bytes of a line; of a longer one the rest is passed over.
    init(_ file: Int32, limit: Int = 8 << 20) {
        self.file = file
        state = Mutex(State(splitter: LineSplitter(limit: limit)))
    }

    /// The lines that are there, waiting for at least one. Empty at the end of the input. One caller at a time.
    func next() async throws -> [InputLine] {
        try await withCheckedThrowingContinuation { continuation in
            let isStopped = state.withLock { state in
                if !state.isStopped { state.waiting = continuation }
                return state.isStopped
            }
            if isStopped { return continuation.resume(returning: []) }
            queue.async {
                let lines = Result { try self.read() }
                self.takeWaiting()?.resume(with: lines)
            }
        }
    }

    /// Ends the input here, also for who waits for it now: what comes later is not read, or dropped.
    func stop() {
        state.withLock { $0.isStopped = true }
        takeWaiting()?.resume(returning: [])
    }

    private func takeWaiting() -> CheckedContinuation<[InputLine], any Error>? { state.withLock { $0.waiting.take() } }

    private func read() throws -> [InputLine] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            if state.withLock({ $0.isAtEnd }) { return [] }
            let count = Foundation.read(file, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandError("cannot read the input", errno: errno)
            }
            let lines = state.withLock { state in
                if count > 0 { return state.splitter.add(buffer[..<count]) }
                state.isAtEnd = true
                return state.splitter.finish()
            }
            if !lines.isEmpty { return lines }
        }
    }
}

/// Cuts bytes into lines.
struct LineSplitter: Sendable {
    private let limit: Int
    private var current = InputLine(number: 1, bytes: [])

    init(limit: Int) { self.limit = limit }

    mutating func add(_ bytes: ArraySlice<UInt8>) -> [InputLine] {
        var lines: [InputLine] = []
        var rest = bytes
        while let newline = rest.firstIndex(of: 0x0a) {
            append(rest[..<newline])
            lines.append(current)
            current = InputLine(number: current.number + 1, bytes: [])
            rest = rest[(newline + 1)...]
        }
        append(rest)
        return lines
    }

    /// The last line, if it did not end with a newline.
    mutating func finish() -> [InputLine] {
        defer { current = InputLine(number: current.number + 1, bytes: []) }
        return current.bytes.isEmpty ? [] : [current]
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        let room = limit - current.bytes.count
        current.bytes.append(contentsOf: bytes.prefix(room))
        if bytes.count > room { current.isTooLong = true }
    }
}
