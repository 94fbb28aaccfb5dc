public import RecallCore
internal import Synchronization

extension MessageLog where Self == MemoryLog {
    /// A new log in this process's memory: survives the server, not the client.
    public static var memory: MemoryLog { MemoryLog() }
}

/// A log in this process's memory.
///
/// What it holds survives `close` and any number of clients, but not the process: it guards against the death of the
/// server only. Nothing it does touches a disk, so "durable" in `MessageLog` means "in memory" here.
///
/// Throws `logInUse` from `open` while it is open, and `logFailed` when it is not open or an entry does not extend it.
public final class MemoryLog: ImmediateMessageLog {
    /// What `setAside` took out of the log.
    public struct Aside: Sendable {
        public var reason: String
        public var messages: [LoggedMessage]
        public var receipts: [Receipt]
        public var checkpoints: [Checkpoint]
    }

    private let state = Mutex(State())

    public init() {}

    /// What was set aside so far, oldest first; kept for inspection, never read by the log.
    public var asides: [Aside] { state.withLock { $0.asides } }

    public func open() async throws -> LogContents {
        try state.withLock { state throws(RecallError) in
            guard !state.isOpen else { throw RecallError(.logInUse, "this memory log is open already") }
            state.isOpen = true
            state.discardStrayDeterminants()
            return state.contents
        }
    }

    public func begin(_ header: LogHeader) async throws {
        try state.withLock { state throws(RecallError) in
            try state.checkOpen()
            guard state.header == nil else { throw RecallError(.logFailed, "the log holds a session already") }
            state.header = header
        }
    }

    public func append(_ entries: [LogEntry]) async throws { _ = try appendNow(entries) }

    public func appendNow(_ entries: [LogEntry]) throws(RecallError) -> Bool {
        try state.withLock { state throws(RecallError) in try state.append(entries) }
        return true
    }

