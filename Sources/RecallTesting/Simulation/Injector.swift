internal import NIOCore
internal import Recall
internal import RecallCore
internal import RecallServer

/// Does to the world what a scenario says, as far as the world is such that it can be done. Confined to the
/// simulation's thread.
final class Injector: @unchecked Sendable {
    private unowned let world: SimulatedWorld

    init(_ world: SimulatedWorld) { self.world = world }

    func inject(_ planned: PlannedFault) {
        var random = SeededGenerator(seed: planned.target)
        guard world.population.isOwn || !planned.fault.needsOwnMessages else { return }
        let fault = planned.fault
        switch fault {
        case .crashServer, .crashBeforeApply, .crashAfterApply, .crashBeforeFlush, .crashDuringRecall,
            .crashDuringEffect, .crashAfterEffect, .deployServer, .pauseServer, .isolateServer, .jumpClock,
            .pressMemory:
            injectIntoServer(fault, &random)
        case .rotateKeys, .retireKey: changeKeys(fault)
        case .maddenDetector:
            world.madUntil = world.timeline.now + Int64.random(in: 500_000_000...4_000_000_000, using: &random)
        case .crashClient, .losePower, .pauseClient, .restoreBackup: injectIntoClient(fault, &random)
        case .deleteCopy, .slowDisk, .failDisk, .fillDisk, .crashInWrite: injectIntoMember(fault, &random)
        case .cutConnection, .halfOpen, .delayDeliveries, .lateFrames, .repeatFrames, .replayConnection, .moveClient,
            .staleServer, .alterDeterminants, .alterOffer, .alterConfirmation:
            injectIntoNetwork(fault, &random)
        case .poisonMessage: world.order(.kill)
        case .spoilState: world.order(.spoil)
        case .forgeHistory, .flipBits, .spliceHistory, .truncateHistory, .otherVersion:
            Impostor.begin(fault, in: world, &random)
        }
    }

    private func pause(_ random: inout SeededGenerator) -> Int64 {
        world.scenario.pauses.randomElement(using: &random) ?? 1_000_000_000
    }

    /// Counts when the process goes on, if it missed anything.
    private func halt(_ process: SimulatedProcess, _ pause: Int64, _ fault: SimulationFault) {
        guard !process.isPaused else { return }
        world.note("\(process.name) pauses for \(SimulatedWorld.seconds(pause))")
        process.pause { [unowned world, name = process.name] in world.injected(fault, name) }
        world.timeline.after(pause) { process.resume() }
    }

    // MARK: Servers

    private func injectIntoServer(_ fault: SimulationFault, _ random: inout SeededGenerator) {
        guard let server = world.servers.randomElement(using: &random), let life = server.life else { return }
        let pause = pause(&random)
        switch fault {
        case .crashServer:
            world.injected(fault, server.name)
            server.crash(restartAfter: pause)
        // These count when they happen.
        case .crashBeforeApply: life.armed = .beforeApply
        case .crashAfterApply: life.armed = .afterApply
        case .crashBeforeFlush: life.armed = .beforeFlush
        case .crashDuringRecall:
            life.armed = .duringRecall
            if random.chance(50) { deleteCopies(life) }
        case .crashDuringEffect: life.armed = .duringEffect
        case .crashAfterEffect: life.armed = .afterEffect
        case .deployServer: if server.deploy() { world.injected(fault, server.name) }
        case .pauseServer: halt(life.process, pause, fault)
        case .isolateServer:
            world.injected(fault, "\(server.name) for \(SimulatedWorld.seconds(pause))")
            isolate(server, life, pause)
        case .jumpClock:
            let seconds = [-86_400, -10, 10, 86_400].randomElement(using: &random) ?? 10
            world.injected(fault, "\(server.name) by \(seconds) s")
            server.clockError += Int64(seconds) * 1_000_000_000
        case .pressMemory:
            // Counts when a copy has to go.
            server.pressMemory()
            server.crash(restartAfter: 100_000_000)
        default: break
        }
    }

    private func isolate(_ server: ServerNode, _ life: ServerLife, _ pause: Int64) {
        server.isolatedUntil = world.timeline.now + pause
        for connection in world.network.connections where connection.server === life.process {
            connection.up.stall(until: server.isolatedUntil)
            connection.down.stall(until: server.isolatedUntil)
        }
    }

    private func deleteCopies(_ life: ServerLife) {
        for member in world.members {
            if let session = member.session { life.handler?.deleteSession(session) }
        }
    }

