internal import Foundation

/// Logs on disks that fail, each way several times, and a server without file descriptors.
struct Disks: Sendable {
    let workspace: Workspace
    let rounds: Int

    func run() async throws(TortureError) {
        let (judge, server) = (Judge(workspace), try await ServerProcess.listening(workspace))
        await withTaskGroup { group in
            for fault in DiskFault.allCases {
                guard let reason = await hindrance(fault) else {
                    group.addTask { await run(fault, judge, server.port) }
                    continue
                }
                workspace.tally.notRun("\(fault.row.rawValue): \(reason)")
            }
            group.addTask { await DescriptorTrial(workspace, judge).run(rounds: max(1, rounds / 3)) }
        }
        _ = await server.kill()
    }

    private func run(_ fault: DiskFault, _ judge: Judge, _ server: Int) async {
        for round in 0..<rounds {
            var trial = DiskTrial(workspace, judge, fault, round: round, server: server)
            do throws(TortureError) {
                try await trial.run()
            } catch {
                workspace.tally.problem("\(fault.row.rawValue): \(error)")
            }
        }
    }

    /// Why a fault cannot be made here; nil if it can.
    private func hindrance(_ fault: DiskFault) async -> String? {
        switch fault {
        case .full:
            do throws(TortureError) {
                workspace.unmount(try workspace.mount("trial", kilobytes: 64))
                return nil
            } catch {
                return "\(error)"
            }
        case .fileLimit: return nil
        case .sync:
            let plan = Spawner.Plan(program: "/bin/true", arguments: [], directory: "/", wrapper: ["strace", "-qq"])
            do throws(TortureError) {
                let said = Words()
                let trial = try await workspace.spawner.start(plan) { _ in
                } errors: {
                    said.add($0)
                }
                let end = await trial.end(within: 20)
                if end == nil { _ = await trial.killed() }
                return end == .code(0) ? nil : "strace may not trace: \(said.all.last ?? "it does not end")"
            } catch {
                return "there is no strace (apt-get install strace): \(error)"
            }
        }
    }
}
