#if RECALL_PLANTED_BUGS
    internal import Dispatch
    internal import Foundation
    internal import RecallCore
    internal import RecallTesting

    /// Switches planted bugs on, one at a time, and runs seeds until the simulator finds each.
    struct PlantedBugHunt {
        /// Seeds to try for each before it counts as not found.
        let limit: UInt64

        /// Hunts one bug in this process; true if it was found. Prints its line of the table.
        func find(_ bug: PlantedBug) async throws -> Bool {
            PlantedBug.active = bug
            let began = ContinuousClock.now
            var (seconds, faults, seed) = (0.0, 0, UInt64(0))
            var found: SimulationReport?
            while found == nil, seed < limit {
                seed += 1
                let report = await Simulation.run(seed: seed)
                seconds += report.simulatedSeconds
                faults += report.faults.values.reduce(0, +) + report.ambientFaults.values.reduce(0, +)
                if !report.violations.isEmpty { found = report }
            }
            let tenths = (ContinuousClock.now - began) / .milliseconds(100)
            try Output.line(
                Self.row([
                    bug.rawValue, found.map { String($0.seed) } ?? "-", "\(Int(seconds)) s", "\(faults)",
                    "\(Int(tenths) / 10).\(Int(tenths) % 10) s",
                    String(found?.violations.first?.prefix(100) ?? "NOT FOUND"),
                ]))
            return found != nil
        }

        /// Hunts all of them, several at once: each in a process of its own, since a bug is a whole process's. True if
        /// all were found.
        func run(jobs: Int) async throws -> Bool {
            try Output.line(Self.row(["planted bug", "seed", "simulated", "faults", "took", "first violation"]))
            var missed: [String] = []
            try await withThrowingTaskGroup(of: (PlantedBug, String).self) { group in
                var rest = PlantedBug.allCases[...]
                func begin() {
                    guard let bug = rest.popFirst() else { return }
                    group.addTask { (bug, try await child(bug)) }
                }
                for _ in 0..<jobs { begin() }
                while let (bug, line) = try await group.next() {
                    begin()
                    try Output.line(line)
                    if !line.hasPrefix(bug.rawValue) || line.hasSuffix("NOT FOUND") { missed.append(bug.rawValue) }
                }
            }
            let count = PlantedBug.allCases.count
            try Output.line(
                missed.isEmpty ? "All \(count) were found." : "Not found: \(missed.sorted().joined(separator: ", "))")
            return missed.isEmpty
        }

        /// What a child process says of a bug.
        private func child(_ bug: PlantedBug) async throws -> String {
            let (name, limit) = (bug.rawValue, limit)
            return try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async {
                    continuation.resume(
                        with: Result {
                            let process = Process()
                            process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
                            process.arguments = ["simulate", "--bug", name, "--seeds", "\(limit)"]
                            let pipe = Pipe()
                            process.standardOutput = pipe
                            try process.run()
                            let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
                            process.waitUntilExit()
                            let lines = String(decoding: output, as: UTF8.self).split(separator: "\n")
                            return lines.first.map { String($0) } ?? "\(name): the search ended without a word"
                        })
                }
            }
        }

        private static func row(_ columns: [String]) -> String {
            zip(columns, [26, 6, 11, 9, 8, 0])
                .map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }.joined()
        }
    }
#endif
