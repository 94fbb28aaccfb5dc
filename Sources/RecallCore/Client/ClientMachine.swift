/// What a client does not send beyond.
package struct ClientLimits: Sendable, Hashable {
    package var windowMessages = WireLimits.windowMessages
    package var windowBytes = WireLimits.windowBytes
    package var windowRequests = WireLimits.windowRequests
    /// Streams that ended without progress before a pause is made.
    package var fruitlessAttaches = 4
    /// Times that another connection may take the session over, nothing being acknowledged between, before this client
    /// takes it that another one has its log.
    package var supersessions = 4
    /// Bytes of a whole history that goes along with an attach, unasked.
    package var rideAlong = WireLimits.rideAlong
    /// Bytes of messages and determinants between the receipts that the log keeps.
    package var receiptInterval = WireLimits.receiptInterval

    /// True: while nothing is unanswered, a confirmation waits for the next update to ride on, or for `confirm`.
    package var defersConfirmations = false

    package init() {}
}

/// The client's half of the protocol for one session, without I/O.
///
/// Persist, then send; log the acknowledgement, then tell the caller, then confirm. The machine hands out log
/// operations one at a time (`nextLogOperation`, answered by `logAnswered`), frames (`takeOutput`) and events
/// (`takeEvents`); a shell that does not perform the first never gets the others.
///
/// Faults: what a server sends out of order ends the stream, and the next attach decides; what a server refuses for
/// good ends the session for this client; a log that fails ends it too.
package struct ClientMachine: ~Copyable {
    /// A message that is not known to be acknowledged in the log.
    struct Pending: Sendable {
        var content: [UInt8]
        var seal: Digest
        var call: CallID?
    }

    struct PendingRequest: Sendable {
        /// Nil once nobody waits; kept while it is under way, since the server counts it.
        var call: CallID?
        var content: [UInt8]
        /// The caller's updates up to here come first.
        var after: SequenceNumber
        /// Set while the request is under way on the present stream.
        var id: RequestID?
    }

    /// What calls that follow each other get. Most updates have no reply, so that one answer serves a whole run.
    struct Answer: Sendable {
        var calls: Range<CallID>
        /// Shown to the callers when the log holds this update's acknowledgement.
        var number: SequenceNumber
        var result: CallResult
    }

    /// Where the conversation stands. What outlives a stream lies beside it.
    enum Phase: Equatable {
        /// No stream. Goes to `attaching` when there is something to say and a connection.
        case detached
        /// `attach` was sent; updates follow it at once. Goes to `live` with `attached`.
        case attaching(StreamID)
        case live(StreamID)
        /// Ended for good.
        case failed(FaultCode, String)

        var stream: StreamID? {
            switch self {
            case .attaching(let stream), .live(let stream): stream
            case .detached, .failed: nil
            }
        }
    }

    package let header: LogHeader
    let sealer: Sealer
    let cryptography: Cryptography
    var limits: ClientLimits
    /// The window that the client was given; a server's may be smaller.
    private let ownWindow: (messages: Int, bytes: Int)

    var phase = Phase.detached
    var output = ByteWriter()
    var events: [ClientEvent] = []

    /// The newest receipt in the log.
    var logged: Receipt?
    /// Up to where acknowledgements were received; the log follows.
    var front: Position
    /// The last message submitted.
    package private(set) var head: SequenceNumber
    var headSeal: Digest
    /// Messages after `front`, by number.
    var tail = Fifo<Pending>()
    var tailBytes = 0
    /// The last message that the log holds.
    package internal(set) var persisted: SequenceNumber
    var sent: SequenceNumber
    /// Bytes of the messages after `front` that were sent on the present stream.
    var sentBytes = 0
    /// Those under way first.
    var requests: [PendingRequest] = []
    var unsentRequests = 0
    /// Bytes of those under way.
    var requestBytes = 0
    var lastRequest: UInt32 = 0
    /// Results whose acknowledgement is on its way into the log.
    var answers = Fifo<Answer>()
    var confirmationDue = false

    // The log.
    var staged: [LogEntry] = []
    var operations = Fifo<LogOperation>()
    var running: LogOperation?
    /// Histories begun, and the one that the running operation reads for: what an earlier one asked for may be gone.
    var histories: UInt64 = 0, readsFor: UInt64 = 0
    /// Where the newest kept receipts lie, so that at least one stays every `WireLimits.receiptInterval`.
    var bytesSinceAnchor = 0
    var newestCheckpoint: LogCheckpoint?
    var olderCheckpoint: LogCheckpoint?
    /// True if the log has the first message; with two checkpoints it does not matter.
    package internal(set) var reachesStart: Bool
    /// Bytes of acknowledged messages and determinants since the newest checkpoint.
    var historyBytes: Int

    var history: HistorySender?
    var offer: OfferAssembly?
    var isAdopting = false
    /// Where the checkpoint stands that is on its way into the log.
    var keeping: SequenceNumber?
    var isKeeping: Bool { keeping != nil }
    var fruitless = 0
    /// Times that another connection took the session over since something was acknowledged.
    var supersessions = 0

    struct LogCheckpoint: Sendable {
        var number: SequenceNumber
        var position: Position
        var byteCount: Int
    }

    /// - Parameters:
    ///   - recovered: what a verified log holds.
    package init(_ recovered: RecoveredLog, limits: ClientLimits = .init(), _ cryptography: Cryptography) {
        header = recovered.header
        sealer = Sealer(vector: header.vector, cryptography)
        self.cryptography = cryptography
        self.limits = limits
        ownWindow = (limits.windowMessages, limits.windowBytes)
        logged = recovered.receipt
        front = recovered.receipt?.position ?? .start
        (head, headSeal) = (front.number, front.seal)
        (persisted, sent) = (head, head)
        historyBytes = recovered.historyBytes
        reachesStart = recovered.reachesStart
        let checkpoints = recovered.checkpoints
        newestCheckpoint = checkpoints.first.map {
            .init(number: $0.position.number, position: $0.position, byteCount: $0.byteCount)
        }
        olderCheckpoint = checkpoints.dropFirst().first.map {
            .init(number: $0.position.number, position: $0.position, byteCount: $0.byteCount)
        }
        for (content, seal) in recovered.tail {
            (head, headSeal) = (head.next, seal)
            tail.append(Pending(content: content, seal: seal, call: nil))
            tailBytes += content.count
        }
        persisted = head
    }

    // MARK: From the caller

    /// True if a message of so many bytes fits the window now.
    package func hasRoom(for byteCount: Int) -> Bool {
        !isAdopting && tail.count < limits.windowMessages
            && (tail.isEmpty || tailBytes + byteCount <= limits.windowBytes)
    }

    package var hasRoomForRequest: Bool { requests.count < limits.windowRequests }

    /// Why the session has ended, if it has.
    package var failure: (code: FaultCode, text: String)? {
        if case .failed(let code, let text) = phase { (code, text) } else { nil }
    }

    /// True if there is something that a server has to answer.
    package var hasUnanswered: Bool { !tail.isEmpty || !requests.isEmpty }

    /// True if no caller waits and the log has all it should.
    package var isQuiet: Bool {
        !hasUnanswered && answers.isEmpty && staged.isEmpty && operations.isEmpty && running == nil
    }

    /// Where the kept checkpoints are.
    package var checkpointPositions: [Position] { [newestCheckpoint, olderCheckpoint].compactMap { $0?.position } }

    /// True if no log operation is running or due.
    package var isLogIdle: Bool { running == nil && operations.isEmpty && staged.isEmpty }

    /// What the present server announced, if that is less than the client was given.
    package mutating func limit(messages: Int, bytes: Int) {
        limits.windowMessages = min(ownWindow.messages, max(1, messages))
        limits.windowBytes = min(ownWindow.bytes, max(1, bytes))
    }

    /// Sends what may be sent now. Call it after `submit` and `request`, when the log had its turn.
    package mutating func advance() { send() }

    package var isLive: Bool { if case .live = phase { true } else { false } }

    /// The last update whose acknowledgement is in the log.
    package var acknowledged: SequenceNumber { logged?.position.number ?? .zero }

    /// Takes an update on. The caller must have seen `hasRoom`; a message over the limit is failed.
    package mutating func submit(_ content: [UInt8], call: CallID?) {
        if let failure { return deliver(call, .failed(failure.code, failure.text)) }
        guard content.count <= WireLimits.message, !content.isEmpty else {
            return deliver(
                call,
                .failed(
                    .messageTooLarge,
                    "the message has \(content.count) bytes, at most \(WireLimits.message) are allowed"))
        }
        head = head.next
        headSeal = sealer.seal(.update, content.span.bytes, number: head, after: headSeal)
        tail.append(Pending(content: content, seal: headSeal, call: call))
        tailBytes += content.count
        staged.append(.message(LoggedMessage(number: head, content: content)))
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.sendBeforeLogging) { persisted = head }
        #endif
    }

    /// True if a confirmation waits for something to ride on.
    package var hasDeferredConfirmation: Bool { confirmationDue && isLive && tail.isEmpty }

    /// Sends a confirmation that found nothing to ride on.
    package mutating func confirm() {
        guard confirmationDue, case .live(let stream) = phase, let logged else { return }
        output.frame(Confirm(stream: stream, position: logged.position))
        confirmationDue = false
    }

    /// The log begins anew after a position.
    mutating func reset(to position: Position) {
        (head, headSeal) = (position.number, position.seal)
        (persisted, sent, sentBytes) = (head, head, 0)
    }

    /// Takes a request on; it sees all updates submitted before it.
    package mutating func request(_ content: [UInt8], call: CallID) {
        if let failure { return deliver(call, .failed(failure.code, failure.text)) }
        guard content.count <= WireLimits.message, !content.isEmpty else {
            return deliver(
                call,
                .failed(
                    .messageTooLarge,
                    "the request has \(content.count) bytes, at most \(WireLimits.message) are allowed"))
        }
        requests.append(PendingRequest(call: call, content: content, after: head))
        unsentRequests += 1
    }

    /// The callers of these messages do not wait any more. The messages stay and are delivered.
    package mutating func forget(_ calls: Range<CallID>) {
        for index in requests.indices.reversed() {
            guard let call = requests[index].call, calls.contains(call) else { continue }
            if requests[index].id != nil {
                requests[index].call = nil
            } else {
                requests.remove(at: index)
                unsentRequests -= 1
            }
        }
        for offset in 0..<tail.count {
            guard let call = tail.item(at: offset)?.call, calls.contains(call) else { continue }
            tail.update(at: offset) { $0.call = nil }
        }
    }

    // MARK: To the shell

    package mutating func takeOutput() -> [UInt8] {
        defer { output = ByteWriter() }
        return output.bytes
    }

    package mutating func takeEvents() -> [ClientEvent] {
        // Emptied by exchange: keeping the capacity of what is returned would make a copy, of an empty one too.
        defer { events = [] }
        return events
    }

    /// True if an `attach` should be sent, should there be a connection: something waits to be said, and what was
    /// received before is in the log.
    package var wantsAttach: Bool {
        phase == .detached && logged?.position.number ?? .zero == front.number && !isAdopting
            && !isKeeping
    }

    /// Where it stands, for people who look for a fault.
    package var situation: String {
        let log = running == nil ? "the log rests" : "the log is at work"
        let stream = phase.stream.map { "on stream \($0.rawValue)" } ?? (phase == .detached ? "detached" : "ended")
        let state = isAdopting ? ", adopting" : isKeeping ? ", keeping" : ""
        return "\(stream)\(state), \(log), sent \(sent.rawValue), front \(front.number.rawValue), "
            + "logged \(logged?.position.number.rawValue ?? 0), persisted \(persisted.rawValue)"
    }

    mutating func deliver(_ call: CallID?, _ result: CallResult) {
        if let call { events.append(.deliver(call..<call.advanced(by: 1), result)) }
    }

    /// Ends the session for this client; every caller is told. Those whose acknowledgement is on its way into the log,
    /// or who are given up by an adoption that is, still get their results when it is there. The log stays as it is.
    package mutating func fail(_ code: FaultCode, _ text: String) {
        if case .failed = phase { return }
        phase = .failed(code, text)
        (history, offer) = (nil, nil)
        events.append(.failed(code, text))
        while let pending = tail.popFirst() { deliver(pending.call, .failed(code, text)) }
        for request in requests { deliver(request.call, .failed(code, text)) }
        (requests, unsentRequests, requestBytes) = ([], 0, 0)
        tailBytes = 0
    }

    // MARK: The log

    /// The next thing for the log to do; nil while one is running or nothing is due.
    package mutating func nextLogOperation() -> LogOperation? {
        guard running == nil else { return nil }
        if operations.isEmpty, !staged.isEmpty { stageAppend() }
        running = operations.popFirst() ?? history?.nextRead
        readsFor = histories
        return running
    }

    mutating func stageAppend() {
        guard !staged.isEmpty else { return }
        operations.append(.append(staged))
        staged = []
    }

    /// The running operation ended well.
    package mutating func logAnswered(_ answer: LogAnswer) {
        guard let operation = running else { return }
        running = nil
        switch (operation, answer) {
        case (.append(let entries), _): appended(entries)
        case (.keep(let checkpoint, _), _): kept(checkpoint)
        case (.adopt(let checkpoint, let receipt), _): adopted(checkpoint, receipt)
        case (_, .done): break
        case (_, .slice), (_, .receipt), (_, .checkpoint): historyRead(operation, answer)
        }
        send()
    }

    /// The running operation failed: nothing more can be promised.
    package mutating func logFailed(_ code: FaultCode, _ text: String) {
        (running, staged, operations) = (nil, [], Fifo())
        while let answer = answers.popFirst() { events.append(.deliver(answer.calls, .failed(code, text))) }
        fail(code, text)
    }

    private mutating func appended(_ entries: [LogEntry]) {
        for entry in entries {
            switch entry {
            case .message(let message): persisted = max(persisted, message.number)
            case .acknowledgement(let acknowledgement):
                logged = acknowledgement.receipt
                confirmationDue = true
            }
        }
        deliverAnswers()
    }

    /// Wakes those whose result the log now holds.
    mutating func deliverAnswers() {
        let number = acknowledged
        while let answer = answers.popFirst() {
            guard answer.number <= number else { return answers.putBack(answer) }
            events.append(.deliver(answer.calls, answer.result))
        }
    }
}
