internal import Foundation

/// A connection to a server on which anything can be said. Blocks its thread.
struct RawConnection: ~Copyable {
    enum Answer: Equatable {
        case frame([UInt8])
        case closed
        /// Nothing within the time.
        case silent
    }

    let file: Int32
    private var buffer: [UInt8] = []

    init(port: Int) throws(TortureError) {
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw .system(call: "socket", reason: errorText(errno)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let file = file
        let status = withUnsafeBytes(of: &address) { bytes -> Int32 in
            guard let base = bytes.baseAddress else { return -1 }
            return connect(file, base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        guard status == 0 else {
            let reason = errorText(errno)
            Foundation.close(file)
            throw .system(call: "connect", reason: reason)
        }
        var yes: Int32 = 1
        setsockopt(file, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        // Closing resets: tens of thousands of connections would otherwise hold their ports for a minute.
        var reset = linger(l_onoff: 1, l_linger: 0)
        setsockopt(file, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout<linger>.size))
        // A write to a server that does not read ends here, too.
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(file) }

    /// False if the other end has closed, or does not read.
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// The next frame's body.
    mutating func receive(within seconds: Double) -> Answer {
        let deadline = now() + seconds
        while true {
            if buffer.count >= 4 {
                let length = buffer[..<4].reduce(0) { $0 << 8 | Int($1) }
                if buffer.count >= 4 + length {
                    defer { buffer.removeFirst(4 + length) }
                    return .frame(Array(buffer[4..<4 + length]))
                }
            }
            var input = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&input, 1, Int32(max(0, (deadline - now()) * 1000))) > 0 else { return .silent }
            var part = [UInt8](repeating: 0, count: 16_384)
            let count = recv(file, &part, part.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return .closed }
            buffer += part[..<count]
        }
    }

    /// The next frame of this type; others are passed over.
    mutating func receive(type: UInt8, within seconds: Double) -> [UInt8]? {
        let deadline = now() + seconds
        while now() < deadline, case .frame(let body) = receive(within: deadline - now()) {
            if body.first == type { return body }
        }
        return nil
    }
}

/// Runs a body that blocks on a thread of its own.
func onThread<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}
