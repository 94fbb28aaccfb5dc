import Foundation
import Recall
import RecallClient
import RecallSQLite
import RecallServer

struct Counter: Session {
    struct State: SessionState { var total = 0 }  // what a session remembers

    struct Add: UpdateMessage {  // a function from state to state
        var amount: Int
        func update(_ counter: inout State) -> Int {
            counter.total += amount
            return counter.total
        }
    }
    struct Total: RequestMessage {
        func reply(from counter: State) -> Int { counter.total }
    }

    static let kind = SessionKind<Counter>("counter", [1: Add.self, 2: Total.self])
}

let port = Int(ProcessInfo.processInfo.environment["PORT"] ?? "") ?? 7433

/// The server: a key and the kinds to host. Nothing but the key has to outlive the process.
func serve() async throws {
    let key = try Data(contentsOf: URL(filePath: "counter.key"))
    guard let secret = Digest([UInt8](key)) else { throw RecallError(.misconfigured, "counter.key has not 32 bytes") }
    let handler = try SessionHandler(keys: KeyRing(secret: secret), hosting: Counter())
    try await SessionServer(handler, listen: .tcp(port: port)).run()  // a service of swift-service-lifecycle
}

/// The client: kill the server meanwhile, and start it again.
func count() async throws {
    let counter = try await SessionClient<Counter>.open(at: .tcp("127.0.0.1", port), log: .sqlite("counter.db"))
    for _ in 1...10 {
        print(try await counter.send(Counter.Add(amount: 1)))
        try await Task.sleep(for: .milliseconds(500))
    }
    print("total:", try await counter.send(Counter.Total()))
    await counter.close()
}

do {
    if CommandLine.arguments.last == "serve" { try await serve() } else { try await count() }
} catch {
    print(error)  // a RecallError says what to do
    exit(1)
}
