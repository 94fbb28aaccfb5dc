/// The primitives, passed in so that the core needs no crypto library and runs wherever one exists.
///
/// All are full length: SHA-256, HMAC-SHA-256 and HKDF-SHA-256 give 32 bytes, AES-256-GCM takes a 12-byte nonce and
/// appends a 16-byte tag. The protocol version fixes the algorithms; nothing is negotiated.
public struct Cryptography: Sendable {
    public typealias Hash = @Sendable (_ head: RawSpan, _ tail: RawSpan) -> Digest
    public typealias Authenticate = @Sendable (_ key: Digest, _ message: RawSpan) -> Digest
    public typealias Derive = @Sendable (_ secret: Digest, _ salt: RawSpan, _ purpose: RawSpan) -> Digest
    public typealias Encrypt =
        @Sendable (_ key: Digest, _ nonce: [UInt8], _ plain: RawSpan, _ associated: RawSpan) -> [UInt8]
    public typealias Decrypt = @Sendable (_ key: Digest, _ sealed: RawSpan, _ associated: RawSpan) -> [UInt8]?

    /// One word for each copy: every session has one.
    private final class Primitives: Sendable {
        let sha256: Hash, hmac: Authenticate, hkdf: Derive, encrypt: Encrypt, decrypt: Decrypt

        init(
            _ sha256: @escaping Hash, _ hmac: @escaping Authenticate, _ hkdf: @escaping Derive,
            _ encrypt: @escaping Encrypt, _ decrypt: @escaping Decrypt
        ) {
            (self.sha256, self.hmac, self.hkdf, self.encrypt, self.decrypt) = (sha256, hmac, hkdf, encrypt, decrypt)
        }
    }

    private let primitives: Primitives

    /// SHA-256 of the first bytes followed by the second.
    public var sha256: Hash { primitives.sha256 }
    /// HMAC-SHA-256 of the message under the key.
    public var hmac: Authenticate { primitives.hmac }
    /// HKDF-SHA-256 (RFC 5869), 32 bytes of output.
    public var hkdf: Derive { primitives.hkdf }
    /// AES-256-GCM: nonce (12 bytes), ciphertext, tag (16 bytes), concatenated.
    public var encrypt: Encrypt { primitives.encrypt }
    /// The plaintext, or nil if nonce, ciphertext, tag, key and associated data do not belong together.
    public var decrypt: Decrypt { primitives.decrypt }

    public init(
        sha256: @escaping Hash, hmac: @escaping Authenticate, hkdf: @escaping Derive, encrypt: @escaping Encrypt,
        decrypt: @escaping Decrypt
    ) {
        primitives = Primitives(sha256, hmac, hkdf, encrypt, decrypt)
    }
}

/// The purpose of a keyed or hashed input: four ASCII bytes and a version byte begin every one of them, so that no
/// value of one kind passes for another.
package struct Label: Sendable {
    let code: UInt32
    static let version: UInt8 = 1

    private init(_ text: StaticString) {
        var code: UInt32 = 0
        for index in 0..<4 { code = code << 8 | UInt32(text.utf8Start[index]) }
        self.code = code
    }

    static let vector = Label("ivec"), seal = Label("seal"), inputs = Label("dtrm"), outputs = Label("rply")
    static let receipt = Label("rcpt"), checkpoint = Label("ckpt"), random = Label("rand"), randomBlock = Label("rblk")
    static let idempotency = Label("idem")
}

extension ByteWriter {
    mutating func label(_ label: Label) {
        integer(label.code)
        integer(Label.version)
    }
}
