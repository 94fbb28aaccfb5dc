public import NIOSSL

/// Where a server is.
public struct Endpoint: Sendable {
    package let connector: any Connector

    package init(_ connector: any Connector) { self.connector = connector }

    /// A server reached over TCP.
    ///
    /// - Parameters:
    ///   - host: a name or an address.
    ///   - port: 1 to 65,535.
    ///   - tls: a client configuration; the server's certificate must then name `host`. Nil: in the clear, where
    ///     whoever sits between can read everything and pass for the server.
    public static func tcp(_ host: String, _ port: Int, tls: TLSConfiguration? = nil) -> Self {
        Self(TCPConnector(host: host, port: port, tls: tls))
    }
}

extension Endpoint: CustomStringConvertible {
    public var description: String { connector.description }
}
