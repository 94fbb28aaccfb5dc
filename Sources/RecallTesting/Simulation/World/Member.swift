internal import Recall
internal import RecallClient
internal import RecallCore

/// How a member's caller behaves.
package enum TrafficShape: String, CaseIterable {
    case counters, accounts, text, effects, idle, bursts, huge, mixed
}

/// One session as its caller has it: a log that outlives the client's processes, and what the caller does and sees.
/// Confined to the simulation's thread.
final class Member: @unchecked Sendable {
    let name: String
    let kind: any MemberKind
    let shape: TrafficShape
    let store: SimulatedStore
    let history: History
    unowned let node: ClientNode
    private unowned let world: SimulatedWorld
    private var random: SeededGenerator
    private let isImmediate: Bool
    private let think: Int64
    private var inFlight = 0

    private(set) var client: (any OpenClient)?
    /// Why the session has ended for good, if it has.
    private(set) var ending: (code: FaultCode, text: String)?
    /// The client found another one at its session, and is to be opened anew.
    private var isSuperseded = false

    // What the checker knows.
    /// The stream that it attached on last.
    var stream: WireStream?
    /// The highest number that went over the wire as confirmed, of what the log still has.
    var confirmed: UInt64 = 0
    /// Servers' processes that lived when its log was found to have lost something: what they know may be of a course
    /// that the log has left.
    var livesBeforeLoss: Set<String> = []
    /// The same when it was something that it had confirmed.
    var livesThatSawMore: Set<String> = []
    /// Up to where all courses that its log took are the same: a number, and how many updates took effect by then.
    var common: (number: UInt64, applied: Int) = (.max, .max)
    /// Servers' processes that offered it a state to adopt.
    var adoptionOffers: Set<String> = []
    /// Servers' processes that refused it, by their codes.
    var refusals: [UInt16: Set<String>] = [:]
    /// A server that knows more than its log offered what it knows.
    var mayAdopt: Bool { !adoptionOffers.isDisjoint(with: livesThatSawMore) }
    /// Another connection took the session over in this life of its process, so that its client was closed.
    private(set) var wasSuperseded = false
    /// Its key was retired.
    var isRetired: Bool { session.map { world.retiredKeys.contains($0.keyID.rawValue) } ?? false }

    init(
        _ name: String, _ kind: any MemberKind, _ shape: TrafficShape, _ store: SimulatedStore, of node: ClientNode,
        in world: SimulatedWorld, firstID: UInt32, seed: UInt64
    ) {
        (self.name, self.kind, self.shape, self.store, self.node, self.world) = (name, kind, shape, store, node, world)
        history = History(firstID: firstID)
        random = SeededGenerator(seed: seed)
        isImmediate = random.chance(store.medium is MemoryMedium ? 30 : 70)
        think =
            shape == .idle
            ? 20_000_000_000
            : world.scenario.isCrowded
                ? 2_000_000_000 : [3_000_000, 30_000_000, 400_000_000].randomElement(using: &random) ?? 0
    }

    var session: SessionID? { store.view.header?.session }

    /// Nothing is under way.
    var isQuiet: Bool {
        ending != nil
            || client != nil && inFlight == 0 && history.readsWaiting == 0
                && store.view.acknowledged == store.view.last
                && !history.calls.contains { $0.result == .waiting }
    }

    /// What is under way, for a report.
    var unrest: String {
        let waiting = history.calls.filter { $0.result == .waiting }.count
        let client = client.map { "; \($0.situation)" } ?? ", no client is open"
        return "\(waiting) updates (\(inFlight)) and \(history.readsWaiting) reads wait, "
            + "the log is at \(store.view.place)\(client)"
    }

    // MARK: Life

    func run(_ connector: SessionConnector, in process: SimulatedProcess) async {
        while !process.isDead, ending == nil {
            let log = isImmediate ? SimulatedImmediateLog(store, in: process) : SimulatedLog(store, in: process)
            isSuperseded = false
            do {
                let client = try await kind.open(connector, log)
                guard !process.isDead else { return await client.close() }
                world.note("\(name) is open at \(store.view.place), \(store.view.checkpoints)")
                self.client = client
                watch(client, in: process)
                await traffic(client, in: process)
                guard isSuperseded, !process.isDead else { return }
                self.client = nil
                await client.close()
            } catch {
                guard !process.isDead else { return }
                world.note("\(name) does not open: \(error)")
                world.checker.openFailed(error, of: self)
                failed(error)
            }
            do { try await process.sleep(500_000_000) } catch { return }
        }
    }

