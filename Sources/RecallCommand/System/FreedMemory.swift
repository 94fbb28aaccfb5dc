internal import Foundation
internal import ServiceLifecycle

/// Gives memory back that this process has freed and its allocator keeps for the next time: what many connections or
/// many evicted sessions leave may be most of what it has.
struct FreedMemory: Service {
    private static let interval = Duration.seconds(4)

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            guard var growth = Self.resident().map(Growth.init) else { return }
            while let resident = Self.resident() {
                if growth.isOver(resident), Self.giveBack(), let left = Self.resident() {
                    growth = Growth(left)
                }
                try await Task.sleep(for: Self.interval)
            }
        }
    }

    /// Tells when there may be something to give back: memory has grown, and grows no more.
    struct Growth {
        /// Bytes, and the part of what is resident, that it must have grown by: a trim walks all that is free.
        private static let (least, part) = (512 << 10, 64)

        private var lowest: Int
        private var latest: Int

        init(_ resident: Int) { (lowest, latest) = (resident, resident) }

        /// - Parameter resident: what is resident now, in bytes.
        mutating func isOver(_ resident: Int) -> Bool {
            defer { (lowest, latest) = (min(lowest, resident), resident) }
            return resident <= latest && resident - lowest >= max(Self.least, lowest / Self.part)
        }
    }

    /// Bytes of this process that are in the machine's memory; nil where the system does not say so in `/proc`.
    static func resident() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count >= 2, let pages = Int(fields[1]) else { return nil }
        return pages * Int(getpagesize())
    }

    /// False where the allocator has no such call: it is one of glibc's own.
    static func giveBack() -> Bool {
        #if os(Linux)
            // It stands in no header that Swift reads. Sound: the name belongs to the C library, whose manual gives it
            // the type `int malloc_trim(size_t)` and lets any thread call it.
            guard let symbol = dlsym(nil, "malloc_trim") else { return false }
            let trim = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
            _ = trim(0)
            return true
        #else
            return false
        #endif
    }
}
