internal import Dispatch
internal import Foundation
internal import Synchronization

/// A process that this one started: lines in and out, signals by its id, and its end. Killed and reaped when it is let
/// go.
final class ChildProcess: Sendable {
    /// How a process ended.
    enum End: Hashable, Sendable {
        case code(Int32)
        case signal(Int32)
    }

    private struct State {
        var end: End?
        var input: Int32
    }

    let id: pid_t
    let output: LineReader
    let errors: LineReader
    private let files: [Int32]
    private let state: Mutex<State>
    private let writing = DispatchQueue(label: "recall.child")

    /// Starts `executable` in `directory`. Throws if that cannot be done.
    init(_ executable: String, _ arguments: [String], in directory: String) throws(CommandError) {
        let (input, output, errors) = (try Pipe(), try Pipe(), try Pipe())
        // A shell changes the directory and becomes the program: `posix_spawn` can do that only on some systems.
        let shell = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", directory, executable]
        id = try Self.spawn(shell + arguments, [input.reading, output.writing, errors.writing])
        for file in [input.reading, output.writing, errors.writing] { close(file) }
        (self.output, self.errors) = (LineReader(output.reading), LineReader(errors.reading))
        files = [output.reading, errors.reading]
        state = Mutex(State(end: nil, input: input.writing))
        let id = id
        Thread.detachNewThread { [weak self] in
            // Waits without reaping, so that the id stays this process's until `reap` has noted the end under the lock.
            var info = siginfo_t()
            while waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            if let self { self.reap() } else { waitpid(id, nil, 0) }
        }
    }

    deinit {
        signal(SIGKILL)
        closeInput()
        for file in files { close(file) }
    }

    /// Nil while it runs.
    var end: End? { state.withLock { $0.end } }

    /// Sends a signal, unless it has ended.
    func signal(_ number: Int32) {
        state.withLock { state in
            if state.end == nil { _ = kill(id, number) }
        }
    }

    /// Waits for its end, at most so long; nil if it still runs.
    func end(within limit: Duration) async -> End? {
        let deadline = ContinuousClock.now + limit
        while end == nil, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(2))
            if Task.isCancelled { break }
        }
        return end
    }

    /// Writes to its standard input, waiting on a thread of its own while the process is slow to read.
    func write(_ bytes: [UInt8]) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            writing.async {
                continuation.resume(with: Result { try writeAll(bytes, to: self.state.withLock { $0.input }) })
            }
        }
    }

    /// Ends its standard input. What is being written goes first.
    func closeInput() {
        let file = state.withLock { state in
            defer { state.input = -1 }
            return state.input
        }
        if file >= 0 { writing.async { close(file) } }
    }

    private func reap() {
        state.withLock { state in
            var status: Int32 = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
            let number = status & 0x7f
            state.end = number == 0 ? .code(status >> 8 & 0xff) : .signal(number)
        }
    }
}

extension ChildProcess {
    /// Closed in every process that is started, but for the ends that `spawn` hands over.
    private struct Pipe {
        let reading: Int32
        let writing: Int32

        init() throws(CommandError) {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw CommandError("cannot make a pipe", errno: errno) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            (reading, writing) = (ends[0], ends[1])
        }
    }

    /// A listening socket that a child inherited would keep its port taken after this process has closed it.
    private static func keepFilesToThisProcess() {
        for file in Int32(3)..<4096 {
            let flags = fcntl(file, F_GETFD)
            if flags >= 0 { _ = fcntl(file, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    /// `files` become its standard input, output and error.
    private static func spawn(_ arguments: [String], _ files: [Int32]) throws(CommandError) -> pid_t {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        keepFilesToThisProcess()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, file) in files.enumerated() { posix_spawn_file_actions_adddup2(&actions, file, Int32(target)) }

        // The threads of tasks block signals, and a child that inherited that would not hear a SIGTERM.
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var id: pid_t = 0
        let status = posix_spawn(&id, arguments[0], &actions, &attributes, &argv, &envp)
        guard status == 0 else { throw CommandError("cannot start \(arguments[0])", errno: status) }
        return id
    }
}
