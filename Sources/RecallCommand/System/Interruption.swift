internal import Dispatch
internal import Foundation
internal import Synchronization

/// Cleans up before SIGINT or SIGTERM ends this process.
final class Interruption {
    private let sources: [any DispatchSourceSignal]
    /// Held from the signal to the end of the process: what fails meanwhile because its files go must not end it first,
    /// with another code and half of the cleaning done.
    private let exit: Gate

    private final class Gate: Sendable {
        let lock = Mutex(())
    }

    init(cleanUp: @escaping @Sendable () -> Void) {
        let exit = Gate()
        self.exit = exit
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)  // the source sees it all the same
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                exit.lock.withLock { _ in
                    cleanUp()
                    // Not by the signal itself: the threads that could get it here have it blocked.
                    _exit(128 + number)
                }
            }
            source.resume()
            return source
        }
    }

    /// Removes a folder that other threads and processes are still writing to.
    ///
    /// A file made while the folder is walked would keep it from going, so it is moved aside first: by its old path
    /// nothing can be made any more. What a child process makes in its own directory there takes another round.
    static func remove(_ folder: URL) {
        let aside = folder.deletingLastPathComponent().appending(path: folder.lastPathComponent + "-ended")
        let isMoved = (try? FileManager.default.moveItem(at: folder, to: aside)) != nil
        let target = isMoved ? aside : folder
        for _ in 0..<50 {
            try? FileManager.default.removeItem(at: target)
            if !FileManager.default.fileExists(atPath: target.path) { return }
            usleep(2000)
        }
    }

    /// From now on the signals do what they usually do. Does not return if one is being dealt with.
    func end() {
        exit.lock.withLock { _ in for source in sources { source.cancel() } }
        for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    }
}
