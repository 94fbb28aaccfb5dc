import RecallTesting

/// The client machine in conversations whose server side is spoiled: nothing traps, the log is asked for nothing that
/// it must not do, and no caller is answered twice.
enum ClientTarget {
    static func run(_ input: [UInt8]) {
        let conversation = Conversation(input, spoiling: .client)
        conversation.run()
        for client in conversation.network.clients {
            require(client.breach == nil, "\(client.name)'s log: \(client.breach ?? "")")
            for call in client.calls {
                require(call.results.count < 2, "'\(call.text)' was answered \(call.results.count) times")
            }
        }
    }
}
