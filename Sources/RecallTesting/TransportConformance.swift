internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Recall
public import RecallClient
internal import RecallCore
public import RecallServer
internal import Synchronization

/// What any way between clients and a server must do, rule by rule: for whoever puts a tunnel, a proxy or a transport
/// of their own between them.
///
/// ```swift
/// try await TransportConformance { handler in
///     let server = SessionServer(handler, listen: .tcp(port: 0))
///     let running = Task { try await server.run() }
///     return .init(endpoint: .tcp("127.0.0.1", try await server.port)) {
///         running.cancel()
///         _ = await running.result
///     }
/// }.run()
/// ```
public struct TransportConformance: Sendable {
    /// A handler at work behind the transport.
    public struct Way: Sendable {
        /// Where clients find it.
        public var endpoint: Endpoint
        /// Ends the server and all its connections.
        public var stop: @Sendable () async -> Void

        public init(endpoint: Endpoint, stop: @escaping @Sendable () async -> Void) {
            (self.endpoint, self.stop) = (endpoint, stop)
        }
    }

    /// The first rule that a transport breaks.
    public struct Violation: Error, CustomStringConvertible {
        public var rule: String
        public var detail: String
        public var description: String { "\(rule): \(detail)" }
    }

    private let serve: @Sendable (SessionHandler) async throws -> Way

    /// `serve` puts a handler to work; each rule is tried with a handler of its own.
    public init(_ serve: @escaping @Sendable (SessionHandler) async throws -> Way) { self.serve = serve }

    /// The rules' names, in the order in which they are tried.
    public static var rules: [String] { all.map(\.name) }

    /// Tries every rule. Throws a `Violation` that describes the first one broken.
    public func run() async throws {
        for rule in Self.rules { try await run(rule: rule) }
    }

    /// Tries one rule by its name.
    public func run(rule name: String) async throws {
        guard let rule = Self.all.first(where: { $0.name == name }) else {
            throw Violation(rule: name, detail: "there is no such rule")
        }
        let secret = Digest((0..<32).map { _ in UInt8.random(in: .min ... .max) }) ?? Digest()
        let handler = try SessionHandler(keys: KeyRing(secret: secret), hosting: Parcel())
        let way = try await serve(handler)
        do {
            try await rule.body(TransportTrial(way: way, handler: handler))
        } catch {
            await way.stop()
            throw Violation(rule: name, detail: "\(error)")
        }
        await way.stop()
    }

    private struct Rule: Sendable {
        var name: String
        var body: @Sendable (TransportTrial) async throws -> Void
    }

    private static let all: [Rule] = [
        Rule(name: "messages and replies arrive in order", body: { try await $0.order() }),
        Rule(name: "bytes that come one by one make frames", body: { try await $0.byteByByte() }),
        Rule(name: "the biggest frames pass in both directions", body: { try await $0.big() }),
        Rule(name: "the client's close reaches the server", body: { try await $0.clientCloses() }),
        Rule(name: "the server's close reaches the client", body: { try await $0.serverCloses() }),
        Rule(name: "half a frame before the end is as if it were none", body: { try await $0.halfFrame() }),
        Rule(name: "a refusal arrives before the connection ends", body: { try await $0.refusal() }),
        Rule(name: "a peer that does not read holds itself up, and nobody else", body: { try await $0.backpressure() }),
        Rule(name: "thousands of sessions share one connection", body: { try await $0.streams() }),
        Rule(name: "a client that lost its connection comes back", body: { try await $0.reconnect() }),
    ]
}

/// What the rules are tried with: counts messages, and replies as many bytes as asked.
struct Parcel: Session {
    struct State: SessionState { var count = 0 }
    struct Bytes: BinaryCodable, Sendable {
        var bytes: [UInt8]
        init(_ bytes: [UInt8]) { self.bytes = bytes }
        func write(to writer: inout ByteWriter) { writer.append(bytes.span.bytes) }
        init(reading reader: inout ByteReader) throws(WireError) { bytes = try reader.take(reader.remaining).array }
    }
    struct Put: UpdateMessage, BinaryCodable {
        var content: Bytes
        init(_ bytes: [UInt8]) { content = Bytes(bytes) }
        func update(_ parcel: inout State) -> Int {
            parcel.count += 1
            return parcel.count
        }
        func write(to writer: inout ByteWriter) { content.write(to: &writer) }
        init(reading reader: inout ByteReader) throws(WireError) { content = try Bytes(reading: &reader) }
    }
    struct Get: RequestMessage {
        var count: Int
        func reply(from parcel: State) -> Bytes { Bytes([UInt8](repeating: 1, count: max(0, min(count, 1 << 20)))) }
    }
    static let kind = SessionKind<Parcel>("parcel", [1: Put.self, 2: Get.self])
}
