internal import Logging
internal import NIOCore
internal import Recall
internal import RecallCore

/// Interprets a client machine: performs its log operations, writes its frames, wakes its callers. On the link's loop.
final class SessionDriver: LinkUser {
    /// The machine, where it is changed in place: an optional of it was moved out and back at each call.
    private final class Core {
        var machine: ClientMachine
        init(_ machine: consuming ClientMachine) { self.machine = machine }

        /// True if a server is to answer something, as far as this client knows.
        var isWaiting: Bool { machine.hasUnanswered && machine.isLive }
    }

    private let link: ServerLink
    private let log: any MessageLog
    private let immediate: (any ImmediateMessageLog)?
    /// False while the log takes its time for an append: then all that waits goes into the next one.
    private var appendsAtOnce: Bool
    private let kindName: [UInt8]
    private let kindVersion: UInt32
    private let cryptography: Cryptography
    private let logger: Logger
    private let notices: AsyncStream<SessionNotice>.Continuation
    private var core: Core?
    private var stream: StreamID?
    private var waiters = WaiterTable()
    /// What the log held without an answer, if it was asked for.
    private(set) var recovered: RecoveredUpdates?
    private var queue = Submissions()
    private var opening: EventLoopPromise<Void>?
    private var isPumpScheduled = false
    private var isConfirmationScheduled = false
    private var isClosed = false
    private var closing: [EventLoopPromise<Void>] = []
    /// True after a refusal or drain: stay quiet until the next connection.
    private var isHeld = false
    /// Ends a pause that the server asked of this session alone.
    private var holdTimer: Scheduled<Void>?
    private var backoff: Backoff
    /// When something was last heard of what is unanswered.
    private var progress: NIODeadline
    private var isWatched = false
    var isInBatch = false

    init(
        _ link: ServerLink, log: any MessageLog, kindName: [UInt8], kindVersion: UInt32, _ cryptography: Cryptography,
        notices: AsyncStream<SessionNotice>.Continuation, logger: Logger
    ) {
        (self.link, self.log, self.kindName, self.kindVersion) = (link, log, kindName, kindVersion)
        (self.cryptography, self.notices, self.logger) = (cryptography, notices, logger)
        backoff = Backoff(
            floor: link.configuration.backoffFloor.nanoseconds, ceiling: link.configuration.backoffCeiling.nanoseconds)
        immediate = log as? any ImmediateMessageLog
        appendsAtOnce = immediate != nil
        progress = link.eventLoop.now
    }

    // MARK: Opening and closing

    /// Continues the session that the log holds, or asks a server for a new one. Fulfilled when there is one.
    func open(_ log: RecoveredLog?, following: Bool) -> EventLoopFuture<Void> {
        let promise = link.eventLoop.makePromise(of: Void.self)
        if let log {
            start(log)
            if following { recovered = followRecovered() }
            promise.succeed(())
        } else {
            opening = promise
        }
        link.add(self)
        return promise.futureResult
    }

    /// Before the first answer can come.
    private func followRecovered() -> RecoveredUpdates {
        var updates: [(number: SequenceNumber, answer: AsyncStream<CallResult>)] = []
        core?.machine.followRecovered { number in
            let (answer, continuation) = AsyncStream.makeStream(of: CallResult.self)
            updates.append((number, answer))
            return waiters.add(RecoveredWaiter(continuation), count: 1).lowerBound
        }
        return RecoveredUpdates(updates: updates)
    }

    private func start(_ recovered: RecoveredLog) {
        var limits = ClientLimits()
        limits.windowMessages = max(1, link.configuration.windowMessages)
        limits.windowBytes = max(1, link.configuration.windowBytes)
        limits.rideAlong = link.configuration.rideAlong
        limits.defersConfirmations = true
        core = Core(ClientMachine(recovered, limits: limits, cryptography))
    }

    /// Ends the client. What was persisted stays in the log; callers that wait get `closed`.
    func close(_ promise: EventLoopPromise<Void>) {
        closing.append(promise)
        guard !isClosed else { return finishClosing() }
        isClosed = true
        core?.machine.confirm()
        core?.machine.fail(.closed, "the client was closed")
        opening?.fail(RecallError(.closed, "the client was closed"))
        opening = nil
        handleEvents()
        leaveLink()
        for calls in queue.removeAll() { refuse(calls) }
        finishClosing()
    }

