internal import Foundation

/// A server that may have few files open, and more connections to it than that.
struct DescriptorTrial: Sendable {
    private static let limits = [40, 64, 128]
    private static let sessions = 4

    let workspace: Workspace
    let judge: Judge

    init(_ workspace: Workspace, _ judge: Judge) { (self.workspace, self.judge) = (workspace, judge) }

    func run(rounds: Int) async {
        for round in 0..<rounds {
            do throws(TortureError) {
                try await run(round, limit: Self.limits[round % Self.limits.count])
            } catch {
                workspace.tally.problem("file descriptors: \(error)")
            }
        }
    }

    private func run(_ round: Int, limit: Int) async throws(TortureError) {
        let server = try await ServerProcess.listening(workspace, descriptors: limit)
        var clients: [(client: ClientProcess, record: SessionRecord)] = []
        for place in 0..<Self.sessions { clients.append(try await begin(round, place, server.port)) }
        await feed(clients.map { $0 }, seconds: 1)
        let before = clients.map(\.record.answered)
        check(before.allSatisfy { $0 > 0 }, "sessions did not begin: \(before)")

        // More than the server can have; those beyond its limit wait in the kernel.
        let (port, cpu) = (server.port, Self.processorSeconds(server.child.id))
        let held = await onThread { (0..<limit * 3).compactMap { _ in Self.connection(port) } }
        let late = try await begin(round, Self.sessions, server.port)
        await feed(clients, seconds: 4)
        let spent = Self.processorSeconds(server.child.id) - cpu
        for file in held { close(file) }
        check(spent < 2, String(format: "a server with nothing to do used %.1f s of processor time in 4 s", spent))
        workspace.tally.note(
            "a server with \(limit) descriptors and \(held.count) connections more took "
                + String(format: "%.1f s of processor time in 4 s", spent))

        clients.append(late)
        let during = clients.map(\.record.answered)
        await feed(clients, seconds: 15) { zip(clients, during).allSatisfy { $0.record.answered > $1 } }
        let after = clients.map(\.record.answered)
        check(zip(after, during).allSatisfy { $0 > $1 }, "sessions did not go on: \(during), then \(after)")
        if let end = server.child.ended.value {
            workspace.tally.problem("a server short of file descriptors ended, \(end): \(server.said)")
        }
        for (client, record) in clients { await finish(client, record) }
        _ = await server.kill()
        workspace.tally.add(.descriptorRounds)
    }

    private func begin(_ round: Int, _ place: Int, _ port: Int) async throws(TortureError) -> (
        client: ClientProcess, record: SessionRecord
    ) {
        let session = 900_000 + round * 100 + place
        let maker = UpdateMaker(
            kind: .text, session: session,
            random: SeededGenerator(seed: workspace.seed, stream: 50_000 + UInt64(session)))
        let name = "descriptors-\(session)"
        let record = workspace.journal.begin(maker, name: name, log: "\(workspace.folder)/sessions/\(name).db")
        return (try await ClientProcess.start(workspace, record, ClientProcess.Plan(servers: [port])), record)
    }

    /// Lets them send for so long, or until it is enough.
    private func feed(
        _ clients: [(client: ClientProcess, record: SessionRecord)], seconds: Double,
        until isEnough: () -> Bool = { false }
    ) async {
        let deadline = now() + seconds
        while now() < deadline, !isEnough() {
            for (client, record) in clients where record.outstanding < 16 { client.child.write(record.make(1)) }
            await pause(0.02)
        }
    }

    private func finish(_ client: ClientProcess, _ record: SessionRecord) async {
        client.child.closeInput()
        let end = await client.child.end(within: 60)
        check(end == .code(0), "\(record.name) ended with \(end.map { "\($0)" } ?? "nothing") \(record.now.said)")
        if end == nil { _ = await client.child.killed() }
        _ = await judge.judge(record, isComplete: end == .code(0))
    }

    private func check(_ isGood: Bool, _ text: String) {
        if !isGood { workspace.tally.problem("short of file descriptors: \(text)") }
    }

    private static func connection(_ port: Int) -> Int32? {
        guard let connection = try? RawConnection(port: port) else { return nil }
        return dup(connection.file)
    }

    /// What a process has used so far.
    private static func processorSeconds(_ id: Int32) -> Double {
        let text = (try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)) ?? ""
        // After the name in parentheses, which may hold anything: the 12th and 13th field are user and system time.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
