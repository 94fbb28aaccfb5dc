/// What a seal covers, so that one kind of message cannot pass for another.
package enum SealKind: UInt8, Sendable {
    /// Advances the chain.
    case update = 1
    /// A leaf on a position: a read.
    case request = 2
    /// A leaf on a position: a client attaching to its session.
    case attach = 3
}

/// Computes the keyed hash chain of one session.
///
/// seal(n) = SHA-256(IV 32, seal(n-1) 32, label 4, version 1, kind 1, n 8, content length 4, content). The encoding is
/// prefix-free, the length at a fixed offset determines the whole, so plain SHA-256 with a secret first block is a
/// sound MAC (Coron, Dodis, Malinaud, Puniya, CRYPTO 2005).
package struct Sealer: Sendable {
    package let vector: Digest
    private let cryptography: Cryptography

    package init(vector: Digest, _ cryptography: Cryptography) {
        self.vector = vector
        self.cryptography = cryptography
    }

    /// The seal of `content` as number `number`, after `previous`; for a leaf both are those of the position it is on.
    package func seal(
        _ kind: SealKind, _ content: RawSpan, number: SequenceNumber, after previous: Digest
    ) -> Digest {
        var header = InlineArray<82, UInt8>(repeating: 0)
        Self.write(vector, previous, kind, number, content.byteCount, into: &header)
        return cryptography.sha256(header.span.bytes, content)
    }

    private static func write(
        _ vector: Digest, _ previous: Digest, _ kind: SealKind, _ number: SequenceNumber, _ length: Int,
        into header: inout InlineArray<82, UInt8>
    ) {
        var span = header.mutableSpan
        var bytes = span.mutableBytes
        func store(_ digest: Digest, at offset: Int, _ bytes: inout MutableRawSpan) {
            // Their words are the bytes as they lie in memory.
            bytes.storeBytes(of: digest.w0, toByteOffset: offset, as: UInt64.self)
            bytes.storeBytes(of: digest.w1, toByteOffset: offset + 8, as: UInt64.self)
            bytes.storeBytes(of: digest.w2, toByteOffset: offset + 16, as: UInt64.self)
            bytes.storeBytes(of: digest.w3, toByteOffset: offset + 24, as: UInt64.self)
        }
        store(vector, at: 0, &bytes)
        store(previous, at: 32, &bytes)
        bytes.storeBytes(of: Label.seal.code.bigEndian, toByteOffset: 64, as: UInt32.self)
        bytes.storeBytes(of: Label.version, toByteOffset: 68, as: UInt8.self)
        bytes.storeBytes(of: kind.rawValue, toByteOffset: 69, as: UInt8.self)
        bytes.storeBytes(of: number.rawValue.bigEndian, toByteOffset: 70, as: UInt64.self)
        bytes.storeBytes(of: UInt32(truncatingIfNeeded: length).bigEndian, toByteOffset: 78, as: UInt32.self)
    }
}

extension Cryptography {
    /// d(n): SHA-256(label, d(n-1), n, length, determinants), or d(n-1) if the update has no determinants.
    package func inputs(_ determinants: RawSpan, number: SequenceNumber, after previous: Digest) -> Digest {
        extended(.inputs, determinants, number, previous)
    }

    /// r(n): the same chain over replies.
    package func outputs(_ reply: RawSpan, number: SequenceNumber, after previous: Digest) -> Digest {
        extended(.outputs, reply, number, previous)
    }

    private func extended(_ label: Label, _ bytes: RawSpan, _ number: SequenceNumber, _ previous: Digest) -> Digest {
        guard bytes.byteCount > 0 else { return previous }
        var header = ByteWriter(capacity: 49)
        header.label(label)
        header.digest(previous)
        header.number(number)
        header.integer(UInt32(truncatingIfNeeded: bytes.byteCount))
        return sha256(header.bytes.span.bytes, bytes)
    }
}