    private func changeKeys(_ fault: SimulationFault) {
        if fault == .rotateKeys || world.lastKey == 1 {
            world.lastKey += 1
            for server in world.servers {
                var ring = server.ring
                ring.rotate(to: KeyID(world.lastKey), secret: SimulatedWorld.secret(world.lastKey))
                server.use(ring)
            }
            world.injected(.rotateKeys, "\(world.lastKey)")
        }
        // Nobody keeps old keys for ever.
        let oldest = (1...world.lastKey).first { !world.retiredKeys.contains($0) } ?? world.lastKey
        let isFull = world.lastKey - oldest >= 5
        guard fault == .retireKey || isFull else { return }
        let retired = KeyID(isFull ? oldest : world.lastKey - 1)
        guard world.retiredKeys.insert(retired.rawValue).inserted else { return }
        world.injected(.retireKey, "\(retired)")
        for server in world.servers {
            var ring = server.ring
            ring.retire(retired)
            server.use(ring)
        }
    }

    // MARK: Clients

    private func injectIntoClient(_ fault: SimulationFault, _ random: inout SeededGenerator) {
        guard let client = world.clients.randomElement(using: &random), client.isUp else { return }
        let pause = pause(&random)
        switch fault {
        case .crashClient, .losePower:
            world.injected(fault, client.name)
            client.crash(isPowerLoss: fault == .losePower)
            client.restart(after: pause)
        case .pauseClient: halt(client.process, pause, fault)
        case .restoreBackup:
            guard let member = client.members.filter({ $0.ending == nil }).randomElement(using: &random) else { return }
            client.crash(isPowerLoss: false)
            if member.store.restoreBackup(random: &random) { world.injected(fault, member.name) }
            client.restart(after: pause)
        default: break
        }
    }

    private func injectIntoMember(_ fault: SimulationFault, _ random: inout SeededGenerator) {
        // Only real files can be cut in the middle of a write.
        let members = world.members.filter {
            $0.ending == nil && (fault != .crashInWrite || $0.store.medium is SQLiteMedium)
        }
        guard let member = members.randomElement(using: &random) else { return }
        switch fault {
        case .crashInWrite:
            guard let medium = member.store.medium as? SQLiteMedium else { return }
            let (isPowerLoss, pause) = (random.chance(50), pause(&random))
            medium.die(afterWrites: Int.random(in: 0...12, using: &random)) { [unowned world, unowned member] in
                let process = member.node.process
                process.isEnding = true
                world.timeline.after(0) {
                    guard member.node.process === process, member.node.isUp else { return }
                    world.injected(fault, member.name)
                    member.node.crash(isPowerLoss: isPowerLoss)
                    member.node.restart(after: pause)
                }
            }
        case .deleteCopy:
            if random.chance(50), deleteBesideEffect(&random) { return }
            guard let session = member.session, let server = world.servers.randomElement(using: &random),
                let handler = server.life?.handler, server.life?.run?.status(of: session) != nil
            else { return }
            if server.life?.run?.status(of: session)?.hasCopy == true {
                world.injected(fault, "\(member.name) on \(server.name)")
            }
            handler.deleteSession(session)
        // These count when something is slow or fails.
        case .slowDisk:
            member.store.slowDown(by: Int64.random(in: 20_000_000...2_000_000_000, using: &random)) {
                [unowned world, name = member.name] in world.injected(fault, name)
            }
            world.timeline.after(pause(&random)) { member.store.speedUp() }
        case .failDisk, .fillDisk:
            let count = Int.random(in: 1...3, using: &random)
            let recovers = member.store.fail(count, isFull: fault == .fillDisk) {
                [unowned world, name = member.name] in world.injected(fault, name)
            }
            if let recovers { world.timeline.after(pause(&random), recovers) }
        default: break
        }
    }

    /// Deletes a copy whose effect is out; false if there is none.
    private func deleteBesideEffect(_ random: inout SeededGenerator) -> Bool {
        for server in world.servers.shuffled(using: &random) {
            guard let life = server.life, let handler = life.handler,
                let place = life.effectsOut.min(by: { $0.order < $1.order })
            else { continue }
            world.injected(.deleteCopy, "beside an effect on \(server.name)")
            handler.deleteSession(place.session)
            return true
        }
        return false
    }

    // MARK: The network

