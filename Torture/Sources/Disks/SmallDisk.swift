internal import Foundation

/// A file system in memory of a megabyte or so, that can be filled up.
struct SmallDisk: Sendable {
    let path: String
    private var filling: String { path + "/filling" }

    /// Mounts it. Throws with the reason if that is not permitted here.
    init(path: String, kilobytes: Int) throws(TortureError) {
        self.path = path
        try makeFolder(path)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(kilobytes)k,mode=0700") == 0 else {
            let reason = errorText(errno)
            rmdir(path)
            throw .system(call: "mounting a tmpfs", reason: reason)
        }
    }

    /// Writes until only about so many bytes are free.
    func fill(leaving free: Int) throws(TortureError) {
        let file = open(filling, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(call: "open \(filling)", reason: errorText(errno)) }
        defer { close(file) }
        let page = [UInt8](repeating: 0x55, count: 4096)
        // Bounded: the disk is small.
        for _ in 0..<(64 << 20) / page.count where write(file, page, page.count) <= 0 { break }
        var status = stat()
        guard fstat(file, &status) == 0, ftruncate(file, max(0, status.st_size - off_t(free))) == 0 else {
            throw .system(call: "ftruncate \(filling)", reason: errorText(errno))
        }
    }

    func clear() { unlink(filling) }

    func unmount() {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }
}
