internal import Foundation
internal import Synchronization

/// Servers with one key, each at a port of its own, that are killed, stopped and started again.
final class Fleet: Sendable {
    let ports: [Int]
    private let workspace: Workspace
    /// Opens when there are to be no more faults.
    private let ending: Gate<Bool>
    private let running: Mutex<[ServerProcess?]>
    private let sweep: Mutex<Sweep>

    init(_ workspace: Workspace, servers: Int, ending: Gate<Bool>) throws(TortureError) {
        (self.workspace, self.ending) = (workspace, ending)
        var ports: [Int] = []
        for _ in 0..<servers { ports.append(try workspace.port()) }
        self.ports = ports
        running = Mutex(ports.map { _ in nil })
        var random = SeededGenerator(seed: workspace.seed, stream: 1)
        sweep = Mutex(Sweep(0.001...20, from: Double.random(in: 0..<1, using: &random)))
    }

    /// Torments all of them until the ending; then each runs.
    func run() async {
        await withTaskGroup { group in
            for place in ports.indices { group.addTask { await self.run(place) } }
        }
    }

    func stop() async {
        for server in running.withLock({ $0.compactMap { $0 } }) { _ = await server.kill() }
    }

    private func run(_ place: Int) async {
        var random = SeededGenerator(seed: workspace.seed, stream: 1000 + UInt64(place))
        while !ending.isOpen {
            do throws(TortureError) {
                let server = try await ServerProcess.start(workspace, port: ports[place])
                running.withLock { $0[place] = server }
                guard await torment(server, &random) else { return }
            } catch {
                workspace.tally.problem("\(error)")
                await pause(1)
            }
            let delay = sweep.withLock { $0.next() }
            if await ending.wait(within: delay) == nil { workspace.tally.add(Self.row(delay)) }
        }
        do throws(TortureError) {
            let server = try await ServerProcess.listening(workspace, port: ports[place])
            running.withLock { $0[place] = server }
        } catch {
            workspace.tally.problem("\(error)")
        }
    }

    /// One life of a server. False if it is to live on: it is the ending.
    private func torment(_ server: ServerProcess, _ random: inout SeededGenerator) async -> Bool {
        if random.chance(0.06) {
            _ = await ending.wait(within: random.logUniform(0.002...0.05))
            if !server.listening.isOpen { workspace.tally.add(.serverKillsStarting) }
            return await kill(server)
        }
        guard await server.waitToListen(within: 30) else {
            workspace.tally.problem("a server did not start to listen: \(server.said)")
            _ = await server.kill()
            return true
        }
        if await ending.wait(within: random.logUniform(0.02...6)) != nil { return false }
        if random.chance(0.04) {
            workspace.tally.add(.serverStops)
            server.child.signal(SIGSTOP)
            _ = await ending.wait(within: random.logUniform(0.1...30))
            if random.chance(0.3) {
                workspace.tally.add(.serverKillsStopped)
                return await kill(server)
            }
            server.child.signal(SIGCONT)
            if await ending.wait(within: random.logUniform(0.02...6)) != nil { return false }
        }
        return await kill(server)
    }

    private func kill(_ server: ServerProcess) async -> Bool {
        if await server.kill() {
            workspace.tally.add(.serverKills)
        } else {
            workspace.tally.problem("a server ended by itself: \(server.said)")
        }
        return true
    }

    private static func row(_ delay: Double) -> Item {
        switch delay {
        case ..<0.1: .delaysToTenth
        case ..<1: .delaysToSecond
        case ..<5: .delaysToFive
        default: .delaysToTwenty
        }
    }
}
