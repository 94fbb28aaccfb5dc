internal import Foundation

/// A PostgreSQL of our own. It refuses to run as root, so root starts it as `nobody` in a folder that is theirs.
final class Postgres {
    let child: Child
    let port: Int
    static let user = "bench"

    /// Where Debian keeps its programs, the newest version first.
    static var folder: String? {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return versions.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map { "\(root)/\($0)/bin" }
            .first { FileManager.default.isExecutableFile(atPath: $0 + "/postgres") }
    }

    init(folder data: String) async throws {
        guard let programs = Self.folder else { throw BenchError("postgresql is not installed") }
        try? FileManager.default.removeItem(atPath: data)
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        if getuid() == 0 { try Self.run("/bin/chown", ["nobody", data]) }
        try Self.run(
            programs + "/initdb", ["-D", data, "-U", Self.user, "-A", "trust", "-E", "UTF8", "--no-sync"],
            asNobody: true)
        port = try FreePort.find()
        let (program, arguments) = Self.command(
            programs + "/postgres",
            ["-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
            asNobody: true)
        child = try Child(program, arguments, quiet: true)
        let psql = programs + "/psql"
        let sql = "CREATE TABLE updates (number bigserial PRIMARY KEY, session int, bytes bytea NOT NULL)"
        for attempt in 0..<100 {
            do {
                try Self.run(
                    psql, ["-h", "127.0.0.1", "-p", "\(port)", "-U", Self.user, "-q", "-c", sql, "postgres"])
                return
            } catch {
                if attempt == 99 { throw error }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    func end() {
        child.end(signal: SIGINT)
    }

    /// Rows read back by `SELECT`, as a recovery by replay would, by the client that measured the `INSERT`s.
    func readBack() async throws -> Rate {
        let rows = PostgresRows()
        let rate = try await Pipelined.measure(
            { .postgresSelect(user: Self.user, database: "postgres", limit: 1_000_000, rows: rows) }, port: port,
            .init(connections: 1, window: 1, seconds: 600))
        return Rate(count: rows.count, seconds: rate.seconds)
    }

    private static func command(_ path: String, _ arguments: [String], asNobody: Bool) -> (String, [String]) {
        guard asNobody, getuid() == 0 else { return (path, arguments) }
        return ("/usr/bin/setpriv", ["--reuid=nobody", "--regid=nogroup", "--clear-groups", path] + arguments)
    }

    @discardableResult
    private static func run(_ path: String, _ arguments: [String], asNobody: Bool = false) throws -> String {
        let (program, all) = command(path, arguments, asNobody: asNobody)
        return try Programs.run(program, all)
    }
}
