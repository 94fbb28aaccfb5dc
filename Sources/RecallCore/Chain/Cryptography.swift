/// The primitives, passed in so that the core needs no crypto library and runs wherever one exists.
///
/// All are full length: SHA-256, HMAC-SHA-256 and HKDF-SHA-256 give 32 bytes, AES-256-GCM takes a 12-byte nonce and
/// appends a 16-byte tag. The protocol version fixes the algorithms; nothing is negotiated.
public struct Cryptography: Sendable {
    /// SHA-256 of the first bytes followed by the second.
    public var sha256: @Sendable (_ head: RawSpan, _ tail: RawSpan) -> Digest
    /// HMAC-SHA-256 of the message under the key.
    public var hmac: @Sendable (_ key: Digest, _ message: RawSpan) -> Digest
    /// HKDF-SHA-256 (RFC 5869), 32 bytes of output.
    public var hkdf: @Sendable (_ secret: Digest, _ salt: RawSpan, _ purpose: RawSpan) -> Digest
    /// AES-256-GCM: nonce (12 bytes), ciphertext, tag (16 bytes), concatenated.
    public var encrypt: @Sendable (_ key: Digest, _ nonce: [UInt8], _ plain: RawSpan, _ associated: RawSpan) -> [UInt8]
    /// The plaintext, or nil if nonce, ciphertext, tag, key and associated data do not belong together.
    public var decrypt: @Sendable (_ key: Digest, _ sealed: RawSpan, _ associated: RawSpan) -> [UInt8]?

    public init(
        sha256: @escaping @Sendable (RawSpan, RawSpan) -> Digest,
        hmac: @escaping @Sendable (Digest, RawSpan) -> Digest,
        hkdf: @escaping @Sendable (Digest, RawSpan, RawSpan) -> Digest,
        encrypt: @escaping @Sendable (Digest, [UInt8], RawSpan, RawSpan) -> [UInt8],
        decrypt: @escaping @Sendable (Digest, RawSpan, RawSpan) -> [UInt8]?
    ) {
        self.sha256 = sha256
        self.hmac = hmac
        self.hkdf = hkdf
        self.encrypt = encrypt
        self.decrypt = decrypt
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