    private func refuse(_ calls: Range<CallID>) {
        finish(calls, .failure(RecallError(.closed, "the client was closed")))
    }

    /// Gives whoever still waits for one of these calls its result.
    private func finish(_ calls: Range<CallID>, _ result: Result<CallResult, any Error>) {
        var left = calls
        while let (waiter, indices) = waiters.take(&left) { waiter.resume(indices, result) }
    }

    /// Nothing more is said or heard.
    private func leaveLink() {
        if let stream {
            var writer = ByteWriter()
            writer.bytes = core?.machine.takeOutput() ?? []
            writer.frame(Detach(stream: stream))
            link.write(writer.bytes)
            link.closeStream(stream)
        }
        stream = nil
        holdTimer?.cancel()
        link.remove(self)
    }

    /// The log is let go when its last operation has ended.
    private func finishClosing() {
        guard core?.machine.isLogIdle ?? true else { return }
        for promise in closing { promise.succeed(()) }
        closing = []
        notices.finish()
    }

    // MARK: From callers

    /// Takes messages on, with those who wait for them; returns the names of their calls.
    func submit(_ contents: [[UInt8]], isRequest: Bool, _ waiter: Waiter) -> Range<CallID> {
        let calls = waiters.add(waiter, count: contents.count)
        if isClosed {
            refuse(calls)
        } else {
            queue.append(contents, isRequest: isRequest, firstCall: calls.lowerBound)
            schedulePump()
        }
        return calls
    }

    /// The callers were cancelled: all that were submitted together, since of those that still wait for their turn
    /// either all go ahead or none. A message that is in the log already is delivered all the same.
    func cancel(_ calls: Range<CallID>) {
        core?.machine.forget(calls)
        finish(calls, .failure(CancellationError()))
    }

    var head: SequenceNumber { core?.machine.head ?? .zero }
    var acknowledged: SequenceNumber { core?.machine.acknowledged ?? .zero }
    var persisted: SequenceNumber { core?.machine.persisted ?? .zero }
    var session: SessionID? { core?.machine.header.session }
    /// Why the session has ended for this client.
    var failure: RecallError? { core?.machine.failure.map { RecallError($0.code, $0.text) } }

    /// Where the log stands.
    var place: (header: LogHeader, head: SequenceNumber, checkpoints: [Position], reachesStart: Bool)? {
        guard let core else { return nil }
        return (core.machine.header, core.machine.head, core.machine.checkpointPositions, core.machine.reachesStart)
    }

    // MARK: The link

    func connected() {
        stream = nil
        goOn()
    }

    private func goOn() {
        isHeld = false
        holdTimer?.cancel()
        holdTimer = nil
        guard core != nil else { return initiate() }
        core?.machine.limit(messages: link.window.messages, bytes: link.window.bytes)
        pump()
    }

    private func initiate() {
        guard opening != nil else { return }  // it is on its way into the log
        let stream = link.openStream(self)
        self.stream = stream
        var writer = ByteWriter()
        writer.frame(Initiate(stream: stream, kindVersion: kindVersion, kindName: kindName))
        link.write(writer.bytes)
    }

    func receive(_ type: FrameType, _ body: RawSpan) throws(WireError) {
        progress = link.eventLoop.now
        var reader = ByteReader(body)
        if let core { return try receive(type, &reader, core) }
        switch type {
        case .initiated: begin(try Initiated(reading: &reader))
        case .refusal:
            let refusal = try Refusal(reading: &reader)
            let text = String(decoding: refusal.text, as: UTF8.self)
            if refusal.code.isRetryable { return hold(refusal.code, text) }
            opening?.fail(RecallError(refusal.code, text))
            opening = nil
        default: throw .malformed
        }
    }

    private func receive(_ type: FrameType, _ reader: inout ByteReader, _ core: Core) throws(WireError) {
        // Initiated twice: an answer of a connection before the log was begun.
        if type == .initiated { return }
        try core.machine.receive(type, &reader)
    }

    func batchEnded() { pump() }

