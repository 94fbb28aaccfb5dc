package import RecallCore

/// One call of a client and what became of it.
package final class CoreCall {
    package let text: String
    package let isRequest: Bool
    package private(set) var results: [CallResult] = []
    /// True if the client died before it was answered.
    package var isOrphaned = false

    init(_ text: String, isRequest: Bool) { (self.text, self.isRequest) = (text, isRequest) }

    package var result: CallResult? { results.first }
    /// The reply as text; nil if there is none yet or it failed.
    package var reply: String? {
        guard case .reply(let bytes)? = result else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
    package var failure: FaultCode? {
        guard case .failed(let code, _)? = result else { return nil }
        return code
    }
    func end(_ result: CallResult) { results.append(result) }
}

/// One client of the harness: a real client machine, a log, and what a shell does around them.
package final class CoreClient {
    package let name: String
    package let kindName: [UInt8]
    package let kindVersion: UInt32
    package var credentials: [UInt8] = []
    package var log: CoreLog
    /// If true, log operations end at once; else each waits for `stepLog`.
    package var logIsImmediate = true
    package private(set) var connection: CoreConnection?
    package private(set) var calls: [CoreCall] = []
    package private(set) var events: [ClientEvent] = []
    /// Why the session ended for this client.
    package private(set) var failure: (code: FaultCode, text: String)?
    /// A log operation that the log refused: a bug of the machine.
    package private(set) var breach: String?
    package private(set) var isRunning = true
    /// Called before a call gets its result.
    package var onResult: (CoreCall, CallResult) -> Void = { _, _ in }
    /// Called with each frame that the machine writes.
    package var onWrite: (_ body: [UInt8]) -> Void = { _ in }

    private let cryptography: Cryptography
    private let limits: ClientLimits
    private var machine: ClientMachine?
    private var operation: LogOperation?
    private var nonce: Digest?
    private var stream: StreamID?
    private var lastStream: UInt32 = 0
    private var window = (messages: Int.max, bytes: Int.max)
    private var waiting: [CallID: CoreCall] = [:]
    /// Kept, so that a second answer shows.
    private var answered: [CallID: CoreCall] = [:]
    private var queue: [(id: CallID, call: CoreCall)] = []
    private var lastCall: UInt64 = 0

    package init(
        _ name: String, kind: [UInt8], version: UInt32 = 1, log: CoreLog = CoreLog(), limits: ClientLimits = .init(),
        _ cryptography: Cryptography
    ) {
        (self.name, kindName, kindVersion, self.log) = (name, kind, version, log)
        (self.limits, self.cryptography) = (limits, cryptography)
        open()
    }

    package var session: SessionID? { log.header?.session }
    package var acknowledged: SequenceNumber { machine?.acknowledged ?? .zero }
    package var isLive: Bool { machine?.isLive ?? false }
    package var hasLogWork: Bool { !(machine?.isLogIdle ?? true) }
    package var currentStream: StreamID? { stream }
    package var currentNonce: Digest? { nonce }
    /// True if every call was answered and the log is still.
    package var isQuiet: Bool { queue.isEmpty && (machine?.isQuiet ?? waiting.isEmpty) }
    package var hasUnanswered: Bool { !queue.isEmpty || machine?.hasUnanswered == true }
    /// Updates and requests that no caller waits for, or that wait.
    package var isConnected: Bool { connection != nil }

    /// How the client stands, for a failure's report.
    package var summary: String {
        let place = connection.map { "on \($0.id.rawValue) to \($0.server.name), stream \(stream?.rawValue ?? 0)" }
        let state = isLive ? "live" : machine?.wantsAttach == true ? "wants to attach" : "not live"
        let status = session.flatMap { connection?.server.status(of: $0) }.map { "\($0)" } ?? "no place there"
        return "\(name): \(place ?? "not connected"), \(state), log at \(log.acknowledged)/\(log.last), \(status)"
    }

    // MARK: Calls

    @discardableResult
    package func send(_ text: String) -> CoreCall { take(CoreCall(text, isRequest: false)) }

    @discardableResult
    package func read(_ text: String = "get") -> CoreCall { take(CoreCall(text, isRequest: true)) }

    private func take(_ call: CoreCall) -> CoreCall {
        lastCall += 1
        let id = CallID(lastCall)
        calls.append(call)
        waiting[id] = call
        queue.append((id, call))
        return call
    }

    // MARK: Life

    private func open() {
        do {
            if let recovered = try log.recover(cryptography) {
                machine = ClientMachine(recovered, limits: limits, cryptography)
            }
        } catch { breach = "the log does not open: \(error)" }
    }

    /// The process dies: callers hear nothing more, the log keeps what `loss` leaves of it.
    package func crash(_ loss: (CoreLog) -> Void = { _ in }) {
        connection?.clientIsOpen = false
        (connection, nonce, stream) = (nil, nil, nil)
        operation = nil
        machine = nil
        for call in waiting.values { call.isOrphaned = true }
        (waiting, queue) = ([:], [])
        isRunning = false
        loss(log)
    }

    package func restart() {
        guard !isRunning else { return }
        isRunning = true
        open()
    }

    // MARK: The connection

    func connected(_ connection: CoreConnection) {
        leave()
        self.connection = connection
        var hello = ByteWriter()
        hello.frame(ClientHello(authentication: credentials))
        connection.toServer.append(contentsOf: CoreServer.frames(hello.bytes))
    }

    /// This side ends the connection, or finds out that it is over.
    package func leave() {
        guard let connection else { return }
        connection.clientIsOpen = false
        (self.connection, nonce, stream) = (nil, nil, nil)
        machine?.disconnected()
    }

    /// A frame's body; of another connection than the present one it is of no interest.
    package func receive(_ connection: CoreConnection, _ body: [UInt8]) {
        guard connection === self.connection else { return }
        do throws(WireError) { try receive(body) } catch { leave() }
    }

    private func receive(_ body: [UInt8]) throws(WireError) {
        var reader = ByteReader(body.span.bytes)
        let type = try reader.frameType()
        switch type {
        case .serverHello: try greeted(ServerHello(reading: &reader))
        case .drain: leave()
        case .pong: _ = try Pong(reading: &reader)
        case .initiated: initiated(try Initiated(reading: &reader))
        case .refusal:
            let refusal = try Refusal(reading: &reader)
            if refusal.stream == .connection { return leave() }
            guard refusal.stream == stream else { return }
            guard machine != nil else { return refused(refusal) }
            var again = ByteReader(body.span.bytes.extracting(droppingFirst: 1))
            try machine?.receive(type, &again)
        default:
            var peek = reader
            guard try peek.stream() == stream else { return }
            try machine?.receive(type, &reader)
        }
    }

    private func greeted(_ hello: ServerHello) {
        nonce = hello.nonce
        lastStream = 0
        window = (Int(hello.windowMessages), Int(hello.windowBytes))
        machine?.limit(messages: window.messages, bytes: window.bytes)
        guard machine == nil else { return }
        lastStream += 1
        stream = StreamID(lastStream)
        var writer = ByteWriter()
        writer.frame(Initiate(stream: StreamID(lastStream), kindVersion: kindVersion, kindName: kindName))
        connection?.toServer.append(contentsOf: CoreServer.frames(writer.bytes))
    }

    private func initiated(_ frame: Initiated) {
        guard machine == nil, frame.stream == stream else { return }
        let header = LogHeader(
            session: frame.session, vector: frame.vector, kindName: kindName, kindVersion: kindVersion)
        do { try log.begin(header) } catch { breach = "\(error)" }
        open()
        machine?.limit(messages: window.messages, bytes: window.bytes)
        stream = nil
    }

    private func refused(_ refusal: Refusal) {
        if refusal.code.isRetryable { return leave() }
        failure = (refusal.code, String(decoding: refusal.text, as: UTF8.self))
        while !queue.isEmpty {
            let (id, call) = queue.removeFirst()
            waiting[id] = nil
            call.end(.failed(refusal.code, ""))
        }
    }

    // MARK: Work

    /// Does what the machine has to be done; true if anything was.
    @discardableResult
    package func work() -> Bool {
        guard isRunning, machine != nil else { return false }
        var didAny = false
        while true {
            admit()
            attachIfWanted()
            var didWork = logIsImmediate ? stepLog() : false
            machine?.advance()
            didWork = handleEvents() || didWork
            didWork = write() || didWork
            guard didWork else { return didAny }
            didAny = true
        }
    }

    private func admit() {
        while let (id, call) = queue.first {
            let content = Array(call.text.utf8)
            let fits = call.isRequest ? machine?.hasRoomForRequest : machine?.hasRoom(for: content.count)
            guard fits == true || machine?.failure != nil else { return }
            queue.removeFirst()
            if call.isRequest { machine?.request(content, call: id) } else { machine?.submit(content, call: id) }
        }
    }

    private func attachIfWanted() {
        guard let nonce, machine?.wantsAttach == true else { return }
        guard stream == nil || hasUnanswered else { return }
        lastStream += 1
        stream = StreamID(lastStream)
        machine?.attach(StreamID(lastStream), nonce: nonce)
    }

    /// Performs one log operation; false if there is none.
    @discardableResult
    package func stepLog() -> Bool {
        guard operation != nil || beginLogOperation() else { return false }
        endLogOperation()
        return true
    }

    /// Takes one log operation on, to be ended later; false if there is none.
    package func beginLogOperation() -> Bool {
        operation = machine?.nextLogOperation()
        return operation != nil
    }

    /// Carries out what was begun.
    package func endLogOperation() {
        guard let operation else { return }
        self.operation = nil
        do { machine?.logAnswered(try log.perform(operation)) } catch {
            breach = "\(error)"
            machine?.logFailed(.logFailed, "\(error)")
        }
    }

    private func handleEvents() -> Bool {
        guard let new = machine?.takeEvents(), !new.isEmpty else { return false }
        events.append(contentsOf: new)
        for event in new {
            switch event {
            case .deliver(let calls, let result):
                for id in calls {
                    guard let call = waiting.removeValue(forKey: id) ?? answered[id] else { continue }
                    answered[id] = call
                    onResult(call, result)
                    call.end(result)
                }
            case .refusedForNow: leave()
            case .failed(let code, let text): failure = (code, text)
            case .attached, .recallAsked, .checkpointKept, .adopted: break
            }
        }
        return true
    }

    private func write() -> Bool {
        guard let bytes = machine?.takeOutput(), !bytes.isEmpty else { return false }
        let frames = CoreServer.frames(bytes)
        for frame in frames { onWrite(frame) }
        connection?.toServer.append(contentsOf: frames)
        return connection != nil
    }

    /// Nothing was heard for too long.
    package func stall() { machine?.stalled() }

    /// Gives up waiting for a call.
    package func forget(_ call: CoreCall) {
        guard let id = waiting.first(where: { $0.value === call })?.key else { return }
        machine?.forget(id..<id.advanced(by: 1))
        waiting[id] = nil
    }

    /// Writes a frame as it is, in place of the machine.
    package func inject<F: FrameFields>(_ fields: F, tail: (inout ByteWriter) -> Void = { _ in }) {
        var writer = ByteWriter()
        writer.frame(fields, tail: tail)
        connection?.toServer.append(contentsOf: CoreServer.frames(writer.bytes))
    }
}