    public func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) async throws {
        _ = try keepNow(checkpoint, truncating: truncating)
    }

    public func keepNow(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) -> Bool {
        try state.withLock { state throws(RecallError) in try state.keep(checkpoint, truncating: truncating) }
        return true
    }

    public func adopt(_ checkpoint: Checkpoint, receipt: Receipt) async throws {
        try state.withLock { state throws(RecallError) in
            try state.checkHeld()
            try LogHead.check(adopting: checkpoint.position, receipt: receipt.position)
            let number = checkpoint.position.number
            state.messages = Run()
            state.receipts = Run()
            state.receipts.append(receipt)
            state.checkpoints = [checkpoint]
            state.head = LogHead(base: number, last: number, receipt: number)
        }
    }

    public func slice(after number: SequenceNumber, maximumBytes: Int) async throws -> LogSlice {
        try read(after: number, maximumBytes: maximumBytes)
    }

    public func sliceNow(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice? {
        try read(after: number, maximumBytes: maximumBytes)
    }

    private func read(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice {
        try state.withLock { state throws(RecallError) in
            try state.checkOpen()
            return try state.slice(after: number, maximumBytes: maximumBytes)
        }
    }

    public func receipt(atOrBefore number: SequenceNumber) async throws -> Receipt? {
        try state.withLock { state throws(RecallError) in
            try state.checkOpen()
            let count = state.receiptCount(upTo: number)
            return count == 0 ? nil : state.receipts[count - 1]
        }
    }

    public func checkpoint(generation: Int) async throws -> Checkpoint? {
        try state.withLock { state throws(RecallError) in
            try state.checkOpen()
            return state.checkpoints.indices.contains(generation) ? state.checkpoints[generation] : nil
        }
    }

    public func setAside(after number: SequenceNumber, reason: String) async throws {
        try state.withLock { state throws(RecallError) in
            try state.checkHeld()
            state.setAside(after: number, reason: reason)
        }
    }

    public func close() async { state.withLock { $0.isOpen = false } }
}

extension MemoryLog {
    /// The log's content; every method is one atomic step.
    fileprivate struct State: Sendable {
        var isOpen = false
        var header: LogHeader?
        var head = LogHead()
        /// Numbered `head.base + 1` and on, without gaps.
        var messages = Run<LoggedMessage>()
        /// By ascending number.
        var receipts = Run<Receipt>()
        /// Newest first, at most two.
        var checkpoints: [Checkpoint] = []
        var asides: [Aside] = []

        var contents: LogContents {
            let summaries = checkpoints.map {
                LogContents.CheckpointSummary(
                    position: $0.position, outputs: $0.outputs, time: $0.time, kindVersion: $0.kindVersion,
                    byteCount: $0.byteCount)
            }
            return LogContents(header: header, checkpoints: summaries, receipt: receipts.last, last: head.last)
        }

        func checkOpen() throws(RecallError) {
            guard isOpen else { throw RecallError(.logFailed, "this memory log is not open") }
        }

        func checkHeld() throws(RecallError) {
            try checkOpen()
            guard header != nil else { throw RecallError(.logFailed, "the log holds no session yet") }
        }
    }
}

extension MemoryLog.State {
    fileprivate mutating func append(_ entries: [LogEntry]) throws(RecallError) {
        try checkHeld()
        // Checked whole before the first is written: all or none.
        var next = head
        try next.admit(entries)
        head = next
        for entry in entries {
            switch entry {
            case .message(let message): messages.append(message)
            case .acknowledgement(let acknowledgement): append(acknowledgement)
            }
        }
    }

    private mutating func append(_ acknowledgement: LoggedAcknowledgement) {
        for (number, bytes) in acknowledgement.determinants { messages[index(of: number)].determinants = bytes }
        let number = acknowledgement.receipt.position.number
        if receipts.last?.position.number == number { receipts.removeLast(1) }
        if let superseded = acknowledgement.supersedes, superseded < number {
            let count = receiptCount(upTo: superseded)
            if count > 0, receipts[count - 1].position.number == superseded { receipts.remove(at: count - 1) }
        }
        receipts.append(acknowledgement.receipt)
    }

    fileprivate mutating func keep(_ checkpoint: Checkpoint, truncating: SequenceNumber) throws(RecallError) {
        try checkHeld()
        try head.check(checkpoint.position, truncating: truncating)
        checkpoints.removeAll { $0.position.number == checkpoint.position.number }
        checkpoints.append(checkpoint)
        checkpoints.sort { $0.position.number > $1.position.number }
        if checkpoints.count > 2 { checkpoints.removeLast(checkpoints.count - 2) }
        guard truncating > head.base else { return }
        messages.removeFirst(min(messages.count, truncating.distance(from: head.base)))
        receipts.removeFirst(receiptCount(upTo: truncating))
        head.base = truncating
        head.receipt = receipts.last?.position.number
    }

    fileprivate func slice(after number: SequenceNumber, maximumBytes: Int) throws(RecallError) -> LogSlice {
        try head.check(sliceAfter: number)
        var next = receiptCount(upTo: number)
        var receipt: Receipt?
        var extent = SliceExtent(maximumBytes: maximumBytes, reachesReceipt: next < receipts.count)
        let start = min(messages.count, number.distance(from: head.base))
        // In place: a copy of each would count references for nothing.
        for position in start..<messages.count {
            let hasReceipt = next < receipts.count && receipts[next].position.number == messages[position].number
            guard extent.add(messages[position].byteCount, hasReceipt: hasReceipt) else { break }
            guard hasReceipt else { continue }
            receipt = receipts[next]
            next += 1
            // Past the last receipt lies the tail, which is a slice of its own.
            if next == receipts.count { break }
        }
        return LogSlice(messages: messages.elements(start..<start + extent.count), receipt: receipt)
    }

    fileprivate mutating func setAside(after number: SequenceNumber, reason: String) {
        let kept = min(messages.count, number.distance(from: head.base))
        let newer = checkpoints.filter { $0.position.number > number }
        let dropped = messages.elements(from: kept)
        messages.removeLast(messages.count - kept)
        checkpoints.removeAll { $0.position.number > number }
        if let last = messages.last?.number {
            head.last = last
        } else {
            head.last = checkpoints.first?.position.number ?? .zero
            head.base = head.last
        }
        let covered = receiptCount(upTo: head.last)
        asides.append(
            MemoryLog.Aside(
                reason: reason, messages: dropped, receipts: receipts.elements(from: covered), checkpoints: newer))
        receipts.removeLast(receipts.count - covered)
        head.receipt = receipts.last?.position.number
        discardStrayDeterminants()
    }

    /// Determinants that no receipt covers were never acted upon: their acknowledgement comes again.
    fileprivate mutating func discardStrayDeterminants() {
        let covered = (head.receipt ?? head.base).distance(from: head.base)
        for index in covered..<max(covered, messages.count) where !messages[index].determinants.isEmpty {
            messages[index].determinants = []
        }
    }

    /// How many receipts are numbered up to `number`.
    fileprivate func receiptCount(upTo number: SequenceNumber) -> Int {
        // Mostly asked for one of the newest.
        if let last = receipts.last, last.position.number <= number { return receipts.count }
        var low = 0
        var high = receipts.count
        while low < high {
            let middle = (low + high) / 2
            if receipts[middle].position.number <= number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of number: SequenceNumber) -> Int { number.distance(from: head.base) - 1 }
}

/// An array from whose front elements are dropped at O(1) amortised: the room they took is reclaimed once it outweighs
/// what is left, so at most half of the storage is dead.
private struct Run<Element: Sendable>: Sendable {
    private var storage: [Element] = []
    private var dead = 0

    var count: Int { storage.count - dead }
    var last: Element? { count == 0 ? nil : storage.last }

    subscript(index: Int) -> Element {
        _read { yield storage[dead + index] }
        _modify { yield &storage[dead + index] }
    }

    func elements(from index: Int) -> [Element] { elements(index..<count) }
    func elements(_ range: Range<Int>) -> [Element] {
        Array(storage[(dead + range.lowerBound)..<(dead + range.upperBound)])
    }

    mutating func append(_ element: Element) { storage.append(element) }
    mutating func remove(at index: Int) { storage.remove(at: dead + index) }
    mutating func removeLast(_ count: Int) { storage.removeLast(count) }

    mutating func removeFirst(_ count: Int) {
        dead += count
        guard dead >= self.count else { return }
        storage.removeFirst(dead)
        dead = 0
    }
}
