internal import RecallCore

/// Watches a network for what must never happen, whatever the faults. It knows the protocol's promises and none of its
/// code: what it compares are logs, states and what callers saw.
///
/// The numbers are those of the invariants in the protocol's description.
package final class CoreChecker {
    private unowned let network: CoreNetwork
    /// What went wrong, in order.
    package private(set) var violations: [String] = []
    /// True while the logs keep what they promise; without, a client may be told that it is behind.
    package var logsAreDurable = true

    private struct Place: Hashable {
        var server: Int, life: Int, slot: SlotID, session: SessionID
    }
    private struct StreamKey: Hashable {
        var connection: ConnectionID, stream: StreamID
    }
    private var confirmed: [Place: [SequenceNumber: Position]] = [:]
    private var present: [Place: Incarnation] = [:]
    private var effects: [Digest: String] = [:]
    private var live: Set<StreamKey> = []
    private var recalls: [StreamKey: Int] = [:]

    package init(_ network: CoreNetwork) {
        self.network = network
        network.onFrame = { [unowned self] in frame($0, toServer: $1, $2) }
        for server in network.servers {
            watch(server)
            server.onHost = { [unowned self] in watch($0) }
        }
        for client in network.clients { watch(client) }
    }

    /// Watches a client that was made later.
    package func watch(_ client: CoreClient) {
        client.onResult = { [unowned self, unowned client] in delivered($0, $1, client) }
        client.onWrite = { [unowned self, unowned client] in written($0, client) }
    }

    package func violate(_ invariant: Int, _ text: String) { violations.append("invariant \(invariant): \(text)") }

    // MARK: Effects

    private func watch(_ server: CoreServer) {
        server.host.onPerform = { [unowned self, unowned server] in performed($0, server) }
    }

    /// 10: what an effect depends on is in the log. 3: one idempotency key stands for one state and message.
    private func performed(_ effect: CoreHost.RunningEffect, _ server: CoreServer) {
        let seen = "\(effect.message.name) on \(effect.state)"
        if let before = effects[effect.key], before != seen {
            violate(10, "the effect \(before) ran again as \(seen) under the same key")
        }
        effects[effect.key] = seen
        guard let client = network.clients.first(where: { $0.session == effect.session }), client.log.isWhole else {
            return
        }
        let logged = client.log.acknowledgedState
        let missing = effect.state.items.dropFirst(logged.items.count).filter { $0.contains("@") || $0.contains("!") }
        let differs = !zip(effect.state.items, logged.items).allSatisfy { $0 == $1 }
        // A client that went elsewhere meanwhile may have another history; its confirmation then came before.
        if logsAreDurable, !missing.isEmpty || (differs && client.connection?.server === server) {
            violate(10, "the effect \(seen) ran while the log had \(logged)")
        }
    }

    // MARK: Callers

    /// 10: what a caller sees is in its log, and is what the log says. 2: nothing else.
    private func delivered(_ call: CoreCall, _ result: CallResult, _ client: CoreClient) {
        if call.result != nil { violate(3, "'\(call.text)' was answered twice") }
        guard client.log.isWhole, case .reply(let bytes) = result else { return }
        if call.isRequest, bytes.isEmpty { violate(2, "'\(call.text)' was answered with nothing") }
        let logged = client.log.acknowledgedState
        if !bytes.isEmpty {
            let text = String(decoding: bytes, as: UTF8.self)
            let seen = CoreState(items: text == "-" ? [] : text.split(separator: " ").map(String.init))
            if !seen.precedes(logged) { violate(10, "'\(call.text)' showed \(seen) while the log had \(logged)") }
        }
        let name = CoreMessage(Array(call.text.utf8).span.bytes).name
        if !call.isRequest, !Self.names(logged).contains(name) {
            violate(10, "'\(call.text)' was answered before the log had its acknowledgement")
        }
    }

    static func names(_ state: CoreState) -> [String] {
        state.items.map { String($0.prefix { $0.isLetter || $0.isNumber }) }
    }

    // MARK: The wire

    /// 4: what goes onto the wire is in the log before: messages, what is confirmed, checkpoints that are kept.
    private func written(_ body: [UInt8], _ client: CoreClient) {
        var reader = ByteReader(body.span.bytes)
        do {
            switch try reader.frameType() {
            case .update:
                let run = try UpdateRun(reading: &reader)
                if let position = run.confirmed { confirms(position, client) }
                var number = run.first
                while reader.remaining > 0 {
                    let content = try reader.block(limit: WireLimits.message).array
                    if client.log.message(number)?.content != content {
                        violate(4, "\(client.name) sent update \(number), which its log has not")
                    }
                    number = number.next
                }
            case .confirm: confirms(try Confirm(reading: &reader).position, client)
            case .kept:
                let position = try Kept(reading: &reader).position
                if !client.log.checkpoints.contains(where: { $0.position == position }) {
                    violate(4, "\(client.name) has not kept the checkpoint at \(position.number)")
                }
            default: break
            }
        } catch { violate(4, "\(client.name) wrote a frame that is \(error)") }
    }

    private func confirms(_ position: Position, _ client: CoreClient) {
        let logged = client.log.receipt?.position ?? .start
        if position.number > logged.number || (position.number == logged.number && position != logged) {
            violate(4, "\(client.name) confirmed \(position.number), its log says \(client.log.acknowledged)")
        }
    }

    /// 5: nothing of a session is visible before `attached`. 6: one recall at a time on a stream.
    private func frame(_ connection: CoreConnection, toServer: Bool, _ body: [UInt8]) {
        guard !toServer else { return }
        var reader = ByteReader(body.span.bytes)
        guard let type = try? reader.frameType(), let stream = try? reader.stream() else { return }
        let key = StreamKey(connection: connection.id, stream: stream)
        switch type {
        case .attached:
            if !live.insert(key).inserted { violate(5, "a stream was attached twice") }
        case .acknowledgement, .reply:
            if !live.contains(key) { violate(5, "\(type) on a stream that is not attached") }
        case .recall:
            if live.contains(key) { violate(6, "a recall on a stream that is attached") }
        default: break
        }
    }

    // MARK: Positions

    /// 9: a confirmed position never changes on a server that saw it confirmed. Call it after every step.
    package func lookAtServers() {
        for server in network.servers {
            if server.memoryInUse != server.recountedMemory {
                violate(14, "\(server.name) counts \(server.memoryInUse) bytes and has \(server.recountedMemory)")
            }
            for client in network.clients {
                guard let session = client.session else { continue }
                look(server, session, server.status(of: session))
            }
        }
    }

    private func look(_ server: CoreServer, _ session: SessionID, _ status: SessionStatus?) {
        guard let status else {
            confirmed = confirmed.filter { $0.key.server != server.identity || $0.key.session != session }
            return
        }
        let place = Place(server: server.identity, life: server.life, slot: status.slot, session: session)
        var positions = [status.tombstone].compactMap { $0 }
        if status.hasCopy { positions.append(status.confirmed) }
        if status.phase == .live { positions.append(status.head) }
        for position in positions {
            if let before = confirmed[place]?[position.number], before != position {
                violate(9, "update \(position.number) was confirmed on \(server.name) and is another now")
            }
        }
        if status.phase == .live { confirmed[place, default: [:]][status.confirmed.number] = status.confirmed }
    }

    // MARK: The end

    /// When all is still: 1, 2, 3, 17, 21, 22. `final` is what a fresh copy of the session answers.
    package func finish(_ client: CoreClient, final: String?) {
        if let breach = client.breach { violate(16, "\(client.name)'s log: \(breach)") }
        if let failure = client.failure {
            if logsAreDurable { violate(21, "\(client.name) was refused: \(failure.code), \(failure.text)") }
            return
        }
        for call in client.calls where call.result == nil && !call.isOrphaned {
            violate(22, "'\(call.text)' never returned")
        }
        guard client.log.isWhole else { return }
        let logged = client.log.acknowledgedState
        if let final, final != logged.description { violate(17, "the state is \(final), the log says \(logged)") }
        let names = Self.names(logged)
        if Set(names).count != names.count { violate(3, "an update took effect twice: \(logged)") }
        if logsAreDurable { checkCalls(client, logged, names) }
    }

    private func checkCalls(_ client: CoreClient, _ logged: CoreState, _ names: [String]) {
        var order = -1
        for call in client.calls {
            let message = CoreMessage(Array(call.text.utf8).span.bytes)
            guard let result = call.result, !call.isRequest || call.reply != nil else { continue }
            let place = names.firstIndex(of: message.name)
            switch result {
            case .reply(let bytes):
                if !call.isRequest {
                    guard let place else {
                        violate(1, "'\(call.text)' was acknowledged and is not in \(logged)")
                        continue
                    }
                    if place < order { violate(17, "'\(call.text)' is out of order in \(logged)") }
                    order = place
                }
                guard !bytes.isEmpty else { continue }
                let text = String(decoding: bytes, as: UTF8.self)
                if text != "-", logged.description != text, !logged.description.hasPrefix(text + " ") {
                    violate(2, "'\(call.text)' had shown \(text), the state is \(logged)")
                }
            case .rejected:
                if place != nil { violate(2, "'\(call.text)' was refused and is in \(logged)") }
            case .failed(let code, _):
                if place != nil, code != .outcomeUnknown { violate(2, "'\(call.text)' failed and is in \(logged)") }
            }
        }
    }
}
