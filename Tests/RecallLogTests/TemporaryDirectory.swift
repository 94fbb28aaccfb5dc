import Foundation

/// A directory of its own for a test, removed with it. In memory where the system offers that: the tests open thousands
/// of logs, and what a loss of power leaves cannot be tested by syncing anyway.
final class TemporaryDirectory: Sendable {
    let root: URL

    init() throws {
        let memory = "/dev/shm"
        let base =
            FileManager.default.isWritableFile(atPath: memory)
            ? URL(filePath: memory) : FileManager.default.temporaryDirectory
        root = base.appending(path: "recall-log-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: root) }

    func path(_ name: String) -> String { root.appending(path: name).path }

    func read(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: path(name)).map { Array($0) } }

    /// True if the file has these bytes; so asked, a failed expectation does not print them.
    func holds(_ name: String, _ bytes: [UInt8]?) -> Bool { read(name) == bytes }

    func write(_ name: String, _ bytes: [UInt8]) throws { try Data(bytes).write(to: root.appending(path: name)) }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: root.path).sorted() }

    func clear() throws {
        for name in try names() { try FileManager.default.removeItem(atPath: path(name)) }
    }

    func permissions(_ name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int
    }
}
