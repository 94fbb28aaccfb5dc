internal import CAllocator
internal import Foundation
internal import RecallServer
internal import ServiceLifecycle

/// Gives memory back that this process has freed and its allocator keeps for the next time: what many connections or
/// many evicted sessions leave may be most of what it has.
struct FreedMemory: Service {
    private static let interval = Duration.seconds(4)

    let handler: SessionHandler

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            guard var watch = await look().map(Watch.init) else { return }
            while let use = await look() {
                if watch.mayHaveFreed(use) {
                    guard Self.giveBack(), let left = await look() else { return }
                    watch = Watch(left)
                }
                try await Task.sleep(for: Self.interval)
            }
        }
    }

    private func look() async -> Use? {
        guard let resident = Self.resident() else { return nil }
        let statistics = await handler.statistics()
        let connections = statistics.connections + statistics.strangers
        return Use(resident: resident, held: statistics.memory + connections * Self.connection)
    }

    /// Bytes that a connection takes, as docs/performance.md has it.
    private static let connection = 5 << 10

    /// In bytes: what the machine has of this process in its memory, and about what sessions and connections take.
    struct Use: Hashable {
        var resident: Int
        var held: Int
    }

    /// Tells when there may be something to give back: sessions or connections went, and no more of them go; or, a
    /// minute after the last time, memory has grown for another reason, and grows no more.
    struct Watch {
        /// Bytes, and the part of what is resident, that must have come or gone: giving back walks all that is free.
        private static let (least, part) = (512 << 10, 64)
        private static let looksBetween = 15

        private var lowest: Int
        private var mostHeld: Int
        private var latest: Use
        private var looks = 0

        init(_ use: Use) { (lowest, mostHeld, latest) = (use.resident, use.held, use) }

        mutating func mayHaveFreed(_ use: Use) -> Bool {
            defer {
                lowest = min(lowest, use.resident)
                mostHeld = max(mostHeld, use.held)
                latest = use
                looks += 1
            }
            let enough = max(Self.least, use.resident / Self.part)
            return looks >= Self.looksBetween && use.resident <= latest.resident && use.resident - lowest >= enough
                || use.held >= latest.held && mostHeld - use.held >= enough
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
        #if canImport(Glibc)
            _ = malloc_trim(0)
            return true
        #else
            return false
        #endif
    }
}
