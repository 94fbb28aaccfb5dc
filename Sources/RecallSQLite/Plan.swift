internal import Recall
internal import RecallCore

/// What a log keeps of what can be read: the longest history without a gap.
struct Plan {
    /// Messages up to here are forgotten.
    var base: Int64 = 0
    var last: Int64 = 0
    var messages: ClosedRange<Int64>?
    /// How many of the forgotten had determinants.
    var determinants: UInt64 = 0
    /// True if the log is known to have forgotten its beginning.
    private var isForgotten = false
    /// The newest usable receipt.
    var receipt: Int64?
    /// The first receipt that covers determinants that are not there.
    var firstUncovered: Int64?
    /// Newest first, at most two: those that a history can begin with and that a receipt at or after them proves. No
    /// server takes another.
    var checkpoints: [CheckpointRow] = []

    init(_ survey: Survey) {
        let checkpoints = survey.checkpoints.map { $0.summary.position.number.clampedRow }
        last = checkpoints.first ?? 0
        base = last
        isForgotten = (survey.bounds?.base ?? 0) > 0
        // A run is of use if the history begins with it or a checkpoint stands where it begins or within it; then it
        // begins there. If neither is so although nothing is missing, it was made so.
        for run in survey.runs where run.upperBound >= last && run.lowerBound >= 1 {
            let reach = run.lowerBound - 1...run.upperBound
            let isKnown = reach.lowerBound == 0 || survey.isKnownBase(reach.lowerBound)
            guard let start = isKnown ? reach.lowerBound : checkpoints.last(where: reach.contains) else { continue }
            (base, last) = (start, run.upperBound)
            messages = start < last ? start + 1...last : nil
        }
        findReceipt(survey)
        // What follows the newest checkpoint needs nothing of what lies before it.
        if let newest = checkpoints.first, newest > base, newest > receipt ?? -1 {
            var shorter = self
            shorter.base = newest
            shorter.messages = newest < last ? newest + 1...last : nil
            shorter.findReceipt(survey)
            if shorter.receipt != nil {
                shorter.firstUncovered = firstUncovered
                self = shorter
            }
        }
        self.checkpoints = survey.checkpoints.prefix(2).filter {
            let number = $0.summary.position.number.clampedRow
            return number >= base && number <= receipt ?? -1
        }
    }

    /// False if what is left begins where nothing is known: its beginning was forgotten, and no checkpoint is left that
    /// a receipt proves.
    var isUsable: Bool {
        if base == 0, messages != nil || !isForgotten { return true }
        return checkpoints.contains { $0.summary.position.number.clampedRow == base }
    }

    /// True if no message is lost, nor anything that a server acknowledged.
    func reaches(_ ends: Ends) -> Bool {
        guard ends.isStructureWhole, let message = ends.message, let receipt = ends.receipt,
            let determinants = ends.determinants
        else { return false }
        return message <= last && max(receipt, determinants, ends.checkpoint) <= self.receipt ?? -1
    }

    /// A receipt needs every message and all determinants that it covers.
    private mutating func findReceipt(_ survey: Survey) {
        determinants = Self.determinants(survey, upTo: base)
        firstUncovered = self.firstUncovered(survey)
        receipt =
            survey.receipts.last {
                $0.number >= base && $0.number <= last && $0.number < firstUncovered ?? .max
            }?.number
    }

    /// How many updates up to the base had determinants. Known twice, so that damage in one place does not hide
    /// another's.
    private static func determinants(_ survey: Survey, upTo base: Int64) -> UInt64 {
        if let bounds = survey.bounds, bounds.base == base { return bounds.determinants }
        let checkpoint = survey.checkpoints.first { $0.summary.position.number.clampedRow == base }
        return checkpoint?.determinants ?? 0
    }

    /// The first receipt up to which fewer determinants are there than were, if any.
    private func firstUncovered(_ survey: Survey) -> Int64? {
        var before = determinants
        var index = survey.determinants.partitioningIndex { $0 > base }
        for mark in survey.receipts where mark.number > base {
            let end = survey.determinants.partitioningIndex { $0 > mark.number }
            if mark.determinants &- before != UInt64(end - index) { return mark.number }
            before = mark.determinants
            index = end
        }
        return nil
    }
}

extension [Int64] {
    /// The first index whose element, and hence all after it, fulfils the condition; the array is sorted by it.
    fileprivate func partitioningIndex(_ condition: (Int64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// The last row of each kind that is or was there, whether it can be read or not: nil if that is not known, -1 if there
/// was none.
struct Ends: Hashable {
    private(set) var message: Int64?
    private(set) var receipt: Int64?
    /// Determinants come with acknowledgements only.
    private(set) var determinants: Int64?
    /// False if a page may hide rows: a count of them that was altered makes the last ones vanish.
    var isStructureWhole = true
    /// The newest that is whole: without one that is not, nothing is lost if the one before it is there.
    var checkpoint: Int64 = -1

    mutating func set(_ table: Schema.Table, _ end: Int64?) {
        switch table {
        case .messages: message = end
        case .receipts: receipt = end
        case .determinants: determinants = end
        case .header, .checkpoints, .segments: break
        }
    }

    func union(_ other: Ends) -> Ends {
        func later(_ a: Int64?, _ b: Int64?) -> Int64? { a.flatMap { a in b.map { max(a, $0) } } }
        var result = self
        result.isStructureWhole = isStructureWhole && other.isStructureWhole
        result.message = later(message, other.message)
        result.receipt = later(receipt, other.receipt)
        result.determinants = later(determinants, other.determinants)
        result.checkpoint = max(checkpoint, other.checkpoint)
        return result
    }
}
