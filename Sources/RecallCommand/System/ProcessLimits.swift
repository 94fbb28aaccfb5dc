internal import Foundation

enum ProcessLimits {
    /// Opens those of standard input, output and error that this process was started without: the next file that it
    /// opens would be taken for them.
    static func openStandardFiles() {
        for file in Int32(0)...2 where fcntl(file, F_GETFD) < 0 { _ = open("/dev/null", O_RDWR) }
    }

    /// Lets this process open as many files as it may: each connection is one, and the usual soft limit is 1,024.
    static func raiseOpenFiles() {
        #if os(Linux)
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
            let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(resource, &limit)
    }
}
