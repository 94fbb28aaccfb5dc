internal import ArgumentParser

/// Where a server is: `host:port`, `[2001:db8::1]:port`, or a host alone for the usual port.
struct Address: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    static let usualPort = 7433

    var host: String
    var port: Int

    init(host: String, port: Int) { (self.host, self.port) = (host, port) }

    init?(argument: String) {
        if let port = Self.port(after: argument) {
            self.init(host: String(argument.dropLast(String(port).count + 1)), port: port)
        } else {
            self.init(host: argument, port: Self.usualPort)
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace), !host.contains(where: { "[]/".contains($0) }) else {
            return nil
        }
    }

    /// The number after the last colon, unless that colon is part of an IPv6 address without brackets.
    private static func port(after argument: String) -> Int? {
        guard let colon = argument.lastIndex(of: ":") else { return nil }
        let host = argument[..<colon]
        guard !host.contains(":") || host.hasSuffix("]") else { return nil }
        let digits = argument[argument.index(after: colon)...]
        guard let port = Int(digits), (1...65_535).contains(port), String(port) == digits else { return nil }
        return port
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