    private func injectIntoNetwork(_ fault: SimulationFault, _ random: inout SeededGenerator) {
        if fault == .replayConnection { return replay(&random) }
        if [.lateFrames, .moveClient, .staleServer].contains(fault) { return abandon(fault, &random) }
        let open = world.network.connections.filter { $0.isWhole }
        guard let connection = open.randomElement(using: &random) else { return }
        let delay = Int64.random(in: 0...1_000_000_000, using: &random)
        switch fault {
        case .cutConnection:
            world.injected(fault, "\(connection.id)")
            connection.cut(clientHearsAfter: delay, serverHearsAfter: delay / 3)
        case .halfOpen:
            world.injected(fault, "\(connection.id)")
            let isClients = random.chance(50)
            connection.cut(clientHearsAfter: isClients ? nil : delay, serverHearsAfter: isClients ? delay : nil)
        case .delayDeliveries:
            let stream = random.chance(50) ? connection.up : connection.down
            stream.stall(until: world.timeline.now + pause(&random)) { [unowned world, id = connection.id] in
                world.injected(fault, "\(id)")
            }
        case .alterDeterminants, .alterOffer, .alterConfirmation:
            tamper(fault, connection, &random)
        case .repeatFrames:
            // Frames of an earlier attach on the same connection.
            let isUp = random.chance(50)
            let late = isUp ? connection.lateFramesUp : connection.lateFramesDown
            guard let frame = late.randomElement(using: &random) else { return }
            guard (isUp ? connection.up : connection.down).inject(frame.bytes) else { return }
            world.injected(fault, "\(connection.id)")
        default: break
        }
    }

    private func tamper(
        _ fault: SimulationFault, _ connection: SimulatedConnection, _ random: inout SeededGenerator
    ) {
        let bit = random.next()
        let stream = fault == .alterConfirmation ? connection.up : connection.down
        // Whoever notices leaves the stream; and then, perhaps, comes what was really said on it.
        let comesLate = fault == .alterDeterminants && random.chance(50)
        let late = comesLate ? Int64.random(in: 0...20_000_000, using: &random) : nil
        stream.tamper = { [unowned world, unowned stream, id = connection.id] bytes in
            guard !world.isCalm, let altered = Tampering.alter(fault, in: bytes, bit: bit) else { return bytes }
            stream.tamper = nil
            world.injected(fault, "\(id)")
            if let late { world.timeline.after(late) { _ = stream.inject(Array(bytes.readableBytesView)) } }
            return altered
        }
    }

    /// The client leaves a connection on which much of what it sent is still under way.
    private func abandon(_ fault: SimulationFault, _ random: inout SeededGenerator) {
        let open = world.network.connections.filter { $0.isWhole }
        guard fault == .lateFrames || world.servers.count > 1, let connection = open.randomElement(using: &random)
        else { return }
        if fault == .lateFrames {
            connection.up.stall(until: world.timeline.now + pause(&random))
        } else {
            for client in world.clients where client.process === connection.client { client.server += 1 }
        }
        // Long enough for another server to go on with all, or with a part of what was under way.
        let pause = [5_000_000, 20_000_000, 100_000_000, 500_000_000].randomElement(using: &random) ?? 0
        // Something is to be under way.
        world.timeline.after(Int64.random(in: 0...300_000_000, using: &random)) { [self] in
            guard !world.isCalm else { return }
            if connection.isWhole, fault == .moveClient || fault == .lateFrames && connection.up.isHoldingUp {
                world.injected(fault, "\(connection.id)")
            }
            connection.down.sever(tellsAfter: 0)
            if fault == .staleServer { world.timeline.after(Int64(pause)) { [self] in comeBack(connection) } }
        }
    }

    /// A client that was moved finds its way back to the server that has its old copies. Counts if one of them is
    /// behind what its log has learnt elsewhere.
    private func comeBack(_ former: SimulatedConnection) {
        guard !world.isCalm, let client = world.clients.first(where: { $0.process === former.client }),
            let server = world.servers.firstIndex(where: { $0.life?.process === former.server })
        else { return }
        let stale = client.members.first { member in
            let status = member.session.flatMap { world.servers[server].life?.run?.status(of: $0) }
            return status.map { $0.phase == .live && $0.head.number.rawValue < member.store.view.acknowledged } ?? false
        }
        if let stale { world.injected(.staleServer, "\(stale.name) comes back to \(world.servers[server].name)") }
        client.server = server
        for connection in world.network.connections where connection.client === client.process {
            connection.down.sever(tellsAfter: 0)
        }
    }

    private func replay(_ random: inout SeededGenerator) {
        guard let old = world.network.connections.filter({ !$0.recorded.isEmpty }).randomElement(using: &random),
            let life = world.servers.randomElement(using: &random)?.life
        else { return }
        if world.network.replay(old, to: life) { world.injected(.replayConnection, "\(old.id)") }
    }
}
