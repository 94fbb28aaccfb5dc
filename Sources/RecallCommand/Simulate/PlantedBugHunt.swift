#if RECALL_PLANTED_BUGS
    internal import RecallCore
    internal import RecallTesting

    /// Switches planted bugs on, one at a time, and runs seeds until the simulator finds each.
    struct PlantedBugHunt {
        /// Seeds to try for each before it counts as not found.
        let limit: UInt64

        /// Prints the table; true if all were found.
        func run(only name: String?) async throws -> Bool {
            var missed: [String] = []
            for bug in PlantedBug.allCases where name == nil || name == bug.rawValue {
                PlantedBug.active = bug
                defer { PlantedBug.active = nil }
                var seconds = 0.0
                var found: SimulationReport?
                var seed: UInt64 = 0
                while found == nil, seed < limit {
                    seed += 1
                    let report = await Simulation.run(seed: seed)
                    seconds += report.simulatedSeconds
                    if !report.violations.isEmpty { found = report }
                }
                if found == nil { missed.append(bug.rawValue) }
                let columns = [
                    bug.rawValue, found.map { String($0.seed) } ?? "-", "\(Int(seconds)) s",
                    String(found?.violations.first?.prefix(100) ?? "NOT FOUND"),
                ]
                try Output.line(zip(columns, [26, 6, 10, 0]).map { padded($0, $1) }.joined())
            }
            if !missed.isEmpty { try Output.line("Not found: \(missed.joined(separator: ", "))") }
            return missed.isEmpty
        }

        private func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
    }
#endif
