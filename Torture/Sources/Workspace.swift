internal import Foundation
internal import NIOPosix
internal import Synchronization

/// What a run needs everywhere: the tool, a folder, ports, processes, the counts.
final class Workspace: Sendable {
    let tool: String
    let folder: String
    let key: String
    let seed: UInt64
    let tally = Tally()
    let group: MultiThreadedEventLoopGroup
    let spawner: Spawner
    let journal: Journal
    private let nextPort: Mutex<Int>
    private let names = Mutex(0)
    /// Nil once nothing more may be mounted.
    private let disks = Mutex<[SmallDisk]?>([])

    init(tool: String, seed: UInt64, name: String, ports: Int? = nil) throws(TortureError) {
        guard let path = realpath(tool, nil) else { throw .noTool(path: tool) }
        defer { free(path) }
        self.tool = String(cString: path)
        guard access(self.tool, X_OK) == 0 else { throw .noTool(path: tool) }
        self.seed = seed
        folder = FileManager.default.temporaryDirectory.path + "/recall-torture-\(name)-\(getpid())-\(seed)"
        for folder in [folder, folder + "/servers", folder + "/sessions"] { try makeFolder(folder) }
        key = folder + "/key"
        try Self.makeKey(key)
        journal = try Journal(path: folder + "/acknowledgements", tally: tally)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        spawner = Spawner(group)
        nextPort = Mutex(ports ?? 15_000 + Int(getpid()) % 160 * 100)
    }

    /// One that nobody listens at. Not of those that the system hands out: a client that connects while its server is
    /// dead could be given that very port for its own end, and be connected to itself.
    func port() throws(TortureError) -> Int {
        for _ in 0..<5000 {
            let port = nextPort.withLock { next in
                next = next < 31_999 ? next + 1 : 15_000
                return next
            }
            if Self.isFree(port) { return port }
        }
        throw .noPort
    }

    /// A name that no other of this run has.
    func fresh(_ name: String) -> String {
        "\(name)-\(names.withLock { $0 += 1; return $0 })"
    }

    /// What was wrong, as a file in the folder that is kept.
    func writeProblems() {
        let text = tally.now.problems.joined(separator: "\n") + "\n"
        try? text.write(toFile: folder + "/problems", atomically: true, encoding: .utf8)
    }

    func mount(_ name: String, kilobytes: Int) throws(TortureError) -> SmallDisk {
        let path = "\(folder)/\(name)"
        return try disks.withLock { disks throws(TortureError) in
            guard disks != nil else { throw .unexpected("the run is over") }
            let disk = try SmallDisk(path: path, kilobytes: kilobytes)
            disks?.append(disk)
            return disk
        }
    }

    func unmount(_ disk: SmallDisk) {
        disk.unmount()
        disks.withLock { $0?.removeAll { $0.path == disk.path } }
    }

    /// Ends all processes and unmounts all disks: they would outlive this process. No others follow.
    func end() {
        spawner.end()
        let left = disks.withLock { disks in
            defer { disks = nil }
            return disks ?? []
        }
        for disk in left { disk.unmount() }
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    private static func makeKey(_ path: String) throws(TortureError) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(call: "open \(path)", reason: errorText(errno)) }
        defer { close(file) }
        let key = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
        guard write(file, key, key.count) == key.count else {
            throw .system(call: "write \(path)", reason: errorText(errno))
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        var yes: Int32 = 1
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return withUnsafeBytes(of: &address) { bytes in
            guard let base = bytes.baseAddress else { return false }
            return bind(file, base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) == 0
        }
    }
}

func makeFolder(_ path: String) throws(TortureError) {
    do {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    } catch {
        throw .noFolder(path: path, reason: "\(error)")
    }
}
