import RecallCore
import RecallTesting
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An environment variable, if it is set.
func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// Runs a story on a network and lets the checker judge its end.
func judge(
    servers: Int = 1, terms: KindTerms = CoreNetwork.terms(), limits: HandlerLimits = .init(),
    clientLimits: ClientLimits = .init(), _ story: (CoreNetwork, CoreClient) throws -> Void
) rethrows {
    let network = CoreNetwork(servers: servers, terms: terms, limits: limits)
    let client = network.client(limits: clientLimits)
    let checker = CoreChecker(network)
    try story(network, client)
    #expect(network.settle())
    checker.lookAtServers()
    checker.finish(client, final: nil)
    #expect(checker.violations == [])
}