    /// The server does not want this session for now: come back after a pause. A link that serves others too stays.
    private func hold(_ code: FaultCode, _ text: String) {
        notices.yield(.refused(code, text))
        isHeld = true
        guard !link.isPrivate, code != .draining else { return link.leave("\(code): \(text)") }
        if core == nil { stream = nil }
        let bound = NIOLoopBound(self, eventLoop: link.eventLoop)
        let pause = backoff.next(random: link.configuration.surroundings.random())
        holdTimer = link.eventLoop.scheduleTask(in: .nanoseconds(pause)) { bound.value.holdEnded() }
    }

    private func holdEnded() {
        guard isHeld, link.isOpen else { return }  // else the next connection ends it
        goOn()
    }

    func unreached(_ endpoint: Endpoint, reason: String) { notices.yield(.unreachable(endpoint, reason: reason)) }

    func disconnected(reason: String) {
        stream = nil
        core?.machine.disconnected()
        notices.yield(.disconnected(reason: reason))
        pump()
    }

    func drained() {
        notices.yield(.drained)
        link.leave("the server is going away")
    }

    func linkFailed(_ code: FaultCode, _ text: String) {
        opening?.fail(RecallError(code, text))
        opening = nil
        core?.machine.fail(code, text)
        pump()
    }

    /// A new session: its name and vector are in the log before anything else.
    private func begin(_ initiated: Initiated) {
        let header = LogHeader(
            session: initiated.session, vector: initiated.vector, kindName: kindName, kindVersion: kindVersion)
        guard let promise = opening else { return }
        opening = nil
        link.closeStream(initiated.stream)
        stream = nil
        let bound = NIOLoopBound(self, eventLoop: link.eventLoop)
        let (log, eventLoop) = (log, link.eventLoop)
        Task(executorPreference: link.configuration.surroundings.executor) {
            do {
                try await log.begin(header)
                eventLoop.execute { bound.value.begun(header, promise) }
            } catch {
                promise.fail(error)
            }
        }
    }

    private func begun(_ header: LogHeader, _ promise: EventLoopPromise<Void>) {
        guard !isClosed else { return promise.fail(RecallError(.closed, "the client was closed")) }
        start(RecoveredLog(header: header))
        core?.machine.limit(messages: link.window.messages, bytes: link.window.bytes)
        promise.succeed(())
        pump()
    }

    /// Where it stands, for people who look for a fault.
    var situation: String {
        let link = link.isOpen ? "an open link" : "no link"
        let stream = stream.map { "stream \($0.rawValue)" } ?? "no stream"
        return "\(link), \(stream)\(isHeld ? ", held" : ""), \(queue.count) batches queued, "
            + (core?.machine.situation ?? "no session")
    }

    // MARK: Work

    private func schedulePump() {
        guard !isPumpScheduled else { return }
        isPumpScheduled = true
        let bound = NIOLoopBound(self, eventLoop: link.eventLoop)
        link.eventLoop.execute {
            bound.value.isPumpScheduled = false
            bound.value.pump()
        }
    }

    /// Carries out what the machine has to be done, until it has nothing more.
    private func pump() {
        guard let core else { return }
        var isDone = false, isPart = false
        while !isDone {
            // In one access to the machine, since it runs for every message.
            if !isPart { isPart = queue.admit(into: &core.machine, waiters, inParts: appendsAtOnce) }
            attachIfWanted(core)
            // What was logged at once may be all that an attach waited for.
            let hasAnswered = runLog(of: core)
            core.machine.advance()
            isDone = !handleEvents() && !hasAnswered
            let bytes = core.machine.takeOutput()
            if !bytes.isEmpty { link.write(bytes, now: isPart) }
        }
        // The next part waits for its turn, so that other sessions and what was received have theirs.
        if isPart { schedulePump() }
        if core.machine.hasDeferredConfirmation { scheduleConfirmation() }
        if !isWatched, core.isWaiting { beWatched() }
        if isClosed { finishClosing() }
    }

    private func beWatched() {
        isWatched = true
        progress = link.eventLoop.now
        link.watch(self)
    }

