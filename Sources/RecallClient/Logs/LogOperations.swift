internal import Recall
internal import RecallCore

extension MessageLog {
    func result(of operation: LogOperation) async -> Result<LogAnswer, any Error> {
        do { return .success(try await perform(operation)) } catch { return .failure(error) }
    }

    /// Carries one operation out.
    private func perform(_ operation: LogOperation) async throws -> LogAnswer {
        switch operation {
        case .append(let entries):
            try await append(entries)
            return .done
        case .keep(let checkpoint, let number):
            try await keep(checkpoint, truncating: number)
            return .done
        case .adopt(let checkpoint, let receipt):
            try await adopt(checkpoint, receipt: receipt)
            return .done
        case .readSlice(let number):
            return .slice(try await slice(after: number, maximumBytes: WireLimits.receiptInterval))
        case .readReceipt(let number): return .receipt(try await receipt(atOrBefore: number))
        case .readCheckpoint(let generation): return .checkpoint(try await checkpoint(generation: generation))
        }
    }
}

extension ImmediateMessageLog {
    /// Carries an operation out at once; nil if it has to wait for its turn with all others.
    func answerNow(_ operation: LogOperation) throws(RecallError) -> LogAnswer? {
        switch operation {
        case .append(let entries): try appendNow(entries) ? .done : nil
        case .keep(let checkpoint, let number): try keepNow(checkpoint, truncating: number) ? .done : nil
        case .readSlice(let number):
            try sliceNow(after: number, maximumBytes: WireLimits.receiptInterval).map { .slice($0) }
        case .adopt, .readReceipt, .readCheckpoint: nil
        }
    }
}
