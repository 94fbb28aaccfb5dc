import Recall
import RecallCore
import Synchronization
import Testing

/// Runs jobs when told to, on the thread that tells.
final class ManualExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    func run() -> Int {
        let ready = jobs.withLock { jobs in
            defer { jobs = [] }
            return jobs
        }
        for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
        return ready.count
    }
}

/// Lets an effect wait inside `perform` until the test opens it.
final class Gate: Sendable {
    private struct State {
        var isOpen = false, hasArrived = false
        var inside: CheckedContinuation<Void, Never>?
        var outside: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    func pass() async {
        await withCheckedContinuation { continuation in
            let (ready, waiter) = state.withLock { state in
                state.hasArrived = true
                if !state.isOpen { state.inside = continuation }
                return (state.isOpen, state.outside.take())
            }
            waiter?.resume()
            if ready { continuation.resume() }
        }
    }

    func arrived() async {
        await withCheckedContinuation { continuation in
            let isHere = state.withLock { state in
                if !state.hasArrived { state.outside = continuation }
                return state.hasArrived
            }
            if isHere { continuation.resume() }
        }
    }

    func open() {
        state.withLock { state in
            state.isOpen = true
            return state.inside.take()
        }?.resume()
    }
}

@Suite(.timeLimit(.minutes(1))) struct EffectTests {
    @Test func runsOnceAndAppliesItsOutcome() async throws {
        let keys = Mutex<[String]>([])
        let lab = Harness(
            Lab { state, key in
                keys.withLock { $0.append("\(key) at \(state.total)") }
                return 10
            })
        try await lab.send(Lab.Add(amount: 1))
        #expect(try await lab.send(Lab.Fetch(amount: 2)) == 13)
        #expect(lab.log.last?.determinants == Determinants(ending: .outcome(Array("12".utf8))))
        #expect(try lab.replay().state == lab.state)
        #expect(keys.withLock { $0 } == ["key 2 at 1"])
    }

    @Test func validatesBeforeAnythingHappens() async throws {
        let lab = Harness(Lab { _, _ in throw LabError(description: "was performed") })
        #expect(try lab.apply(Lab.Fetch(amount: 13)) == .refused)
        #expect(!lab.hosted.hasEffect)
        let junk: [UInt8] = [4, 1]
        guard case .failed(.undecodable, _) = lab.apply(raw: junk) else {
            Issue.record("junk was accepted")
            return
        }
    }

    /// The caller's thread spins while the effect runs, so an effect that ran there would never end.
    @Test @MainActor func performsOffTheCallersThread() throws {
        let lab = Harness(Lab { _, _ in 3 }), box = Shared()
        #expect(try lab.apply(Lab.Fetch(amount: 0)) == .effect)
        lab.hosted.launchEffect(key: "k") { box.put($0) }
        let deadline = ContinuousClock.now + .seconds(20)
        while box.value == nil, ContinuousClock.now < deadline {}
        #expect(try box.value?.get() == Array("3".utf8))
    }

    final class Shared: Sendable {
        private let slot = Mutex<Result<[UInt8], _EffectFailure>?>(nil)
        func put(_ value: Result<[UInt8], _EffectFailure>) { slot.withLock { $0 = value } }
        var value: Result<[UInt8], _EffectFailure>? { slot.withLock { $0 } }
    }

    @Test func runsOnThePreferredExecutor() throws {
        let executor = ManualExecutor(), box = Shared()
        let lab = Harness(Lab { _, _ in 3 })
        #expect(try lab.apply(Lab.Fetch(amount: 0)) == .effect)
        lab.hosted.launchEffect(key: "k", executor: executor) { box.put($0) }
        #expect(box.value == nil)
        while executor.run() > 0 {}
        #expect(try box.value?.get() == Array("3".utf8))
    }

    @Test func theStateCanBeReadButNotChangedMeanwhile() async throws {
        let gate = Gate(), box = Shared()
        let lab = Harness(
            Lab { _, _ in
                await gate.pass()
                return 5
            })
        try await lab.send(Lab.Add(amount: 1))
        let before = try lab.state, content = try lab.content(Lab.Fetch(amount: 0))
        #expect(lab.apply(raw: content) == .effect)
        #expect(lab.apply(raw: content) == .broken("an effect is under way"))
        lab.hosted.launchEffect(key: "k") { box.put($0) }
        await gate.arrived()
        #expect(lab.hosted.hasEffect)
        #expect(try lab.apply(Lab.Add(amount: 1)) == .broken("an effect is under way"))
        #expect(try await lab.send(Lab.Look()) == 1)
        #expect(try lab.state == before)
        #expect(lab.hosted.isConsistent)
        gate.open()
        while box.value == nil { await Task.yield() }
        #expect(lab.finish(content, Array("5".utf8)) == .applied)
        #expect(try await lab.send(Lab.Look()) == 6)
        #expect(!lab.hosted.hasEffect)
    }

    /// The state's buffer stays where it is, so neither lending nor taking back makes a copy at the next write.
    @Test func lendingALargeStateCopiesNothing() async throws {
        let lab = Harness(Lab { state, _ in state.bytes.count })
        try await lab.send(Lab.Fill(count: 1 << 24))
        let address = try await lab.send(Lab.Poke())
        for _ in 0..<50 {
            try await lab.send(Lab.Fetch(amount: 0))
            #expect(try await lab.send(Lab.Poke()) == address)
        }
    }

    @Test func droppedWhileOut() async throws {
        let gate = Gate(), box = Shared()
        weak var gone: _Hosted?
        do {
            let lab = Harness(
                Lab { _, _ in
                    await gate.pass()
                    return 5
                })
            gone = lab.hosted
            #expect(try lab.apply(Lab.Fetch(amount: 0)) == .effect)
            lab.hosted.launchEffect(key: "k") { box.put($0) }
            await gate.arrived()
        }
        #expect(gone == nil)
        gate.open()
        while box.value == nil { await Task.yield() }
        #expect(try box.value?.get() == Array("5".utf8))
    }

    @Test func takenBackWhileOut() async throws {
        let gate = Gate(), box = Shared()
        let lab = Harness(
            Lab { _, _ in
                await gate.pass()
                return 5
            })
        #expect(try lab.apply(Lab.Fetch(amount: 0)) == .effect)
        lab.hosted.launchEffect(key: "k") { box.put($0) }
        await gate.arrived()
        lab.hosted.abandonEffect()
        #expect(try await lab.send(Lab.Add(amount: 1)) == 1)
        gate.open()
        while box.value == nil { await Task.yield() }
        #expect(try await lab.send(Lab.Look()) == 1)
    }

    @Test func itsOwnRejectionRefuses() async throws {
        let lab = Harness(Lab { _, _ in throw Lab.Refusal.unlucky(7) })
        let before = try lab.state
        await #expect(throws: Lab.Refusal.unlucky(7)) { try await lab.send(Lab.Fetch(amount: 1)) }
        #expect(try lab.state == before)
        #expect(try await lab.send(Lab.Add(amount: 1)) == 1)
        #expect(try lab.replay().state == lab.state)
    }

    @Test func otherErrorsFailWithAText() async throws {
        let long = String(repeating: "é", count: 1000)
        let lab = Harness(Lab { state, _ in throw LabError(description: state.total == 0 ? "no route" : long) })
        #expect(try lab.apply(Lab.Fetch(amount: 1)) == .effect)
        #expect(await lab.launch() == .failure(.failed("no route")))
        lab.hosted.abandonEffect()
        try await lab.send(Lab.Add(amount: 1))
        #expect(try lab.apply(Lab.Fetch(amount: 1)) == .effect)
        #expect(await lab.launch() == .failure(.failed(String(repeating: "é", count: 512))))
    }

    @Test func outcomesNeedBytesWithinTheLimit() async throws {
        let lab = Harness(Lab())
        #expect(try lab.apply(Lab.Puzzle(encodes: false)) == .effect)
        guard case .failure(.failed(let text)) = await lab.launch() else {
            Issue.record("an outcome without bytes came back")
            return
        }
        #expect(text.contains("unencodable on purpose"))
        lab.hosted.abandonEffect()
        #expect(try lab.apply(Lab.Recite(outcome: 199, reply: 0)) == .effect)
        #expect(await lab.launch() == .failure(.failed("the outcome takes 201 bytes; the limit is 200")))
        lab.hosted.abandonEffect()
        let content = try lab.content(Lab.Recite(outcome: 1, reply: 199))
        #expect(lab.apply(raw: content) == .effect)
        guard case .success(let outcome) = await lab.launch() else {
            Issue.record("failed")
            return
        }
        #expect(lab.finish(content, outcome) == .broken("the answer takes 201 bytes; the limit is 200"))
    }

    @Test func anOutcomeThatDoesNotDecodeLeavesTheStateAlone() async throws {
        let lab = Harness(Lab())
        let before = try lab.state, content = try lab.content(Lab.Puzzle(encodes: true))
        #expect(lab.apply(raw: content) == .effect)
        guard case .success(let outcome) = await lab.launch() else {
            Issue.record("failed")
            return
        }
        guard case .failed(.effectFailed, _) = lab.finish(content, outcome) else {
            Issue.record("finished")
            return
        }
        #expect(try lab.state == before)
        #expect(try await lab.send(Lab.Add(amount: 1)) == 1)
    }

    @Test func callsOutOfOrderAreHarmless() async throws {
        let lab = Harness(Lab())
        #expect(await lab.launch() == .failure(.failed("no effect is waiting to be launched")))
        #expect(lab.finish([], []) == .broken("no effect is to be finished"))
        lab.hosted.abandonEffect()
        #expect(try lab.apply(Lab.Fetch(amount: 1)) == .effect)
        lab.hosted.abandonEffect()
        #expect(try await lab.send(Lab.Add(amount: 1)) == 1)
        #expect(try lab.apply(Lab.Fetch(amount: 1)) == .effect)
        _ = await lab.launch()
        #expect(await lab.launch() == .failure(.failed("no effect is waiting to be launched")))
        let bytes = try lab.state
        try lab.hosted.restoreState(bytes.span.bytes)
        #expect(!lab.hosted.hasEffect)
        #expect(try await lab.send(Lab.Add(amount: 1)) == 2)
    }

    @Test func replaysInsistOnTheRightRole() throws {
        let lab = Harness(Lab()), outcome = Array("1".utf8)
        var context = UpdateContext(environment: lab.environment, keys: testKeys, number: SequenceNumber(1))
        var reply = ByteWriter()
        for content in [try lab.content(Lab.Add(amount: 1)), try lab.content(Lab.Look()), [], [200]] {
            guard
                case .failed(.diverged, _) = lab.hosted.replayEffect(
                    content: content.span.bytes, outcome: outcome.span.bytes, context: &context, reply: &reply)
            else {
                Issue.record("\(content) replayed as an effect")
                return
            }
        }
        let fetch = try lab.content(Lab.Fetch(amount: 1))
        guard case .failed(.diverged, _) = lab.apply(raw: fetch, replaying: true) else {
            Issue.record("an effect replayed without its outcome")
            return
        }
        let junk = Array("x".utf8)
        guard
            case .failed(.effectFailed, _) = lab.hosted.replayEffect(
                content: fetch.span.bytes, outcome: junk.span.bytes, context: &context, reply: &reply)
        else {
            Issue.record("junk replayed")
            return
        }
        #expect(reply.bytes.isEmpty)
    }
}
