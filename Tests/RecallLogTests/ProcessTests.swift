import Foundation
import Recall
import RecallCore
import RecallSQLite
import Testing

/// What needs a process of its own: to be killed, or to be denied writes by the system.
@Suite struct ProcessTests {
    /// Killed at any moment while it writes, a process loses nothing that an append had returned for.
    @Test(arguments: 0..<4)
    func killedWhileWriting(round: Int) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("log")
        let progress = directory.path("progress")
        let time = 20_000 + 17_777 * round
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, progress = progress as String, time = time as Int] in
            let log = SQLiteLog(path: path)
            _ = try await log.open()
            try await log.begin(Fixture.header)
            let file = open(progress, O_CREAT | O_WRONLY, 0o600)
            var number: UInt64 = 0
            var killer: Thread?
            while true {
                let batch = Fixture.batch(after: number, to: number + 7)
                if try !log.appendNow(batch) { try await log.append(batch) }
                number += 7
                _ = pwrite(file, &number, 8, 0)
                guard killer == nil else { continue }
                // From the first append on, whatever is being done when the time is up.
                killer = Thread {
                    let start = ContinuousClock.now
                    while ContinuousClock.now - start < .microseconds(time) {}
                    kill(getpid(), SIGKILL)
                }
                killer?.start()
            }
        }
        let bytes = try #require(directory.read("progress"))
        let returned = bytes.enumerated().reduce(0 as UInt64) { $0 | UInt64($1.element) << (8 * UInt64($1.offset)) }
        let log = SQLiteLog(path: path)
        let contents = try await log.open()
        #expect(contents.damage == nil)
        #expect(returned >= 7)
        #expect(
            [returned, returned + 7].contains(contents.last.rawValue), "returned \(returned), found \(contents.last)")
        #expect(contents.receipt == Fixture.receipt(contents.last.rawValue))
        _ = try await Readback(log, contents, "killed after \(returned)")
        try await log.append(Fixture.batch(after: contents.last.rawValue, to: contents.last.rawValue + 3))
        await log.close()
    }

    @Test func anotherProcessIsExcluded() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("log")
        let log = SQLiteLog(path: path)
        try await Fixture.fill(log)
        await #expect(processExitsWith: .exitCode(7)) { [path = path as String] in
            let contents = try SQLiteLogReader(path: path).contents()
            guard contents.last.rawValue == Fixture.last, contents.damage == nil else { exit(1) }
            do {
                _ = try await SQLiteLog(path: path).open()
            } catch let error as RecallError where error.code == .logInUse { exit(7) }
        }
        try await log.append([Fixture.message(Fixture.last + 1)])
        await log.close()
    }

    /// The system refuses to let files grow: real writes fail, and a retry works once it relents.
    @Test func failingWrites() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("log")
        await #expect(processExitsWith: .success) { [path = path as String] in
            let log = SQLiteLog(path: path)
            try await Fixture.fill(log)
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit()
            getrlimit(fileSizeLimit, &limit)
            limit.rlim_cur = 300_000
            setrlimit(fileSizeLimit, &limit)
            var last = Fixture.last
            var failures = 0
            while failures < 5, last < 20_000 {
                do {
                    try await log.append((1...20).map { Fixture.message(last + $0) })
                    last += 20
                } catch let error as RecallError where error.code == .logFailed && error.message.contains(path) {
                    failures += 1
                }
            }
            guard failures == 5 else { exit(2) }
            limit.rlim_cur = limit.rlim_max
            setrlimit(fileSizeLimit, &limit)
            try await log.append([Fixture.message(last + 1)])
            await log.close()
            let contents = try await log.open()
            guard contents.last.rawValue == last + 1, contents.damage == nil else { exit(3) }
            let readback = try await Readback(log, contents, "")
            guard readback.messages.last == last + 1 else { exit(4) }
        }
    }
}

#if canImport(Darwin)
    private let fileSizeLimit = RLIMIT_FSIZE
#else
    private let fileSizeLimit = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
#endif
