/// A server's proof that it accepted exactly the history up to a position, and what came out of it.
///
/// MAC = HMAC(K_receipt, label, kind version, n, seal(n), d(n), r(n), time). Cumulative, one per flush. No client can
/// forge one; presented under another session, kind or principal it does not verify, since the key differs.
public struct Receipt: Hashable, Sendable {
    /// Up to where the history was accepted.
    public var position: Position
    /// The digest of all replies up to there.
    public var outputs: Digest
    /// The server's wall clock when it was made.
    public var time: WallTime
    /// HMAC-SHA-256; opaque to the client.
    public var mac: Digest

    public init(position: Position, outputs: Digest, time: WallTime, mac: Digest) {
        self.position = position
        self.outputs = outputs
        self.time = time
        self.mac = mac
    }
}

extension SessionKeys {
    package func makeReceipt(
        _ position: Position, outputs: Digest, kindVersion: UInt32, time: WallTime, _ cryptography: Cryptography
    ) -> Receipt {
        var receipt = Receipt(position: position, outputs: outputs, time: time, mac: Digest())
        receipt.mac = mac(receipt, kindVersion, cryptography)
        return receipt
    }

    package func verify(_ receipt: Receipt, kindVersion: UInt32, _ cryptography: Cryptography) -> Bool {
        mac(receipt, kindVersion, cryptography) == receipt.mac
    }

    private func mac(_ receipt: Receipt, _ kindVersion: UInt32, _ cryptography: Cryptography) -> Digest {
        var writer = ByteWriter(capacity: 121)
        writer.label(.receipt)
        writer.integer(kindVersion)
        writer.position(receipt.position)
        writer.digest(receipt.outputs)
        writer.integer(receipt.time.nanoseconds)
        return cryptography.hmac(self.receipt, writer.bytes.span.bytes)
    }
}

extension ByteReader {
    package mutating func receipt() throws(WireError) -> Receipt {
        Receipt(
            position: try position(), outputs: try digest(), time: WallTime(nanoseconds: try integer()),
            mac: try digest())
    }
}

extension ByteWriter {
    package mutating func receipt(_ value: Receipt) {
        position(value.position)
        digest(value.outputs)
        integer(value.time.nanoseconds)
        digest(value.mac)
    }
}
