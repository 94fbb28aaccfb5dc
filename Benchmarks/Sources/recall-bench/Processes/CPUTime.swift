internal import Foundation

/// Processor time that processes have used: it says what a message costs, whoever else is on the machine.
enum CPUTime {
    /// Seconds of all threads of a process, from its scheduler statistics (nanosecond resolution).
    static func seconds(of id: Int32) throws -> Double {
        let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/task")
        var nanoseconds = 0.0
        for task in tasks {
            // A thread may end between the two.
            guard let text = try? String(contentsOfFile: "/proc/\(id)/task/\(task)/schedstat", encoding: .utf8) else {
                continue
            }
            nanoseconds += Double(text.split(separator: " ").first ?? "") ?? 0
        }
        return nanoseconds / 1e9
    }

    static var own: Double { get throws { try seconds(of: ProcessInfo.processInfo.processIdentifier) } }
}
