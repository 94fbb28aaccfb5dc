internal import CSpawn
internal import Dispatch
internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Starts processes and reaps them. Each dies with this process, however it ends.
final class Spawner: Sendable {
    /// What to start.
    struct Plan: Sendable {
        var program: String
        var arguments: [String]
        var directory: String
        /// Commands that become the program in turn: `strace …`, or a shell that sets a limit.
        var wrapper: [String] = []
    }

    private struct Job: Sendable {
        var arguments: [String]
        var directory: String
        var files: [Int32]
        var answer: CheckedContinuation<Result<pid_t, TortureError>, Never>
    }

    private struct State {
        var jobs: [Job] = []
        var children: [pid_t: Child] = [:]
        /// Processes that ended before their `Child` was made.
        var early: Set<pid_t> = []
        var hasEnded = false
    }

    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let group: MultiThreadedEventLoopGroup

    init(_ group: MultiThreadedEventLoopGroup) {
        self.group = group
        signal(SIGPIPE, SIG_IGN)
        // The kernel ends a child when the thread that made it ends: so one thread makes all, and never ends.
        Thread.detachNewThread { [self] in while true { makeNext() } }
        Thread.detachNewThread { [self] in while true { reapNext() } }
    }

    /// - Parameters:
    ///   - output: gets the lines of its standard output, on an event loop.
    ///   - errors: those of its standard error.
    func start(
        _ plan: Plan, output: @escaping @Sendable ([String]) -> Void, errors: @escaping @Sendable ([String]) -> Void
    ) async throws(TortureError) -> Child {
        let ends = try Self.pipes()
        let command = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", plan.program] + plan.arguments
        let result = await withCheckedContinuation { answer in
            state.withLock {
                $0.jobs.append(
                    Job(
                        arguments: plan.wrapper + command, directory: plan.directory,
                        files: [ends.input.reading, ends.output.writing, ends.errors.writing], answer: answer))
            }
            wakeUp.signal()
        }
        for file in [ends.input.reading, ends.output.writing, ends.errors.writing] { close(file) }
        let id: pid_t
        switch result {
        case .success(let started): id = started
        case .failure(let error):
            for file in [ends.input.writing, ends.output.reading, ends.errors.reading] { close(file) }
            throw error
        }
        do {
            let input = try await bootstrap { _ in }.takingOwnershipOfDescriptor(output: ends.input.writing).get()
            let output = try await bootstrap(output).takingOwnershipOfDescriptor(input: ends.output.reading).get()
            let errors = try await bootstrap(errors).takingOwnershipOfDescriptor(input: ends.errors.reading).get()
            return adopt(Child(id: id, input: input, outputs: [output, errors]))
        } catch {
            kill(id, SIGKILL)
            throw .cannotStart(program: plan.program, reason: "\(error)")
        }
    }

    /// SIGKILL to every process that is left. No others follow.
    func end() {
        let left = state.withLock { state in
            state.hasEnded = true
            return Array(state.children.values)
        }
        for child in left { child.signal(SIGKILL, group: true) }
    }

    private func adopt(_ child: Child) -> Child {
        let hasEnded = state.withLock { state in
            state.children[child.id] = child
            return state.early.remove(child.id) != nil
        }
        if hasEnded { reap(child) }
        return child
    }

    private func bootstrap(_ take: @escaping @Sendable ([String]) -> Void) -> NIOPipeBootstrap {
        NIOPipeBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LineHandler(take))
                }
            }
    }

    // MARK: - The two threads

    private func makeNext() {
        wakeUp.wait()
        guard let job = state.withLock({ $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) else { return }
        guard !state.withLock({ $0.hasEnded }) else {
            return job.answer.resume(returning: .failure(.unexpected("the run is over")))
        }
        job.answer.resume(returning: Self.spawn(job.arguments, job.directory, job.files))
    }

    private func reapNext() {
        var info = siginfo_t()
        // Looks without reaping, so that no signal can go to another process that got the same id.
        guard waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0 else {
            usleep(5000)  // there is no child now
            return
        }
        let id = info._sifields._kill.si_pid
        let child = state.withLock { state in
            if state.children[id] == nil { state.early.insert(id) }
            return state.children[id]
        }
        if let child { reap(child) } else { usleep(1000) }
    }

    private func reap(_ child: Child) {
        guard state.withLock({ $0.children.removeValue(forKey: child.id) }) != nil else { return }
        child.reap()
    }
}

// MARK: - System calls

extension Spawner {
    private struct Pipe {
        let reading: Int32
        let writing: Int32

        init() throws(TortureError) {
            var ends: [Int32] = [-1, -1]
            guard pipe2(&ends, O_CLOEXEC) == 0 else { throw .system(call: "pipe2", reason: errorText(errno)) }
            (reading, writing) = (ends[0], ends[1])
        }
    }

    private static func pipes() throws(TortureError) -> (input: Pipe, output: Pipe, errors: Pipe) {
        (try Pipe(), try Pipe(), try Pipe())
    }

    /// A process in a group of its own, with three files and no others.
    private static func spawn(_ arguments: [String], _ directory: String, _ files: [Int32])
        -> Result<pid_t, TortureError>
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, file) in files.enumerated() { posix_spawn_file_actions_adddup2(&actions, file, Int32(target)) }
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        posix_spawn_file_actions_addchdir_np(&actions, directory)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var ignored = sigset_t()
        sigemptyset(&ignored)
        sigaddset(&ignored, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &ignored)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))

        var argv = arguments.map { strdup($0) } + [nil]
        var environment = ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + environment { free(pointer) } }
        var id: pid_t = 0
        let status = posix_spawnp(&id, arguments[0], &actions, &attributes, &argv, &environment)
        guard status == 0 else { return .failure(.cannotStart(program: arguments[0], reason: errorText(status))) }
        return .success(id)
    }
}

func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
