internal import Foundation

/// Programs that are run to their end.
enum Programs {
    /// What it writes to its standard output. Throws if its status is not 0.
    @discardableResult
    static func run(_ path: String, _ arguments: [String]) throws -> String {
        let spawn = try Spawn(path, arguments, quiet: true)
        close(spawn.input)
        let text = FileHandle(fileDescriptor: spawn.output, closeOnDealloc: true).readDataToEndOfFile()
        let status = spawn.wait(within: 120)
        guard status == 0 else { throw BenchError("\(path) ended with status \(status ?? -1)") }
        return String(decoding: text, as: UTF8.self)
    }
}
