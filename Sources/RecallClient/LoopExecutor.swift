internal import NIOCore

/// Runs tasks on a client's event loop.
final class LoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop
    /// Jobs that wait for their turn on the loop. One task of the loop's takes all of them: what came in one read may
    /// wake hundreds.
    private let waiting: NIOLoopBoundBox<[UnownedJob]>

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        waiting = .makeBoxSendingValue([], eventLoop: eventLoop)
    }

    /// Never at once, even on the loop: the caller may be in the middle of something.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard eventLoop.inEventLoop else {
            return eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
        waiting.value.append(job)
        if waiting.value.count == 1 { eventLoop.execute { self.runWaiting() } }
    }

    private func runWaiting() {
        let jobs = waiting.value
        waiting.value = []
        for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