    /// The process is dead: what it had open ends unheard.
    func abandon() {
        history.abandonAll()
        (inFlight, wasSuperseded) = (0, false)
        guard let client else { return }
        self.client = nil
        Task(executorPreference: node.process) { await client.close() }
    }

    private func watch(_ client: any OpenClient, in process: SimulatedProcess) {
        Task(executorPreference: process) { [self] in
            for await notice in client.notices {
                guard !process.isDead else { return }
                switch notice {
                case .failed(let code, let text): ended(code, text)
                case .adopted: world.count(\.adoptions)
                case .checkpoint: world.count(\.checkpoints)
                case .recalled: world.count(\.recalls)
                default: break
                }
            }
        }
    }

    private func ended(_ code: FaultCode, _ text: String) {
        switch code {
        case .closed: break
        case .superseded: (isSuperseded, wasSuperseded) = (true, true)
        case .logFailed, .logDamaged, .logInUse:
            world.checker.logFailed(self, code, text)
            node.restartSoon()
        default:
            guard ending == nil else { return }
            ending = (code, text)
            world.note("\(name) has ended: \(code), \(text)")
            world.memberEnded(self, code, text)
        }
    }

    private func failed(_ error: any Error) {
        guard let error = error as? RecallError else { return }
        switch error.code {
        case .unreachable, .closed, .outcomeUnknown, .poisonedMessage, .effectFailed, .messageTooLarge: break
        default: ended(error.code, error.message)
        }
    }

    // MARK: Traffic

    private func traffic(_ client: any OpenClient, in process: SimulatedProcess) async {
        while !process.isDead, ending == nil, !isSuperseded {
            // Whoever has said much says less.
            let pause = Int64.random(in: 0...(2 * think), using: &random) * Int64(1 + history.calls.count / 100)
            do { try await process.sleep(min(pause, 60_000_000_000)) } catch { return }
            guard !world.isCalm else {
                do { try await process.sleep(100_000_000) } catch { return }
                continue
            }
            guard inFlight < 40 else { continue }
            if let client = client as? any SimulatedClient {
                await act(client, in: process)
            } else if let client = client as? any ActingClient {
                act(client, in: process)
            }
        }
    }

    /// The user's own code acts; what it may do is its own affair.
    private func act(_ client: any ActingClient, in process: SimulatedProcess) {
        inFlight += 1
        world.count(\.messages)
        let seed = random.next()
        let task = Task(executorPreference: process) { [self] in
            do { try await client.act(seed: seed) } catch {
                if !process.isDead { failed(error) }
            }
            if !process.isDead { inFlight -= 1 }
        }
        // Sometimes others act while it does.
        if random.chance(2) { task.cancel() }
    }

    private func act(_ client: any SimulatedClient, in process: SimulatedProcess) async {
        switch shape {
        case .bursts where random.chance(30): burst(client, in: process)
        case .huge where random.chance(4):
            // What was inserted goes again, so that the state stays within bounds.
            await send(.quiet(.remove(at: 0, count: .max)), client, in: process)
            await send(.change(.insert(at: 0, huge())), client, in: process)
        case .idle:
            for _ in 0..<Int.random(in: 1...4, using: &random) { await send(next(), client, in: process) }
        default:
            if random.chance(20) {
                look(client, in: process)
            } else if random.chance(60) {
                await send(next(), client, in: process)
            } else {
                for _ in 0..<Int.random(in: 1...8, using: &random) { spawn(next(), client, in: process) }
                if random.chance(40) { look(client, in: process) }
            }
        }
    }

    private func draw(_ bound: UInt32) -> UInt32 { UInt32.random(in: 0..<bound, using: &random) }

