internal import Foundation

/// A folder of its own, for as long as it is needed.
struct Workspace: Sendable {
    let path: String

    init(inside folder: String) throws {
        path = folder + "/" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
