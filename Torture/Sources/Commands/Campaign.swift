internal import Foundation

/// The fleet, the proxies before it, and the sessions, until enough has happened; then without faults to the end.
struct Campaign: Sendable {
    let workspace: Workspace
    let extent: Extent
    private let ending = Gate<Bool>()

    init(_ workspace: Workspace, _ extent: Extent) { (self.workspace, self.extent) = (workspace, extent) }

    func run() async throws(TortureError) {
        let fleet = try Fleet(workspace, servers: extent.servers, ending: ending)
        var proxies: [Proxy] = []
        for (place, port) in fleet.ports.enumerated() {
            let proxy = try Proxy(workspace, target: port, stream: 5000 + UInt64(place), ending: ending)
            try await proxy.start()
            proxies.append(proxy)
        }
        let (judge, proxyPorts) = (Judge(workspace), proxies.map(\.port))
        await withTaskGroup { group in
            group.addTask { await fleet.run() }
            for place in 0..<extent.sessions {
                group.addTask {
                    var slot = SessionSlot(
                        workspace, judge, place: place, servers: fleet.ports, proxies: proxyPorts, ending: ending,
                        SessionSlot.Treatment())
                    await slot.run()
                }
            }
            group.addTask { await waitForEnd() }
        }
        await fleet.stop()
        for proxy in proxies { await proxy.stop() }
    }

    private func waitForEnd() async {
        let deadline = now() + extent.seconds
        while now() < deadline {
            let counts = workspace.tally.now
            if let kills = extent.kills, counts[.serverKills] >= kills.servers, counts[.clientKills] >= kills.clients {
                break
            }
            await pause(0.02)
        }
        ending.open(true)
        let counts = workspace.tally.now
        // A run of so many minutes kills some in any case.
        let kills = extent.kills ?? (servers: 1, clients: 0)
        if counts[.serverKills] < kills.servers || counts[.clientKills] < kills.clients {
            workspace.tally.problem(
                "only \(counts[.serverKills]) servers and \(counts[.clientKills]) clients were killed in the time given"
            )
        }
        for item in Item.faults(inKills: counts[.serverKills]) where counts[item] == 0 {
            workspace.tally.problem("never happened: \(item.rawValue)")
        }
    }
}
