internal import Foundation

/// A Redis of our own, on a port and in a folder of its own.
final class Redis {
    let child: Child
    let port: Int
    /// Seconds that it took to load its append-only file, by its own account; 0 if there was none.
    let loading: Double

    static var path: String? {
        ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }

    /// - Parameter fsync: `everysec` or `always`.
    init(folder: String, fsync: String) async throws {
        guard let path = Self.path else { throw BenchError("redis-server is not installed") }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        port = try FreePort.find()
        child = try Child(
            path,
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--appendfsync",
                fsync, "--save", "", "--auto-aof-rewrite-percentage", "0", "--daemonize", "no",
            ])
        var loading = 0.0
        while true {
            let line = try await child.line()
            // Its base file and the increments each have a line, and then there is one for all.
            if let seconds = line.firstMatch(of: /DB loaded from append only file: ([0-9.]+) seconds/)?.1 {
                loading = Double(seconds) ?? 0
            }
            if line.contains("eady to accept connections") { break }
        }
        self.loading = loading
    }

    func end() {
        child.end(signal: SIGTERM)
    }
}

enum FreePort {
    /// A port that nobody listens on now.
    static func find() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(socket, pointer, size) == 0 ? getsockname(socket, pointer, &size) : -1
            }
        }
        guard status == 0 else { throw BenchError("no port is free") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
