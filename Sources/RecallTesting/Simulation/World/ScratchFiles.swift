internal import Foundation

/// Files of a run that have to be real ones, in a folder that goes when the run ends.
final class ScratchFiles {
    private let folder: URL
    private var exists = false
    /// What is to be done before the files go.
    var onRemove: [() -> Void] = []

    init() {
        // In memory if possible: a log that is created syncs its folder.
        let memory = "/dev/shm"
        let free = (try? FileManager.default.attributesOfFileSystem(forPath: memory))?[.systemFreeSize] as? Int ?? 0
        let isRoomy = free > 1 << 30 && FileManager.default.isWritableFile(atPath: memory)
        let parent =
            isRoomy
            ? URL(filePath: memory, directoryHint: .isDirectory) : FileManager.default.temporaryDirectory
        folder =
            parent
            .appending(path: "recall-simulation-\(UUID().uuidString)", directoryHint: .isDirectory)
    }

    /// A new file's path, with the bytes in it if there are any.
    func write(_ bytes: [UInt8]?, for name: String) throws -> String {
        if !exists { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
        exists = true
        let file = folder.appending(path: name)
        if let bytes { try Data(bytes).write(to: file) }
        return file.path
    }

    /// A place for a folder.
    func folder(_ name: String) throws -> URL {
        if !exists { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
        exists = true
        // As SQLite will be told of it: by its real path.
        return folder.resolvingSymlinksInPath().appending(path: name)
    }

    func remove(_ name: String) { try? FileManager.default.removeItem(at: folder.appending(path: name)) }

    func read(_ name: String) -> [UInt8]? { (try? Data(contentsOf: folder.appending(path: name))).map(Array.init) }

    func removeAll() {
        for action in onRemove { action() }
        onRemove = []
        if exists { try? FileManager.default.removeItem(at: folder) }
        exists = false
    }
}
