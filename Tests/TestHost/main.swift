// A server in a process of its own, for tests that kill it: hosts a kind with a message that traps.
// Arguments: the port (0 picks one) and the poison file. Prints the port once it listens.

import Logging
import Recall
import RecallCore
import RecallServer

struct Mortal: Session {
    struct State: SessionState { var total = 0 }
    struct Add: UpdateMessage {
        var amount: Int
        func update(_ mortal: inout State) -> Int {
            mortal.total += amount
            return mortal.total
        }
    }
    struct Die: UpdateMessage {
        func update(_ mortal: inout State) { fatalError("as asked") }
    }
    /// Takes a moment outside.
    struct Wait: EffectMessage {
        func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int {
            try await Task.sleep(for: .milliseconds(200))
            return 1
        }
        func update(_ mortal: inout State, outcome: Int) -> Int {
            mortal.total += outcome
            return mortal.total
        }
    }
    /// Kills the process while it is outside.
    struct DieOutside: EffectMessage {
        func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int {
            try await Task.sleep(for: .milliseconds(100))
            fatalError("as asked")
        }
        func update(_ mortal: inout State, outcome: Int) {}
    }
    /// Kills the process when it comes back from outside.
    struct DieBack: EffectMessage {
        func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int { 1 }
        func update(_ mortal: inout State, outcome: Int) { fatalError("as asked") }
    }
    struct DieAsked: RequestMessage {
        func reply(from mortal: State) -> Int { fatalError("as asked") }
    }
    /// Holds the loop for ever.
    struct Hang: UpdateMessage {
        func update(_ mortal: inout State) {
            // Asks the clock, for an optimiser leaves out a loop that does nothing.
            let end = ContinuousClock.now + .seconds(3600)
            while ContinuousClock.now < end {}
        }
    }
    /// Kills the process long after its session was given up; heeds no cancellation.
    struct DieLate: EffectMessage {
        func perform(on mortal: State, in context: EffectContext<Mortal>) async throws -> Int {
            let end = ContinuousClock.now + .seconds(2)
            while ContinuousClock.now < end { try? await Task.sleep(until: end) }
            fatalError("as asked")
        }
        func update(_ mortal: inout State, outcome: Int) {}
    }
    static let kind = SessionKind<Mortal>(
        "mortal",
        [
            1: Add.self, 2: Die.self, 3: Wait.self, 4: DieOutside.self, 5: DieBack.self, 6: Hang.self, 7: DieLate.self,
            8: DieAsked.self,
        ])
}

let arguments = CommandLine.arguments
let port = arguments.count > 1 ? Int(arguments[1]) ?? 0 : 0
var configuration = HandlerConfiguration()
configuration.poisonFile = arguments.count > 2 ? arguments[2] : nil
configuration.detection = .any(of: .standard, .deadline(.seconds(1)))
configuration.hangLimit = .seconds(1)
let secret = Digest([UInt8](repeating: 7, count: 32)) ?? Digest()
let handler = try SessionHandler(keys: KeyRing(secret: secret), hosting: Mortal(), configuration: configuration)
LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
let server = SessionServer(handler, listen: .tcp(port: port))
Task {
    // Written at once: nothing is flushed when the process traps.
    let line = "\(try await server.port)\n"
    try? FileDescriptorOutput.write(line)
}
try await server.run()