    /// A client that sends one message after the other confirms with the next; one that falls silent does so soon.
    private func scheduleConfirmation() {
        guard !isConfirmationScheduled else { return }
        isConfirmationScheduled = true
        link.confirmSoon(self)
    }

    func confirm() {
        isConfirmationScheduled = false
        guard !isClosed else { return }
        core?.machine.confirm()
        pump()
    }

    private func attachIfWanted(_ core: Core) {
        guard core.machine.wantsAttach, !isHeld, let nonce = link.nonce, wantsSession(core) else { return }
        if let stream { link.closeStream(stream) }
        let stream = link.openStream(self)
        self.stream = stream
        core.machine.attach(stream, nonce: nonce)
    }

    /// An attach is due when there is something to say, and once for each connection so that trouble shows early.
    private func wantsSession(_ core: Core) -> Bool { stream == nil || core.machine.hasUnanswered || !queue.isEmpty }

    /// True if the log answered at once.
    private func runLog(of core: Core) -> Bool {
        var hasAnswered = false
        while let operation = core.machine.nextLogOperation() {
            do throws(RecallError) {
                let answer = try immediate?.answerNow(operation)
                if case .append = operation { appendsAtOnce = answer != nil }
                guard let answer else {
                    perform(operation)
                    break
                }
                core.machine.logAnswered(answer)
                hasAnswered = true
            } catch {
                core.machine.logFailed(error.code, error.message)
            }
        }
        return hasAnswered
    }

    private func perform(_ operation: LogOperation) {
        let bound = NIOLoopBound(self, eventLoop: link.eventLoop)
        let (log, eventLoop) = (log, link.eventLoop)
        let executor = link.configuration.surroundings.executor
        guard executor != nil || immediate == nil else {
            // On the loop, so that nothing but the log's own thread, if it has one, has to wake for it.
            Task(executorPreference: link.executor) { bound.value.logEnded(await log.result(of: operation)) }
            return
        }
        Task(executorPreference: executor) {
            let result = await log.result(of: operation)
            eventLoop.execute { bound.value.logEnded(result) }
        }
    }

    private func logEnded(_ result: Result<LogAnswer, any Error>) {
        switch result {
        case .success(let answer): core?.machine.logAnswered(answer)
        case .failure(let error as RecallError): core?.machine.logFailed(error.code, error.message)
        case .failure(let error): core?.machine.logFailed(.logFailed, "\(error)")
        }
        pump()
    }

    /// Wakes callers and tells watchers; true if there was anything.
    @discardableResult
    private func handleEvents() -> Bool {
        guard let core else { return false }
        let events = core.machine.takeEvents()
        guard !events.isEmpty else { return false }
        for event in events {
            switch event {
            case .deliver(let calls, let result): finish(calls, .success(result))
            case .attached(let replayed, let microseconds): attached(replayed, microseconds)
            case .recallAsked: break
            case .checkpointKept(let number, let byteCount):
                notices.yield(.checkpoint(at: number, byteCount: byteCount))
            case .adopted(let number): notices.yield(.adopted(at: number))
            case .refusedForNow(let code, let text): hold(code, text)
            case .failed(let code, let text):
                guard code != .closed else { continue }
                notices.yield(.failed(code, text))
                leaveLink()
                logger.error("the session has ended", metadata: ["code": "\(code)", "reason": "\(text)"])
            }
        }
        return true
    }

    private func attached(_ replayed: UInt64, _ microseconds: UInt64) {
        link.succeeded()
        backoff.reset()
        if let endpoint = link.endpoint { notices.yield(.connected(to: endpoint)) }
        if replayed > 0 || microseconds > 0 {
            notices.yield(
                .recalled(messages: Int(clamping: replayed), duration: .microseconds(Int64(clamping: microseconds))))
        }
    }

    /// A server that lives but has lost the session says nothing: what is unanswered for too long is sent again.
    func checkPatience(at now: NIODeadline) -> Patience {
        guard let core, !isClosed, core.isWaiting else {
            isWatched = false
            return .content
        }
        return (now - progress).nanoseconds > link.configuration.silenceLimit.nanoseconds ? .exhausted : .waiting
    }

    func stalled() {
        progress = link.eventLoop.now
        core?.machine.stalled()
        pump()
    }
}
