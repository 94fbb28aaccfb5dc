public import Recall
internal import RecallCore

/// What any `MessageLog` must do, rule by rule: for whoever writes a log of their own.
///
/// ```swift
/// try await LogConformance {
///     let path = try temporaryPath()
///     return { MyLog(path: path) }
/// }.run()
/// ```
public struct LogConformance: Sendable {
    /// One place to keep a log. Each call gives a log, not open yet, on that same place.
    public typealias Storage = @Sendable () -> any MessageLog

    /// The first rule that a log breaks.
    public struct Violation: Error, CustomStringConvertible {
        public var rule: String
        public var detail: String
        public var description: String { "\(rule): \(detail)" }
    }

    private let makeStorage: @Sendable () async throws -> Storage

    /// `makeStorage` gives a new, empty place at every call; each rule is tried on a place of its own.
    public init(_ makeStorage: @escaping @Sendable () async throws -> Storage) {
        self.makeStorage = makeStorage
    }

    /// The rules' names, in the order in which they are tried.
    public static var rules: [String] { all.map(\.name) }

    /// Tries every rule. Throws a `Violation` that describes the first one broken, with the log's own error if it threw
    /// one.
    public func run() async throws {
        for rule in Self.all { try await run(rule) }
    }

    /// Tries one rule by its name.
    public func run(rule name: String) async throws {
        guard let rule = Self.all.first(where: { $0.name == name }) else {
            throw Violation(rule: name, detail: "there is no such rule")
        }
        try await run(rule)
    }

    private func run(_ rule: Rule) async throws {
        let trial = LogTrial(storage: try await makeStorage())
        do {
            try await rule.body(trial)
        } catch let failure as LogTrial.Failure {
            throw Violation(rule: rule.name, detail: failure.detail)
        } catch {
            throw Violation(rule: rule.name, detail: "threw \(error)")
        }
    }

    private struct Rule: Sendable {
        var name: String
        var body: @Sendable (LogTrial) async throws -> Void
    }

    private static let all: [Rule] = [
        Rule(name: "an empty log holds nothing", body: { try await $0.empty() }),
        Rule(name: "the header is durable when begin returns, and final", body: { try await $0.header() }),
        Rule(name: "one writer at a time", body: { try await $0.lock() }),
        Rule(name: "a log that is not open refuses", body: { try await $0.notOpen() }),
        Rule(name: "what was appended is read back after reopening", body: { try await $0.reopen() }),
        Rule(name: "entries that do not extend the log are refused whole", body: { try await $0.allOrNone() }),
        Rule(name: "a slice ends at the last receipt within its bytes", body: { try await $0.slices() }),
        Rule(name: "the tail is cut by bytes and has no receipt", body: { try await $0.tail() }),
        Rule(name: "a superseded receipt is forgotten", body: { try await $0.supersedes() }),
        Rule(name: "the newest receipt at or before a number is found", body: { try await $0.receipts() }),
        Rule(name: "determinants stay with their messages", body: { try await $0.determinants() }),
        Rule(name: "determinants past the newest receipt are discarded at opening", body: { try await $0.strays() }),
        Rule(name: "two checkpoints are kept, and messages truncated", body: { try await $0.keep() }),
        Rule(name: "a checkpoint outside the log is refused", body: { try await $0.keepRefused() }),
        Rule(name: "adopting replaces everything but the header", body: { try await $0.adopt() }),
        Rule(name: "what is set aside is never read again", body: { try await $0.setAside() }),
        Rule(name: "big and empty messages are kept to the byte", body: { try await $0.big() }),
        Rule(name: "many messages truncated often stay in order", body: { try await $0.many() }),
    ]
}
