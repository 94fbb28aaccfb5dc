internal import Foundation
internal import Synchronization

/// Malformed frames and connections that never say hello, against a server that honest sessions use meanwhile.
struct Flood: Sendable {
    struct Extent: Sendable {
        var frames = 100_000
        var connections = 1000
        var sessions = 8
        /// Percent by which the server's memory may be larger afterwards.
        var growth = 10
    }

    private static let workers = 8
    /// Seconds that a server is given before its memory is read.
    private static let settling = 10.0

    let workspace: Workspace
    let extent: Extent
    let frames: MalformedFrames
    private let ending = Gate<Bool>()
    private let outcomes = Outcomes()

    init(_ workspace: Workspace, _ extent: Extent, vectors: String) throws(TortureError) {
        (self.workspace, self.extent) = (workspace, extent)
        frames = try MalformedFrames(vectors: vectors)
    }

    func run() async throws(TortureError) {
        let server = try await ServerProcess.listening(workspace)
        async let honest: Void = sessions(server.port)
        var failure: TortureError?
        do throws(TortureError) { try await measure(server) } catch { failure = error }
        ending.open(true)
        await honest
        if let end = server.child.ended.value {
            workspace.tally.problem("the flooded server ended by itself, \(end): \(server.said)")
        }
        _ = await server.kill()
        if let failure { throw failure }
    }

    private func measure(_ server: ServerProcess) async throws(TortureError) {
        // A tenth of them has said hello and gone: a server that has just begun has not yet made what it keeps.
        await greet(server.port, max(1, extent.connections / 10))
        await pause(Self.settling)
        let before = try ServerMemory(of: server.child.id)
        workspace.tally.note("server's memory in use: \(before.text)")
        for (name, stream) in [("a flood", 20_000), ("another", 30_000)] as [(String, UInt64)] {
            let peak = await watched(server) {
                await flood(server, frames: extent.frames, connections: extent.connections, stream: stream)
            }
            await pause(Self.settling)
            let after = try ServerMemory(of: server.child.id)
            let growth = before.growth(to: after)
            let text = String(format: "%+.1f %%", growth)
            workspace.tally.note("  in \(name): at most \(peak) kB; after it: \(after.text), \(text)")
            if growth > Double(extent.growth) {
                workspace.tally.problem(
                    "the server's memory was \(text) after \(name), more than \(extent.growth) % larger")
            }
        }
        workspace.tally.note("answers: \(outcomes.text)")
    }

    /// The most that the server has resident while something happens, in kilobytes.
    private func watched(_ server: ServerProcess, _ body: () async -> Void) async -> Int {
        let peak = Mutex(0)
        let watch = Task {
            while !Task.isCancelled {
                if let memory = try? ServerMemory(of: server.child.id) {
                    peak.withLock { $0 = max($0, memory.resident) }
                }
                await pause(0.1)
            }
        }
        await body()
        watch.cancel()
        return peak.withLock { $0 }
    }

    /// Connections that say hello, stay until all are there, and leave.
    private func greet(_ port: Int, _ count: Int) async {
        let greeted = await onThread {
            var files: [Int32] = []
            defer { for file in files { close(file) } }
            for _ in 0..<count {
                guard var connection = try? RawConnection(port: port),
                    connection.send(FrameWriter.frame(FrameWriter.hello)),
                    connection.receive(type: 0x41, within: 10) != nil
                else { continue }
                let file = dup(connection.file)
                if file >= 0 { files.append(file) }
            }
            return files.count
        }
        if greeted < count { workspace.tally.problem("\(count - greeted) of \(count) hellos were not answered") }
    }

    // MARK: - Those that mean no good

    private func flood(_ server: ServerProcess, frames: Int, connections: Int, stream: UInt64) async {
        async let silent: Void = beSilent(server.port, connections)
        await withTaskGroup { group in
            for worker in 0..<Self.workers {
                let random = SeededGenerator(seed: workspace.seed, stream: stream + UInt64(worker))
                let count = frames / Self.workers + (worker < frames % Self.workers ? 1 : 0)
                group.addTask { await send(count, to: server.port, random) }
            }
        }
        await silent
    }

    private func send(_ count: Int, to port: Int, _ random: SeededGenerator) async {
        await onThread {
            var worker = FloodWorker(port: port, frames: frames, random: random)
            var left = count
            // One in five is still a frame, or about a session that is not there, and does not count. Bounded all the
            // same.
            for _ in 0..<count * 4 where left > 0 {
                let outcome = worker.next()
                outcomes.add(outcome)
                switch outcome {
                case .wentOn: workspace.tally.add(.harmlessFrames)
                case .notConnected: usleep(10_000)
                case .refused, .closed, .waits:
                    workspace.tally.add(.malformedFrames)
                    left -= 1
                }
            }
            if left > 0 { workspace.tally.problem("\(left) of \(count) malformed frames could not be sent") }
        }
    }

    /// Connects, says nothing, and waits for the server to end it.
    private func beSilent(_ port: Int, _ count: Int) async {
        let tally = workspace.tally
        let (opened, left) = await onThread {
            var silent: [Int32] = []
            for _ in 0..<count {
                guard let connection = try? RawConnection(port: port) else { continue }
                silent.append(dup(connection.file))
            }
            let opened = silent.count
            // It ends them after 10 s; the server is busy meanwhile.
            let deadline = now() + 40
            while !silent.isEmpty, now() < deadline {
                silent.removeAll { Self.isClosed($0) }
                usleep(50_000)
            }
            for file in silent { close(file) }
            return (opened, silent.count)
        }
        tally.add(.silentConnections, opened)
        if opened < count { tally.problem("\(count - opened) of \(count) connections were not taken") }
        if left > 0 { tally.problem("\(left) connections that said nothing were not ended within 40 s") }
    }

    /// Reads what the server says before it ends a connection; closes the file with it.
    private static func isClosed(_ file: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = recv(file, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        guard count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) else { return false }
        close(file)
        return true
    }

    // MARK: - Those that do

    private func sessions(_ port: Int) async {
        let judge = Judge(workspace)
        var treatment = SessionSlot.Treatment()
        (treatment.updates, treatment.pauses, treatment.proxied) = (1_000_000...1_000_000, 1e9...2e9, 0)
        await withTaskGroup { group in
            for place in 0..<extent.sessions {
                let treatment = treatment
                group.addTask {
                    var slot = SessionSlot(
                        workspace, judge, place: 1000 + place, servers: [port], proxies: [], ending: ending, treatment)
                    await slot.run()
                }
            }
        }
    }
}

/// How the server took the frames.
private final class Outcomes: Sendable {
    private let counts = Mutex<[FloodWorker.Outcome: Int]>([:])

    func add(_ outcome: FloodWorker.Outcome) { counts.withLock { $0[outcome, default: 0] += 1 } }

    var text: String {
        counts.withLock { $0 }.sorted { $0.value > $1.value }
            .map { "\(Self.name($0.key)) \($0.value)" }.joined(separator: ", ")
    }

    private static func name(_ outcome: FloodWorker.Outcome) -> String {
        switch outcome {
        case .refused(let code): "refused with code \(code)"
        case .wentOn: "went on"
        case .closed: "closed"
        case .waits: "waits for more"
        case .notConnected: "not taken"
        }
    }
}
