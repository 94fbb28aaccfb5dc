internal import ArgumentParser

/// Where a server is: `host:port`, `[2001:db8::1]:port`, or a host alone for the usual port.
struct Address: Hashable, Sendable, CustomStringConvertible {
    static let usualPort = 7433

    var host: String
    var port: Int

    init(host: String, port: Int) { (self.host, self.port) = (host, port) }

    /// Throws with what is wrong with the text.
    init(parsing text: String) throws(ValidationError) {
        var (host, port) = (text, Self.usualPort)
        // The last colon is before a port, unless it is part of an IPv6 address without brackets.
        if let colon = text.lastIndex(of: ":"), !text[..<colon].contains(":") || text[..<colon].hasSuffix("]") {
            let digits = text[text.index(after: colon)...]
            guard let number = Int(digits), (1...65_535).contains(number), String(number) == digits else {
                throw ValidationError("\(text): the port after the last colon must be a number from 1 to 65535")
            }
            (host, port) = (String(text[..<colon]), number)
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || "[]/".contains($0) }) else {
            throw ValidationError("\(text): an address is host:port, [IPv6 address]:port or a host alone")
        }
        self.init(host: host, port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
