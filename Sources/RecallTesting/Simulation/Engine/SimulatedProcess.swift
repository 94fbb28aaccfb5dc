internal import Dispatch
internal import NIOCore

/// One life of a simulated program: its event loop, and the executor of its tasks. Everything it does is queued in the
/// timeline.
///
/// It can be paused and goes on later as if nothing had been. Its death is the simulated world's to bring about: the
/// world stops hearing it, and it unwinds unheard.
///
/// Confined to the simulation's thread.
final class SimulatedProcess: EventLoop, TaskExecutor, @unchecked Sendable {
    let name: String
    let timeline: Timeline
    private var random: SeededGenerator
    /// Nothing of this process happens before: what is queued at once happens in order, after a moment.
    private var busyUntil: Int64 = 0
    private(set) var isPaused = false
    private var onMiss: () -> Void = {}
    /// When it did something last.
    var lastEvent: Int64 = 0
    private let weather: Weather?
    fileprivate(set) var isDead = false
    /// It died in the middle of an event, and is to end with it: what it sends until then reaches nobody.
    var isEnding = false
    /// What would have happened while it was paused.
    var held: [Timeline.Entry] = []

    /// - Parameter weather: nil if it gets all the time that it wants.
    init(_ name: String, _ timeline: Timeline, seed: UInt64, weather: Weather?) {
        (self.name, self.timeline, random, self.weather) = (name, timeline, SeededGenerator(seed: seed), weather)
    }

    func draw() -> UInt64 { random.next() }

    // MARK: Life

    /// - Parameter onMiss: told, when it goes on, if it missed anything.
    func pause(_ onMiss: @escaping () -> Void) { (isPaused, self.onMiss) = (true, onMiss) }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        if !held.isEmpty { onMiss() }
        onMiss = {}
        timeline.release(held)
        held = []
    }

    /// From now on nobody hears it.
    func die() {
        isDead = true
        resume()
    }

    /// Suspends the task for so long. Ends early, and throws, only when the process is dead.
    func sleep(_ nanoseconds: Int64) async throws(ProcessDeath) {
        await withCheckedContinuation { continuation in
            timeline.after(nanoseconds, in: self) { continuation.resume() }
        }
        if isDead { throw ProcessDeath() }
    }

    // MARK: TaskExecutor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        soon { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    private func soon(_ action: @escaping () -> Void) {
        busyUntil = max(busyUntil, timeline.now) + Int64(random.next() % 5_000)
        guard let weather, weather.strikes(.lateTask) else {
            timeline.at(busyUntil, in: self, action)
            return
        }
        let due = busyUntil
        busyUntil += weather.hiccup()
        timeline.at(busyUntil, in: self) { [self] in
            weather.count(.lateTask, due: due, in: self)
            action()
        }
    }

    // MARK: EventLoop

    /// There is one thread, and whoever runs on it may touch every loop.
    var inEventLoop: Bool { true }
    var now: NIODeadline { .uptimeNanoseconds(UInt64(timeline.now)) }

    func execute(_ task: @escaping @Sendable () -> Void) { soon(task) }

    @discardableResult
    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let due = Int64(clamping: deadline.uptimeNanoseconds)
        let isLate = weather?.strikes(.lateTimer) == true
        let entry = timeline.at(isLate ? due &+ (weather?.hiccup() ?? 0) : due, in: self) { [self] in
            if isLate { weather?.count(.lateTimer, due: due, in: self) }
            do { promise.assumeIsolated().succeed(try task()) } catch { promise.fail(error) }
        }
        return Scheduled(promise: promise) { entry.cancel() }
    }

    @discardableResult
    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func preconditionInEventLoop(file: StaticString, line: UInt) {}
    func _preconditionSafeToWait(file: StaticString, line: UInt) {}
    func _promiseCreated(futureIdentifier: _NIOEventLoopFutureIdentifier, file: StaticString, line: UInt) {}
    func _promiseCompleted(
        futureIdentifier: _NIOEventLoopFutureIdentifier
    ) -> (file: StaticString, line: UInt)? { nil }
    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        callback(nil)
    }
}

/// The simulated process that waited for something is dead.
struct ProcessDeath: Error {}
