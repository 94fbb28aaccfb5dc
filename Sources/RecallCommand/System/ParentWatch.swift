internal import Foundation

/// Ends this process when the one that started it has ended, however that came.
enum ParentWatch {
    /// - Parameter parent: the id of the process that started this one.
    static func begin(_ parent: pid_t) {
        Thread.detachNewThread {
            while getppid() == parent { usleep(200_000) }
            _exit(128 + SIGHUP)
        }
    }
}
