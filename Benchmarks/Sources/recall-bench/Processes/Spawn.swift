internal import Foundation

/// A process started with pipes at its input and output. (Foundation's `Process` now and then never saw one end.)
struct Spawn: Sendable {
    let id: pid_t
    /// Its standard input, to be written and closed.
    let input: Int32
    /// Its standard output, to be read.
    let output: Int32

    init(_ path: String, _ arguments: [String], quiet: Bool) throws {
        let (toChild, fromChild) = (try Self.pipe(), try Self.pipe())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild.reading, 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild.writing, 1)
        if quiet { posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) }
        // The threads of tasks block signals, and a program that inherited that would not hear its SIGTERM.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var environment = ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + environment { free(pointer) } }
        var id: pid_t = 0
        let status = posix_spawn(&id, path, &actions, &attributes, &argv, &environment)
        close(toChild.reading)
        close(fromChild.writing)
        guard status == 0 else { throw BenchError("cannot start \(path): \(String(cString: strerror(status)))") }
        (self.id, input, output) = (id, toChild.writing, fromChild.reading)
    }

    /// Closed in every process that is started, but for the ends that become its own.
    private static func pipe() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Foundation.pipe(&ends) == 0 else { throw BenchError("cannot make a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Waits for its end; its exit status, or nil if a signal ended it. Kills it if it takes longer than so many
    /// seconds.
    @discardableResult
    func wait(within seconds: Double) -> Int32? {
        let end = ContinuousClock.now + .seconds(seconds)
        var status: Int32 = 0
        while waitpid(id, &status, WNOHANG) == 0 {
            if ContinuousClock.now > end { kill(id, SIGKILL) }
            usleep(1000)
        }
        return status & 0x7f == 0 ? status >> 8 & 0xff : nil
    }
}
