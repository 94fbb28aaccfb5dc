import Recall
import RecallClient
import RecallCore
import RecallServer
import Testing

/// What every trace is played on: two servers with one ring, and a client behind a proxy that decides where it goes and
/// what arrives. Server A's clock shows 1 and its effects end with "A"; server B's shows 2 and theirs end with "B".
struct Ground {
    let a: TestServer
    let b: TestServer
    let outsideA: Outside
    let outsideB: Outside
    let proxy: FrameProxy

    static func run(
        adopting: Bool = false, gate: @escaping @Sendable (Outside.Call) async throws -> Void = { _ in },
        _ body: (Ground) async throws -> Void
    ) async throws {
        let (outsideA, outsideB) = (Outside("A", gate: gate), Outside("B"))
        try await withServer(TestServer(Journal(outsideA), Diary(), Blob(), clock: 1)) { a in
            try await withServer(TestServer(Journal(outsideB), Diary(), Blob(), clock: 2)) { b in
                let ground = Ground(
                    a: a, b: b, outsideA: outsideA, outsideB: outsideB, proxy: try await FrameProxy(to: a.port))
                do {
                    try await body(ground)
                    await ground.proxy.stop()
                } catch {
                    await ground.proxy.stop()
                    throw error
                }
            }
        }
    }

    func open<S: Session>(
        _ kind: S.Type, _ log: any MessageLog, configuration: ClientConfiguration = .quick
    ) async throws -> SessionClient<S> {
        try await SessionClient<S>.open(
            at: [proxy.endpoint], log: log, mode: .either, configuration, .silent)
    }

    func open(_ log: any MessageLog, configuration: ClientConfiguration = .quick) async throws -> SessionClient<Journal>
    {
        try await open(Journal.self, log, configuration: configuration)
    }

    func moveToA() { proxy.move(to: a.port) }
    func moveToB() { proxy.move(to: b.port) }

    /// Waits until a server has begun so many updates since it started.
    func applied(_ count: Int, by server: TestServer) async throws {
        try await eventually("\(count) updates applied") { await server.statistics.updates >= count }
    }

    /// Server A's acknowledgements are lost.
    func loseAcknowledgementsOfA() {
        proxy.rule { [port = a.port] in $0.target == port && $0.type == .acknowledgement ? .drop : .pass }
    }
}
