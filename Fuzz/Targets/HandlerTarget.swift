import RecallCore
import RecallTesting

/// The handler machine in conversations whose client side is spoiled: nothing traps, user code sees nothing that a
/// client did not send, and nothing twice; and when all sessions are gone nothing is left.
enum HandlerTarget {
    static func run(_ input: [UInt8]) {
        let conversation = Conversation(input, spoiling: .server)
        conversation.run()
        for server in conversation.network.servers {
            for client in conversation.network.clients {
                guard let state = client.session.flatMap({ server.state(of: $0) }) else { continue }
                check(state, conversation.names)
            }
            conversation.network.advance(nanoseconds: 1_000_000)
            for connection in conversation.network.connections where connection.server === server {
                conversation.network.cutAtServer(connection)
            }
            while !server.host.effects.isEmpty { server.endEffect() }
            while server.endApplication() {}
            server.evictIdle(since: conversation.network.now)
            require(server.sessionCount == 0, "\(server.sessionCount) sessions are left")
            require(server.memoryInUse == 0, "\(server.memoryInUse) bytes are left")
        }
    }

    private static func check(_ state: CoreState, _ names: Set<String>) {
        var seen: Set<String> = []
        for item in state.items {
            let name = String(item.prefix { $0.isLetter || $0.isNumber })
            require(names.contains(name), "a state holds '\(item)', which nobody sent")
            require(seen.insert(name).inserted, "a state holds '\(name)' twice")
        }
    }
}
