internal import NIOCore
internal import Recall
internal import RecallClient
internal import RecallServer

/// The network and the balancer in front of the servers, which sends clients wherever it likes. Confined to the
/// simulation's thread.
final class SimulatedNetwork: @unchecked Sendable {
    private unowned let world: SimulatedWorld
    private var random: SeededGenerator
    private(set) var connections: [SimulatedConnection] = []
    private var lastConnection = 0
    /// Percent of connections that go to another server than the last one.
    private let whim: Int

    init(_ world: SimulatedWorld, seed: UInt64) {
        self.world = world
        random = SeededGenerator(seed: seed)
        whim = [0, 10, 50, 100].randomElement(using: &random) ?? 10
    }

    func connect(
        _ node: ClientNode, _ process: SimulatedProcess, _ receiver: NIOLoopBound<any ByteReceiver>,
        within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
        if random.chance(whim) { node.server = Int(random.next() % 16) }
        let server = world.servers[node.server % world.servers.count]
        // Next time another one is tried.
        if server.life?.run == nil || server.isIsolated { node.server += 1 }
        return connect(process, receiver, to: server, within: limit, owner: node)
    }

    func connect(
        _ process: SimulatedProcess, _ receiver: NIOLoopBound<any ByteReceiver>, to server: ServerNode,
        within limit: TimeAmount, owner: ClientNode?
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
        let promise = process.makePromise(of: NIOLoopBound<any ByteConnection>.self)
        let attempt = Attempt(promise)
        process.scheduleTask(in: limit) { attempt.fail("nobody answers") }
        let latency = Int64.random(in: 20_000...3_000_000, using: &random)
        let weather = owner == nil ? nil : world.weather
        let isRefused = weather?.strikes(.refuseConnection) == true
        if isRefused { weather?.count(.refuseConnection) }
        guard !isRefused, !process.isDead, let life = server.life, life.run != nil else {
            world.timeline.after(latency, in: process) { attempt.fail("nobody listens") }
            return promise.futureResult
        }
        let isIgnored = weather?.strikes(.ignoreConnection) == true
        if isIgnored { weather?.count(.ignoreConnection) }
        guard !server.isIsolated, !isIgnored else { return promise.futureResult }
        world.timeline.after(latency, in: life.process) { [self] in
            guard let run = life.run, !life.process.isDead else { return }
            let connection = open(from: process, to: life, owner: owner)
            let transport = SimulatedServerEnd(connection)
            connection.open(run.accept(transport))
            world.timeline.after(latency, in: process) {
                connection.open(receiver.value)
                if attempt.isOver { return connection.closeAtClient() }
                attempt.succeed(NIOLoopBound(SimulatedClientEnd(connection), eventLoop: process))
            }
        }
        return promise.futureResult
    }

    private func open(from process: SimulatedProcess, to life: ServerLife, owner: ClientNode?) -> SimulatedConnection {
        lastConnection += 1
        let tap = WireTap()
        let connection = SimulatedConnection(
            lastConnection, world.timeline, client: process, server: life.process, tap,
            weather: owner == nil ? nil : world.weather, random: &random)
        connection.life = life
        if connections.count > 200 { connections = connections.filter { !$0.isOver } }
        connections.append(connection)
        world.count(\.connections)
        world.note("\(process.name) connects to \(life.process.name): \(connection.id)")
        guard let owner else {
            tap.onFrame = { [unowned world, unowned connection] toServer, frame, _ in
                world.note("\(connection.id) \(toServer ? "->" : "<-") \(connection.server.name) \(frame)")
            }
            return connection
        }
        tap.onFrame = { [unowned world, unowned connection] toServer, frame, whole in
            world.checker.saw(frame, whole, on: connection, of: owner, toServer: toServer)
        }
        return connection
    }

    // MARK: Faults

    /// What was once said on a connection is said again on a new one, by somebody who has only its bytes.
    func replay(_ old: SimulatedConnection, to life: ServerLife) -> Bool {
        guard let run = life.run, !life.process.isDead else { return false }
        let ghost = SimulatedProcess("ghost", world.timeline, seed: random.next(), weather: nil)
        let connection = open(from: ghost, to: life, owner: nil)
        connection.tap.onFrame = { [unowned world, unowned connection] toServer, frame, _ in
            if !toServer { world.checker.answeredGhost(frame, on: connection) }
        }
        connection.open(run.accept(SimulatedServerEnd(connection)))
        for bytes in old.recorded { connection.up.send(bytes) }
        world.timeline.after(Int64.random(in: 0...5_000_000_000, using: &random), in: ghost) {
            connection.closeAtClient()
        }
        return true
    }
}

/// An attempt to connect, which ends once. Confined to the simulation's thread.
private final class Attempt: @unchecked Sendable {
    private let promise: EventLoopPromise<NIOLoopBound<any ByteConnection>>
    private(set) var isOver = false

    init(_ promise: EventLoopPromise<NIOLoopBound<any ByteConnection>>) { self.promise = promise }

    func fail(_ text: String) {
        guard !isOver else { return }
        isOver = true
        promise.fail(RecallError(.unreachable, text))
    }

    func succeed(_ connection: NIOLoopBound<any ByteConnection>) {
        isOver = true
        promise.succeed(connection)
    }
}

/// The balancer's address, as a client's process reaches it.
struct SimulatedConnector: Connector {
    let node: ClientNode
    let process: SimulatedProcess
    let network: SimulatedNetwork

    var description: String { "the balancer" }

    func connect(
        _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> { network.connect(node, process, receiver, within: limit) }
}

/// One server's own address.
struct DirectConnector: Connector {
    let server: ServerNode
    let process: SimulatedProcess
    let network: SimulatedNetwork

    var description: String { server.name }

    func connect(
        _ receiver: NIOLoopBound<any ByteReceiver>, on eventLoop: any EventLoop, within limit: TimeAmount
    ) -> EventLoopFuture<NIOLoopBound<any ByteConnection>> {
        network.connect(process, receiver, to: server, within: limit, owner: nil)
    }
}
