internal import ArgumentParser
internal import Dispatch
internal import Foundation

/// Waits for the command on the main thread: an asynchronous `main` ends that thread, which the tools that count
/// instructions do not survive.
@main
enum Main {
    static func main() {
        let end = DispatchSemaphore(value: 0)
        Task.detached {
            await Bench.main()
            end.signal()
        }
        end.wait()
    }
}

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recall-bench",
        abstract: "Measures Recall beside bare limits and alternatives, in one run.",
        subcommands: [Run.self, Draw.self, Exercise.self, Serve.self], defaultSubcommand: Run.self)
}

/// The roles of the suite's children.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(shouldDisplay: false)
    @Argument var role: String
    @Option var port = 0
    @Option var tls: String?
    @Flag var freely = false
    @Option var idleMilliseconds: Int?

    func run() async throws {
        let tls = try tls.map { try Certificate(in: $0).server }
        switch role {
        case "echo": try await EchoServer.run(tls: tls)
        case "sealed": try await EchoServer.run(sealed: true)
        case "recall":
            try await RecallServerRole.run(
                tls: tls, port: port, admission: !freely,
                idleLimit: idleMilliseconds.map { .milliseconds($0) })
        default: throw ValidationError("no role '\(role)'")
        }
    }
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the suite and prints the goals beside what was reached.",
        discussion: """
            Redis, PostgreSQL and gnuplot are used where they are installed, and said to be missing where not. Servers \
            listen on loopback and end with the run. In the output folder: report.json, table.md and the plots.
            """)

    enum Group: String, ExpressibleByArgument, CaseIterable {
        case wire, logs, alternatives, recovery, typing, storms, memory
    }

    @Flag(help: "Fewer, shorter rounds and smaller sizes: three minutes in place of twenty.") var quick = false
    @Option(help: "Where the results go.") var output = ".build-bench/report"
    @Flag(help: "Print the report as JSON in place of the table.") var json = false
    @Option(help: "A recording of typing, gzipped JSON, for `typing`; one of github.com/josephg/editing-traces.")
    var trace: String?
    @Option(help: "How many sessions idle in `memory`; a million, or 50,000 with --quick.")
    var idleSessions: Int?
    @Argument(help: "What to measure: \(Group.allCases.map(\.rawValue).joined(separator: ", ")) (all).")
    var groups: [Group] = []

    func validate() throws {
        guard (1...10_000_000).contains(idleSessions ?? 1) else {
            throw ValidationError("--idle-sessions must be 1 to 10000000")
        }
    }

    func run() async throws {
        // Many sessions want many sockets.
        var files = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        files.rlim_cur = files.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)

        var pace = quick ? Suite.Pace.quick : .whole
        pace.idleSessions = idleSessions ?? pace.idleSessions
        let suite = try Suite(
            pace, folder: NSTemporaryDirectory() + "/recall-bench-\(getpid())",
            command: command)
        defer { suite.end() }
        let started = ContinuousClock.now
        for group in groups.isEmpty ? Group.allCases : groups {
            try await measure(group, suite)
            suite.report.seconds = (ContinuousClock.now - started).seconds
            try write(suite.report, suite.say)
        }
        print(json ? try suite.report.encoded : suite.report.table)
    }

    /// What gives these figures again. A recording is not named: `RECALL_RECORDINGS` says where it is.
    private var command: String {
        let options = groups.map(\.rawValue) + (idleSessions.map { ["--idle-sessions", "\($0)"] } ?? [])
        let words = options.isEmpty ? "" : " BENCH=\"\(options.joined(separator: " "))\""
        return "make bench" + (quick ? " QUICK=1" : "") + words
    }

    private func measure(_ group: Group, _ suite: Suite) async throws {
        switch group {
        case .wire: try await suite.measureWire()
        case .logs: try await suite.measureLogs()
        case .alternatives: try await suite.measureAlternatives()
        case .recovery: try await suite.measureRecovery()
        case .typing: try await suite.measureTyping(trace)
        case .storms: try await suite.measureStorms()
        case .memory: try await suite.measureMemory()
        }
    }

    /// After each group, so that a run that is stopped leaves what it found.
    private func write(_ report: Report, _ say: (String) -> Void) throws {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        try report.encoded.write(toFile: output + "/report.json", atomically: true, encoding: .utf8)
        try report.table.write(toFile: output + "/table.md", atomically: true, encoding: .utf8)
        do { _ = try Plots(report: report, folder: output).draw() } catch let error as BenchError {
            say("without plots: \(error)")
        }
    }
}

struct Draw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draws the plots of a report again, and prints its table.")

    @Argument(help: "A report.json.") var report: String
    @Option(help: "Where the plots go.") var output = ".build-bench/report"

    func run() async throws {
        let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(filePath: report)))
        _ = try Plots(report: report, folder: output).draw()
        print(report.table)
    }
}
