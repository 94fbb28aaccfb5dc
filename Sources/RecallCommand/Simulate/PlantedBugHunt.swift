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
            try await withThrowingTaskGroup(of: Verdict.self) { group in
                var rest = PlantedBug.allCases[...]
                func begin() {
                    guard let bug = rest.popFirst() else { return }
                    group.addTask { try await child(bug) }
                }
                for _ in 0..<jobs { begin() }
                while let verdict = try await group.next() {
                    begin()
                    try Output.line(verdict.line)
                    if !verdict.isFound { missed.append(verdict.bug.rawValue) }
                }
            }
            let count = PlantedBug.allCases.count
            try Output.line(
                missed.isEmpty ? "All \(count) were found." : "Not found: \(missed.sorted().joined(separator: ", "))")
            return missed.isEmpty
        }

        /// What became of the search for a bug in a process of its own.
        private struct Verdict: Sendable {
            let bug: PlantedBug
            let line: String
            let isFound: Bool

            /// A process that crashed, or said something else than a row with a seed, has found nothing.
            init(_ bug: PlantedBug, output: Data, hasExitedWell: Bool) {
                let line = String(decoding: output, as: UTF8.self).split(separator: "\n").first.map { String($0) }
                let columns = line?.split(separator: " ") ?? []
                let isRow = columns.count > 2 && columns[0] == bug.rawValue
                self.bug = bug
                self.line = isRow ? line ?? "" : "\(bug.rawValue): the search ended without a word"
                isFound = isRow && hasExitedWell && UInt64(columns[1]) != nil
            }
        }

        private func child(_ bug: PlantedBug) async throws -> Verdict {
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
                            let hasExitedWell = process.terminationReason == .exit && process.terminationStatus == 0
                            return Verdict(bug, output: output, hasExitedWell: hasExitedWell)
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
