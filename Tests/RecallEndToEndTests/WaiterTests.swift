import RecallCore
import Testing

@testable import RecallClient

/// Who waits, whatever the order in which calls end.
@Suite struct WaiterTests {
    private final class Recorder: Waiter {
        var results: [[Int]] = []
        override func resume(_ indices: Range<Int>, _ result: Result<CallResult, any Error>) {
            results.append(Array(indices))
            isWaiting = false
        }
    }

    private struct Gone: Error {}

    private func finish(_ calls: Range<CallID>, _ text: String?, in table: inout WaiterTable) {
        var left = calls
        while let (waiter, indices) = table.take(&left) {
            waiter.resume(indices, text.map { .success(.reply(Array($0.utf8))) } ?? .failure(Gone()))
        }
    }

    private func texts(_ results: [Result<CallResult, any Error>]) -> [String] {
        results.map {
            if case .success(.reply(let bytes)) = $0 { String(decoding: bytes, as: UTF8.self) } else { "gone" }
        }
    }

    @Test func aRunReachesAllWhoWaitForAPartOfIt() {
        var table = WaiterTable()
        let waiters = (0..<4).map { _ in Recorder() }
        let calls = zip(waiters, [1, 3, 1, 2]).map { table.add($0, count: $1) }
        finish(calls[0].lowerBound.advanced(by: 2)..<calls[3].lowerBound.advanced(by: 1), "a", in: &table)
        #expect(waiters.map(\.results) == [[], [[1, 2]], [[0]], [[0]]])
        #expect(table.holds(calls[0].lowerBound) && !table.holds(calls[2].lowerBound))
        finish(calls[0], "b", in: &table)
        #expect(waiters[0].results == [[0]])
    }

    /// Neither is anything given to those who wait for other calls.
    @Test func callsOfNobodyReachNobody() {
        var table = WaiterTable()
        let (first, second) = (Recorder(), Recorder())
        let calls = [table.add(first, count: 2), table.add(second, count: 1)]
        finish(calls[0], "a", in: &table)
        finish(calls[0], "b", in: &table)  // which is gone
        finish(calls[1].upperBound..<calls[1].upperBound.advanced(by: 5), "c", in: &table)
        finish(calls[1].lowerBound..<calls[1].lowerBound, "d", in: &table)
        #expect(first.results == [[0, 1]] && second.results == [])
        finish(CallID(0)..<calls[1].upperBound, "e", in: &table)
        #expect(second.results == [[0]])
    }

    @Test func theFirstResultOfEachCounts() async {
        var table = WaiterTable()
        let (first, last) = (Recorder(), Recorder())
        let before = table.add(first, count: 1)
        let results = await withCheckedContinuation { continuation in
            let batch = table.add(BatchWaiter(count: 5, continuation), count: 5)
            let after = table.add(last, count: 1)
            let start = batch.lowerBound
            finish(start..<start.advanced(by: 2), "answered", in: &table)
            finish(start.advanced(by: 4)..<batch.upperBound, "too", in: &table)
            #expect(!table.holds(start) && table.holds(start.advanced(by: 2)))
            finish(batch, nil, in: &table)  // all are cancelled
            finish(before.lowerBound..<after.upperBound, "late", in: &table)
            var none = CallID(0)..<CallID(0)
            #expect(table.take(&none) == nil && table.count == 0)
        }
        #expect(texts(results) == ["answered", "answered", "gone", "gone", "too"])
        #expect(first.results == [[0]] && last.results == [[0]])
    }

    /// Cancelled reads behind an update that waits for a server were kept until it had come.
    @Test func whoNeedsNothingMoreIsLetGo() {
        var table = WaiterTable()
        _ = table.add(Recorder(), count: 1)
        weak var second: Recorder?
        let calls: Range<CallID>
        do {
            let waiter = Recorder()
            second = waiter
            calls = table.add(waiter, count: 1)
        }
        #expect(second != nil)
        finish(calls, nil, in: &table)
        #expect(second == nil && table.count == 2)
    }

    /// Who gets a result may go on at once.
    @Test func othersAreAddedMeanwhile() {
        var table = WaiterTable()
        let waiters = (0..<3).map { _ in Recorder() }
        var left = table.add(waiters[0], count: 1).lowerBound..<table.add(waiters[1], count: 1).upperBound
        while let (waiter, indices) = table.take(&left) {
            waiter.resume(indices, .success(.reply([])))
            if waiter === waiters[0] { _ = table.add(waiters[2], count: 1) }
        }
        #expect(waiters.map(\.results) == [[[0]], [[0]], []])
        #expect(table.holds(CallID(3)))
    }
}
