/// The secrets of a server. One issues sessions; the others verify those that were issued under them until they are
/// retired.
///
/// Servers that continue each other's sessions change keys in two steps: first every one of them holds the new key,
/// then each may issue under it. A server that issued before would send its clients to others that refuse them.
public struct KeyRing: Sendable {
    /// The one that issues is the last.
    package private(set) var secrets: [(id: KeyID, secret: Digest)]

    /// A ring with one key. `secret` must be 32 bytes from a good random source.
    public init(id: KeyID = KeyID(1), secret: Digest) { secrets = [(id, secret)] }

    /// Adds a key that verifies and does not issue, unless it is the only one; one with the same id is replaced. The
    /// first step of a rotation, to be done on all servers.
    public mutating func hold(_ id: KeyID, secret: Digest) {
        retire(id)
        secrets.insert((id, secret), at: 0)
    }

    /// Adds a key that issues from now on; one with the same id is replaced. The second step of a rotation, once all
    /// servers hold the key.
    public mutating func rotate(to id: KeyID, secret: Digest) {
        retire(id)
        secrets.append((id, secret))
    }

    /// Forgets a key: sessions issued under it can no longer be recalled. Keeps nothing secret of it.
    public mutating func retire(_ id: KeyID) { secrets.removeAll { $0.id == id } }

    /// The key that issues; nil if every key was retired.
    public var newest: KeyID? { secrets.last?.id }

    package func secret(_ id: KeyID) -> Digest? { secrets.last { $0.id == id }?.secret }
}

/// What one session's keys are derived for: its id, the hash of its kind's name and of its principal.
package struct SessionIdentity: Hashable, Sendable {
    package let session: SessionID
    package let kind: Digest
    /// SHA-256 of the authenticated principal; zeros for nobody.
    package let principal: Digest

    package init(session: SessionID, kindName: [UInt8], principal: [UInt8]?, _ cryptography: Cryptography) {
        let none: [UInt8] = []
        self.session = session
        kind = cryptography.sha256(kindName.span.bytes, none.span.bytes)
        self.principal =
            if let principal { cryptography.sha256(principal.span.bytes, none.span.bytes) } else { Digest() }
    }

    init(session: SessionID, kindName: [UInt8], principalHash: Digest, _ cryptography: Cryptography) {
        let none: [UInt8] = []
        (self.session, principal) = (session, principalHash)
        kind = cryptography.sha256(kindName.span.bytes, none.span.bytes)
    }
}

/// A session's derived keys. None is stored: any server with the key ring recomputes them.
///
/// `vector` goes to the client once, at initiation; the others never leave the server. A class: every update's context
/// refers to them, and they are 160 bytes.
package final class SessionKeys: Sendable {
    package let vector: Digest
    package let receipt: Digest
    package let checkpoint: Digest
    package let random: Digest
    package let idempotency: Digest

    /// Derives the rest from the root and the session's vector: HKDF(root, salt IV, label) each.
    package init(root: Digest, vector: Digest, _ cryptography: Cryptography) {
        #if RECALL_PLANTED_BUGS
            let salt = PlantedBug.isActive(.keysNotBound) ? Digest() : vector
        #else
            let salt = vector
        #endif
        func derive(_ label: Label) -> Digest {
            salt.withBytes { cryptography.hkdf(root, $0, Self.purpose(label).span.bytes) }
        }
        self.vector = vector
        receipt = derive(.receipt)
        checkpoint = derive(.checkpoint)
        random = derive(.random)
        idempotency = derive(.idempotency)
    }

    /// HKDF(root, no salt, "ivec"): the key under which all vectors of a root are made.
    package static func vectorKey(root: Digest, _ cryptography: Cryptography) -> Digest {
        let none: [UInt8] = []
        return cryptography.hkdf(root, none.span.bytes, purpose(.vector).span.bytes)
    }

    /// IV = HMAC(vector key, label, session id, kind hash, principal hash).
    package static func vector(
        vectorKey: Digest, identity: SessionIdentity, _ cryptography: Cryptography
    ) -> Digest {
        var writer = ByteWriter(capacity: 85)
        writer.label(.vector)
        writer.session(identity.session)
        writer.digest(identity.kind)
        writer.digest(identity.principal)
        return cryptography.hmac(vectorKey, writer.bytes.span.bytes)
    }

    private static func purpose(_ label: Label) -> [UInt8] {
        var writer = ByteWriter(capacity: 5)
        writer.label(label)
        return writer.bytes
    }

    /// The seed of an update's `context.random`: HMAC(K_random, label, n). Nothing needs to be recorded for it.
    package func randomSeed(at number: SequenceNumber, _ cryptography: Cryptography) -> Digest {
        var writer = ByteWriter(capacity: 13)
        writer.label(.random)
        writer.number(number)
        return cryptography.hmac(random, writer.bytes.span.bytes)
    }

    /// The key under which an outside service can recognise a repeated effect: HMAC(K_idempotency, label, n, seal(n),
    /// d(n-1)).
    package func idempotencyKey(
        at number: SequenceNumber, seal: Digest, inputsBefore: Digest, _ cryptography: Cryptography
    ) -> Digest {
        var writer = ByteWriter(capacity: 77)
        writer.label(.idempotency)
        writer.number(number)
        writer.digest(seal)
        writer.digest(inputsBefore)
        return cryptography.hmac(idempotency, writer.bytes.span.bytes)
    }
}

extension Cryptography {
    /// Block `index` of an update's random stream: SHA-256(label, seed, index). Four big-endian numbers each.
    package func randomBlock(_ index: UInt64, seed: Digest) -> Digest {
        var header = ByteWriter(capacity: 45)
        header.label(.randomBlock)
        header.digest(seed)
        header.integer(index)
        let none: [UInt8] = []
        return sha256(header.bytes.span.bytes, none.span.bytes)
    }
}
