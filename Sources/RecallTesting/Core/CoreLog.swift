package import RecallCore

/// A client's log in memory, which can lose what was not synced, and which insists on its own rules.
///
/// Every entry is a step; a crash takes the last steps away, back to the last sync at most. What a checkpoint lets it
/// forget is kept in an archive for whoever checks it.
package final class CoreLog {
    /// Something that no client may ask of a log.
    package struct Breach: Error, CustomStringConvertible {
        package let description: String
    }

    struct State {
        var header: LogHeader?
        /// Messages up to here are forgotten.
        var base = SequenceNumber.zero
        /// All messages since the log was begun or adopted a state, forgotten ones included.
        var archive: [LoggedMessage] = []
        /// The number before the archive's first: 0 unless a state was adopted.
        var archiveBase = SequenceNumber.zero
        var receipts: [Receipt] = []
        var checkpoints: [Checkpoint] = []

        var last: SequenceNumber { archiveBase.advanced(by: archive.count) }
        var receipt: Receipt? { receipts.last }
    }

    private(set) var state = State()
    /// What the log was before each unsynced step, oldest first.
    private var earlier: [State] = []
    /// If true, every step is durable at once.
    package var syncsAlways: Bool

    package init(syncsAlways: Bool = true) { self.syncsAlways = syncsAlways }

    package var header: LogHeader? { state.header }
    package var last: SequenceNumber { state.last }
    package var receipt: Receipt? { state.receipt }
    package var checkpoints: [Checkpoint] { state.checkpoints }
    package var unsyncedSteps: Int { earlier.count }
    /// False once a state was adopted: what led to it is not known.
    package var isWhole: Bool { state.archiveBase == .zero }

    /// The state that the acknowledged messages lead to.
    package var acknowledgedState: CoreState {
        CoreState(replaying: state.archive.prefix(acknowledged.distance(from: state.archiveBase)))
    }

    /// The state after so many updates.
    package func state(at number: SequenceNumber) -> CoreState {
        CoreState(replaying: state.archive.prefix(number.distance(from: state.archiveBase)))
    }

    package var messages: [LoggedMessage] { state.archive }
    package func message(_ number: SequenceNumber) -> LoggedMessage? {
        let index = number.distance(from: state.archiveBase) - 1
        return number > state.archiveBase && state.archive.indices.contains(index) ? state.archive[index] : nil
    }
    package var acknowledged: SequenceNumber { receipt?.position.number ?? .zero }

    private func step(_ body: (inout State) throws(Breach) -> Void) throws(Breach) {
        let before = state
        try body(&state)
        if !syncsAlways { earlier.append(before) }
    }

    package func sync() { earlier = [] }

    // MARK: Faults

    /// Takes away the last steps, as a crash of the machine does; at most what is not synced.
    package func lose(steps: Int) {
        guard steps > 0, !earlier.isEmpty else { return }
        let index = max(0, earlier.count - steps)
        state = earlier[index]
        earlier.removeSubrange(index...)
    }

    /// Takes away messages that have no acknowledgement behind them: what a lost tail may take without breaking any
    /// promise.
    package func loseUnacknowledged(_ count: Int) {
        let tail = state.last.distance(from: acknowledged)
        state.archive.removeLast(min(count, tail))
        earlier = []
    }

    /// Takes the log back to an acknowledged update, as an old backup does.
    package func rewind(to number: SequenceNumber) {
        state.archive.removeLast(state.last.distance(from: number))
        state.receipts.removeAll { $0.position.number > number }
        state.checkpoints.removeAll { $0.position.number > number }
        for index in state.archive.indices.reversed() where state.archive[index].number > acknowledged {
            state.archive[index].determinants = []
        }
        earlier = []
    }

    /// Changes a message, a checkpoint or a receipt in place, as a damaged disk or a forger does.
    package func tamper(_ body: (inout [LoggedMessage], inout [Receipt], inout [Checkpoint]) -> Void) {
        var (messages, receipts, checkpoints) = (state.archive, state.receipts, state.checkpoints)
        body(&messages, &receipts, &checkpoints)
        (state.archive, state.receipts, state.checkpoints) = (messages, receipts, checkpoints)
    }

    /// Changes whose log it says it is.
    package func changeHeader(_ body: (inout LogHeader) -> Void) {
        guard var header = state.header else { return }
        body(&header)
        state.header = header
    }

    /// The same log for another client, as a careless backup makes.
    package func copy() -> CoreLog {
        let log = CoreLog(syncsAlways: syncsAlways)
        log.state = state
        return log
    }

    // MARK: Operations

    package func begin(_ header: LogHeader) throws(Breach) {
        guard state.header == nil else { throw Breach(description: "the log holds a session already") }
        state.header = header
        earlier = []
    }

    package func perform(_ operation: LogOperation) throws(Breach) -> LogAnswer {
        switch operation {
        case .append(let entries):
            for entry in entries { try step { state throws(Breach) in try Self.append(entry, to: &state) } }
        case .keep(let checkpoint, let number):
            try step { state throws(Breach) in try Self.keep(checkpoint, number, in: &state) }
            sync()
        case .adopt(let checkpoint, let receipt):
            guard checkpoint.position == receipt.position else {
                throw Breach(description: "the receipt to adopt is at another position")
            }
            let header = state.header
            state = State()
            (state.header, state.receipts, state.checkpoints) = (header, [receipt], [checkpoint])
            (state.base, state.archiveBase) = (receipt.position.number, receipt.position.number)
            sync()
        case .readSlice(let number): return .slice(try slice(after: number))
        case .readReceipt(let number): return .receipt(receipt(atOrBefore: number))
        case .readCheckpoint(let generation):
            return .checkpoint(checkpoints.indices.contains(generation) ? checkpoints[generation] : nil)
        }
        return .done
    }

    private static func append(_ entry: LogEntry, to state: inout State) throws(Breach) {
        switch entry {
        case .message(let message):
            guard message.number == state.last.next else {
                throw Breach(description: "message \(message.number) after \(state.last)")
            }
            state.archive.append(message)
        case .acknowledgement(let acknowledgement):
            let number = acknowledgement.receipt.position.number
            guard number <= state.last, number > state.receipt?.position.number ?? .zero else {
                throw Breach(description: "a receipt at \(number) in a log that ends at \(state.last)")
            }
            for (number, bytes) in acknowledgement.determinants {
                let index = number.distance(from: state.archiveBase) - 1
                guard state.archive.indices.contains(index), state.archive[index].determinants.isEmpty else {
                    throw Breach(description: "determinants of \(number) a second time")
                }
                state.archive[index].determinants = bytes
            }
            if let old = acknowledgement.supersedes { state.receipts.removeAll { $0.position.number == old } }
            state.receipts.append(acknowledgement.receipt)
        }
    }

    /// Truncation never removes what the newest two checkpoints need.
    private static func keep(
        _ checkpoint: Checkpoint, _ truncating: SequenceNumber, in state: inout State
    ) throws(Breach) {
        let number = checkpoint.position.number
        guard state.receipt?.position == checkpoint.position else {
            throw Breach(description: "a checkpoint at \(number), where the log has no acknowledgement")
        }
        let former = state.checkpoints.first?.position.number
        guard number > former ?? .zero, truncating <= former ?? .zero, truncating >= state.base else {
            throw Breach(description: "truncating up to \(truncating) for a checkpoint at \(number)")
        }
        state.checkpoints = [checkpoint] + state.checkpoints.prefix(1)
        state.base = truncating
        state.receipts.removeAll { $0.position.number <= truncating }
    }

    private func receipt(atOrBefore number: SequenceNumber) -> Receipt? {
        state.receipts.last { $0.position.number <= number }
    }

    /// As `MessageLog.slice` has it, with a bound of so many bytes.
    package var sliceBytes = 64 << 10

    private func slice(after number: SequenceNumber) throws(Breach) -> LogSlice {
        guard number >= state.base else {
            throw Breach(description: "the messages after \(number) were forgotten up to \(state.base)")
        }
        let start = number.distance(from: state.archiveBase)
        let rest = state.archive.dropFirst(start)
        let ends = state.receipts.filter { $0.position.number > number }
        guard !ends.isEmpty else {
            return LogSlice(messages: Array(rest), receipt: nil)
        }
        var best: Receipt?
        var bytes = 0
        var next = number
        for receipt in ends {
            for message in rest.dropFirst(next.distance(from: number)).prefix(
                receipt.position.number.distance(from: next))
            {
                bytes += message.content.count + message.determinants.count
            }
            next = receipt.position.number
            if best != nil, bytes > sliceBytes { break }
            best = receipt
        }
        let count = (best?.position.number ?? number).distance(from: number)
        return LogSlice(messages: Array(rest.prefix(count)), receipt: best)
    }
}

extension CoreLog {
    /// What a client finds when it opens the log: determinants past the newest receipt are gone, the chain verifies.
    package func recover(_ cryptography: Cryptography) throws -> RecoveredLog? {
        guard let header else { return nil }
        var recovered = RecoveredLog(header: header)
        recovered.checkpoints = checkpoints.map { .init(position: $0.position, byteCount: $0.byteCount) }
        let base = recovered.checkpoints.first?.position ?? .start
        recovered.reachesStart = state.base == .zero
        var verifier = LogVerifier(vector: header.vector, base: base, cryptography)
        if let receipt = receipt(atOrBefore: base.number), receipt.position == base { recovered.receipt = receipt }
        var number = base.number
        while number < last {
            let slice = try slice(after: number)
            guard let end = slice.messages.last?.number else { break }
            let seals = try verifier.verify(slice)
            number = end
            if let receipt = slice.receipt {
                recovered.receipt = receipt
                recovered.historyBytes += slice.messages.reduce(0) { $0 + $1.content.count + $1.determinants.count }
            } else {
                for (message, seal) in zip(slice.messages, seals) { recovered.tail.append((message.content, seal)) }
            }
        }
        return recovered
    }
}
