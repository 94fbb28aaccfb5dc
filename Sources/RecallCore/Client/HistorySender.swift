/// Answers one recall: reads the log piece by piece and sends it, never more ahead than the server has given credit
/// for.
struct HistorySender: Sendable {
    enum Stage: Sendable, Equatable {
        /// Looks for the receipt at or before the position that the server named.
        case findingReceipt(Position)
        /// Recomputes the chain from that receipt to the position.
        case comparing(Position, from: Position)
        /// Reads a checkpoint.
        case checkpoint(generation: Int)
        /// Sends what follows a number.
        case messages(after: SequenceNumber)
        case ended
    }

    let stream: StreamID
    let recall: RecallID
    /// Where the history ends: what was acknowledged when the stream attached.
    let end: Position
    var stage: Stage
    private(set) var credit: Int

    init(stream: StreamID, recall: RecallID, end: Position, stage: Stage, credit: UInt8) {
        (self.stream, self.recall, self.end, self.stage) = (stream, recall, end, stage)
        self.credit = Int(credit)
    }

    mutating func add(credit chunks: UInt8, to recall: RecallID) {
        if recall == self.recall { credit = min(credit + Int(chunks), 1024) }
    }

    mutating func spendCredit() { credit -= 1 }

    /// What to read next; nil while nothing may be sent.
    var nextRead: LogOperation? {
        if case .messages = stage, credit <= 0 { nil } else { read }
    }

    /// What the present stage reads.
    var read: LogOperation? {
        switch stage {
        case .findingReceipt(let position): .readReceipt(atOrBefore: position.number)
        case .comparing(_, let base): .readSlice(after: base.number)
        case .checkpoint(let generation): .readCheckpoint(generation: generation)
        case .messages(let number): .readSlice(after: number)
        case .ended: nil
        }
    }
}

extension ClientMachine {
    mutating func recallAsked(_ frame: RecallRequest) {
        // The state that the log is taking over has no history yet, and what is there goes.
        guard !isAdopting else { return }
        events.append(.recallAsked)
        beginHistory(frame.stream, frame.recall, frame.origin, credit: frame.credit)
    }

    mutating func beginHistory(
        _ stream: StreamID, _ recall: RecallID, _ origin: RecallRequest.Origin, credit: UInt8
    ) {
        histories &+= 1
        func sender(_ stage: HistorySender.Stage) -> HistorySender {
            HistorySender(stream: stream, recall: recall, end: front, stage: stage, credit: credit)
        }
        switch origin {
        case .newest where newestCheckpoint != nil: history = sender(.checkpoint(generation: 0))
        case .older where olderCheckpoint != nil: history = sender(.checkpoint(generation: 1))
        // It will be the older one by the time that the log is read.
        case .older where newestCheckpoint != nil && isKeeping: history = sender(.checkpoint(generation: 1))
        // An adopted state is all that there is: the server says what is wrong with it.
        case .older where newestCheckpoint != nil && !reachesStart: history = sender(.checkpoint(generation: 0))
        case .newest, .older: start(sender(.messages(after: .zero)), .start, after: .zero)
        case .after(let position) where position == front:
            start(sender(.messages(after: position.number)), .gap, after: position.number)
        case .after(let position) where position.number < front.number: history = sender(.findingReceipt(position))
        case .after: beginHistory(stream, recall, .newest, credit: credit)
        }
    }

    /// Sends what a history begins with; its messages follow as the log gives them.
    private mutating func start(
        _ sender: HistorySender, _ base: HistoryStart.Base, after number: SequenceNumber, segments: [[UInt8]] = []
    ) {
        output.frame(HistoryStart(stream: sender.stream, recall: sender.recall, base: base))
        for (index, segment) in segments.enumerated() {
            output.frame(HistorySegment(stream: sender.stream, recall: sender.recall, index: UInt32(index))) {
                $0.append(segment.span.bytes)
            }
        }
        history = sender
        history?.stage = .messages(after: number)
        guard number == sender.end.number else { return }
        // A history without messages still ends with a chunk, which carries the receipt.
        output.frame(
            HistoryChunk(
                stream: sender.stream, recall: sender.recall, isLast: true, first: number.next, receipt: logged))
        history?.stage = .ended
    }

    /// The log answered a read of the sender.
    mutating func historyRead(_ operation: LogOperation, _ answer: LogAnswer) {
        // What was read for an earlier history may be forgotten by the time that the present one goes on from it.
        guard let history, readsFor == histories, history.read == operation else { return }
        switch (history.stage, answer) {
        case (.findingReceipt(let position), .receipt(let receipt)): compare(history, position, receipt)
        case (.comparing(let position, let base), .slice(let slice)):
            let verifier = LogVerifier(vector: header.vector, base: base, cryptography)
            decide(history, position, verifier.position(at: position.number, in: slice) == position)
        case (.checkpoint, .checkpoint(let checkpoint)): sendCheckpoint(history, checkpoint)
        case (.messages(let number), .slice(let slice)): sendChunk(history, slice, after: number)
        default: break
        }
    }

    private mutating func compare(_ sender: HistorySender, _ position: Position, _ receipt: Receipt?) {
        var base: Position? = receipt?.position
        for checkpoint in [olderCheckpoint, newestCheckpoint].compactMap({ $0 })
        where checkpoint.number <= position.number && checkpoint.number > (base?.number ?? .zero) {
            base = checkpoint.position
        }
        // With a checkpoint the log may have forgotten its beginning, as it has after an adoption.
        if base == nil, newestCheckpoint == nil { base = .start }
        guard let base else { return decide(sender, position, false) }
        if base.number == position.number {
            decide(sender, position, base == position)
        } else {
            history?.stage = .comparing(position, from: base)
        }
    }

    private mutating func decide(_ sender: HistorySender, _ position: Position, _ agrees: Bool) {
        if agrees {
            start(sender, .gap, after: position.number)
        } else {
            beginHistory(sender.stream, sender.recall, .newest, credit: UInt8(clamping: sender.credit))
        }
    }

    private mutating func sendCheckpoint(_ sender: HistorySender, _ checkpoint: Checkpoint?) {
        guard let checkpoint else { return fail(.logFailed, "the log has lost a checkpoint that it had kept") }
        start(
            sender, .checkpoint(CheckpointHeader(checkpoint)), after: checkpoint.position.number,
            segments: checkpoint.segments)
    }

    private mutating func sendChunk(_ sender: HistorySender, _ slice: LogSlice, after number: SequenceNumber) {
        guard let receipt = slice.receipt, let first = slice.messages.first, first.number == number.next else {
            return fail(.logDamaged, "the log has lost messages after update \(number)")
        }
        let isLast = receipt.position.number >= sender.end.number
        let chunk = HistoryChunk(
            stream: sender.stream, recall: sender.recall, isLast: isLast, first: first.number, receipt: receipt)
        output.frame(chunk) { writer in
            for message in slice.messages {
                writer.block(message.content.span.bytes)
                writer.block(message.determinants.span.bytes)
            }
        }
        self.history?.spendCredit()
        self.history?.stage = isLast ? .ended : .messages(after: receipt.position.number)
    }
}
