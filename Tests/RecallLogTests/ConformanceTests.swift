import Recall
import RecallCore
import RecallSQLite
import RecallTesting
import Testing

@Suite struct ConformanceTests {
    @Test(arguments: LogConformance.rules)
    func memory(rule: String) async throws {
        try await LogConformance {
            let log = MemoryLog()
            return { log }
        }.run(rule: rule)
    }

    @Test(arguments: LogConformance.rules, [SQLiteLog.Durability.process, .disk])
    func sqlite(rule: String, durability: SQLiteLog.Durability) async throws {
        let directory = try TemporaryDirectory()
        try await LogConformance {
            let path = directory.path("log.db")
            return { SQLiteLog(path: path, durability: durability) }
        }.run(rule: rule)
    }
}
