internal import Recall
package import RecallCore

extension MessageLog {
    /// Opens the log and verifies its chain from the newest checkpoint on. Nil if it holds no session yet.
    ///
    /// What does not verify is set aside, from the last receipt that does; `damage` says so in one sentence. If a
    /// server has acknowledged something of it, that is done only if the log may lose it; else throws `logDamaged`.
    func recover(
        kindName: [UInt8], kindVersion: UInt32, _ cryptography: Cryptography
    ) async throws -> (recovered: RecoveredLog?, damage: String?) {
        let contents = try await open()
        guard let header = contents.header else { return (nil, contents.damage) }
        guard header.kindName == kindName else {
            throw RecallError(
                .logMismatch, "the log holds a session of kind '\(String(decoding: header.kindName, as: UTF8.self))'")
        }
        guard header.kindVersion == kindVersion else {
            throw RecallError(
                .logMismatch, "the log holds a session of version \(header.kindVersion) of its kind, not \(kindVersion)"
            )
        }
        return try await recover(contents, header, cryptography)
    }

    /// Does what a client does when it opens the log, whatever its kind is, and closes it: it is as good then as it can
    /// be. Nil if it was so before; else what was found, in one sentence.
    package func salvage(_ cryptography: Cryptography) async throws -> String? {
        let contents = try await open()
        do {
            let damage =
                if let header = contents.header {
                    try await recover(contents, header, cryptography).damage
                } else {
                    contents.damage
                }
            await close()
            return damage
        } catch {
            await close()
            throw error
        }
    }

    private func recover(
        _ contents: LogContents, _ header: LogHeader, _ cryptography: Cryptography
    ) async throws -> (recovered: RecoveredLog?, damage: String?) {
        var recovered = RecoveredLog(header: header)
        recovered.checkpoints = contents.checkpoints.map { .init(position: $0.position, byteCount: $0.byteCount) }
        recovered.reachesStart = try await reachesStart(contents)
        var damage = contents.damage
        do {
            try await verify(&recovered, last: contents.last, cryptography)
        } catch let fault as LogFault {
            let end = recovered.receipt?.position.number ?? recovered.checkpoints.first?.position.number ?? .zero
            let cut = "\(fault.text); the log continues after update \(end)"
            damage = damage.map { "\($0); \(cut)" } ?? cut
            let acknowledged = contents.receipt?.position.number ?? .zero
            try mayLose(acknowledged, after: end, fault.text)
            try await setAside(after: end, reason: fault.text)
        }
        if let fault = try await goBack(&recovered, cryptography) {
            damage = damage.map { "\($0); \(fault)" } ?? fault
        }
        return (recovered, damage)
    }

    /// Goes back to the newest receipt if the newest checkpoint lies past it: no server takes a checkpoint that no
    /// receipt proves. Says so in one sentence; nil if there was no need to.
    private func goBack(_ recovered: inout RecoveredLog, _ cryptography: Cryptography) async throws -> String? {
        guard let newest = recovered.checkpoints.first?.position.number, recovered.receipt == nil else { return nil }
        let fault = "no receipt proves the checkpoint at update \(newest)"
        recovered.checkpoints.removeFirst()
        let base = recovered.checkpoints.first?.position.number ?? .zero
        guard let end = try await receipt(atOrBefore: newest)?.position.number, end >= base,
            base > .zero || recovered.reachesStart
        else { throw RecallError(.logDamaged, "\(fault), and there is nothing before it to go back to") }
        try mayLose(newest, after: end, fault)
        try await setAside(after: end, reason: fault)
        (recovered.tail, recovered.historyBytes) = ([], 0)
        do { try await verify(&recovered, last: end, cryptography) } catch let error as LogFault {
            throw RecallError(.logDamaged, "\(fault), and \(error.text)")
        }
        guard recovered.receipt != nil else {
            throw RecallError(.logDamaged, "\(fault), and none proves the one before it")
        }
        return "\(fault); the log continues after update \(end)"
    }

    /// Throws if a server has acknowledged updates after a number, unless the log may lose them.
    private func mayLose(_ acknowledged: SequenceNumber, after end: SequenceNumber, _ fault: String) throws {
        guard whenDamaged == .refuse, acknowledged > end else { return }
        throw RecallError(
            .logDamaged,
            "\(fault); updates up to \(acknowledged) were acknowledged, and the log is good up to \(end) only. "
                + "Restore a copy, or go on without what is lost: 'recall log salvage', or the log's whenDamaged")
    }

    /// False if the first messages were forgotten, which a log says by refusing to read them.
    private func reachesStart(_ contents: LogContents) async throws -> Bool {
        guard !contents.checkpoints.isEmpty else { return true }
        do {
            _ = try await slice(after: .zero, maximumBytes: 0)
            return true
        } catch let error as RecallError where error.code == .logFailed { return false }
    }

    private func verify(
        _ recovered: inout RecoveredLog, last: SequenceNumber, _ cryptography: Cryptography
    ) async throws {
        let base = recovered.checkpoints.first?.position ?? .start
        var verifier = LogVerifier(vector: recovered.header.vector, base: base, cryptography)
        if base.number > .zero, let receipt = try await receipt(atOrBefore: base.number), receipt.position == base {
            recovered.receipt = receipt
        }
        var number = base.number
        while number < last {
            let slice = try await slice(after: number, maximumBytes: 1 << 20)
            guard let end = slice.messages.last?.number, end > number else { break }
            let seals = try verifier.verify(slice)
            if let receipt = slice.receipt {
                recovered.receipt = receipt
                recovered.historyBytes += slice.messages.reduce(0) { $0 + $1.content.count + $1.determinants.count }
            } else {
                for (message, seal) in zip(slice.messages, seals) { recovered.tail.append((message.content, seal)) }
            }
            number = end
            if slice.receipt == nil, number < last { verifier.skip(slice) }
        }
    }
}