    private func huge() -> [UInt8] {
        let count = random.chance(5) ? 900_000 : [20_000, 70_000].randomElement(using: &random) ?? 70_000
        return [UInt8](repeating: UInt8(draw(256)), count: count)
    }

    private func next() -> History.Request {
        if let special = world.takeSpecial(for: self) { return .change(special) }
        let choices: [Int] =
            switch shape {
            case .counters: [0, 0, 0, 1, 2]
            case .accounts: [3, 3, 3, 6, 0]
            case .text, .huge: [4, 4, 4, 5, 2]
            case .effects: [6, 6, 2, 3, 0]
            case .idle, .bursts, .mixed: [0, 1, 2, 3, 4, 5, 6]
            }
        switch choices.randomElement(using: &random) ?? 0 {
        case 1: return .quiet(.add(Int64(draw(100)) - 50))
        case 2: return .stamp
        case 3:
            return .change(.move(from: UInt8(draw(4)), to: UInt8(draw(4)), amount: Int64(draw(90))))
        case 4: return .change(.insert(at: draw(500), (0..<draw(30)).map { _ in UInt8(draw(256)) }))
        case 5: return .quiet(.remove(at: draw(500), count: draw(20)))
        case 6: return .pay(Int64(draw(12)))
        default: return .change(.add(Int64(draw(1000))))
        }
    }

    /// Sends an update and waits for its end.
    private func send(_ request: History.Request, _ client: any SimulatedClient, in process: SimulatedProcess) async {
        guard !process.isDead else { return }
        let call = history.begin(request)
        world.count(\.messages)
        inFlight += 1
        do {
            let result = try await client.send(request, id: call.id)
            finish(call, .success(result), in: process)
        } catch {
            finish(call, .failure(error), in: process)
        }
    }

    /// Sends an update without waiting, and perhaps gives it up later.
    private func spawn(_ request: History.Request, _ client: any SimulatedClient, in process: SimulatedProcess) {
        let task = Task(executorPreference: process) { [self] in await send(request, client, in: process) }
        guard random.chance(3) else { return }
        world.timeline.after(Int64.random(in: 0...50_000_000, using: &random), in: process) { task.cancel() }
    }

    private func burst(_ client: any SimulatedClient, in process: SimulatedProcess) {
        let count = Int.random(in: 2...60, using: &random)
        let calls = (0..<count).map { _ in
            history.begin(.change(.add(Int64(draw(9)))))
        }
        let changes = calls.map { call in
            if case .change(let operation) = call.request {
                Change(id: call.id, operation)
            } else {
                Change(id: 0, .add(0))
            }
        }
        world.count(\.messages, count)
        inFlight += 1
        let sent = Calls(list: calls)
        Task(executorPreference: process) { [self] in
            let results = (try? await client.send(changes)) ?? []
            guard !process.isDead else { return }
            inFlight += sent.list.count - 1
            for (call, result) in zip(sent.list, results) {
                finish(call, result.map { .answered($0) }, in: process)
            }
        }
    }

    private struct Calls: @unchecked Sendable { let list: [History.Call] }  // confined to the simulation's thread

    private func look(_ client: any SimulatedClient, in process: SimulatedProcess) {
        let before = history.beginRead()
        Task(executorPreference: process) { [self] in
            do {
                let view = try await client.look()
                guard !process.isDead else { return }
                history.endRead(view, callsBefore: before, acknowledged: store.view.acknowledged)
                world.checker.read(view, by: self)
            } catch {
                guard !process.isDead else { return }
                history.endRead(nil, callsBefore: before, acknowledged: 0)
                world.checker.readFailed(error, of: self)
                failed(error)
            }
        }
    }

    private func finish(_ call: History.Call, _ result: Result<History.Result, any Error>, in process: SimulatedProcess)
    {
        guard !process.isDead, call.result == .waiting else { return }
        inFlight -= 1
        switch result {
        case .success(let result): call.result = result
        case .failure(let refusal as SimulatedRefusal): call.result = .refused(refusal)
        case .failure(let error):
            call.result = world.checker.failed(call, error, wasCancelled: Task.isCancelled, of: self)
            failed(error)
        }
        world.checker.delivered(call, to: self)
    }
}
