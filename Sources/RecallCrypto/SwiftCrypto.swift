internal import Crypto
public import RecallCore

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

extension Cryptography {
    /// The primitives from swift-crypto.
    public static let swiftCrypto = Cryptography(
        sha256: { head, tail in
            var hash = SHA256()
            head.withUnsafeBytes { hash.update(bufferPointer: $0) }
            tail.withUnsafeBytes { hash.update(bufferPointer: $0) }
            return digest(hash.finalize())
        },
        hmac: { key, message in
            var code = HMAC<SHA256>(key: symmetric(key))
            message.withUnsafeBytes { code.update(data: $0) }
            return digest(code.finalize())
        },
        hkdf: { secret, salt, purpose in
            let key = HKDF<SHA256>.deriveKey(
                inputKeyMaterial: symmetric(secret), salt: data(salt), info: data(purpose), outputByteCount: 32)
            return key.withUnsafeBytes { Digest(RawSpan(_unsafeBytes: $0)) ?? Digest() }
        },
        encrypt: { key, nonce, plain, associated in
            do {
                let box = try plain.withUnsafeBytes { plain in
                    try AES.GCM.seal(
                        plain, using: symmetric(key), nonce: AES.GCM.Nonce(data: nonce),
                        authenticating: data(associated))
                }
                return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
            } catch {
                // AES-GCM fails only on a nonce shorter than 12 bytes or a plaintext over 64 GiB, neither of which the
                // callers can make; an empty segment never verifies, so even then nothing false is accepted.
                return []
            }
        },
        decrypt: { key, sealed, associated in
            sealed.withUnsafeBytes { sealed in
                guard let box = try? AES.GCM.SealedBox(combined: sealed) else { return nil }
                return try? Array(AES.GCM.open(box, using: symmetric(key), authenticating: data(associated)))
            }
        })

    private static func digest(_ value: some ContiguousBytes) -> RecallCore.Digest {
        value.withUnsafeBytes { RecallCore.Digest(RawSpan(_unsafeBytes: $0)) ?? RecallCore.Digest() }
    }

    private static func symmetric(_ key: RecallCore.Digest) -> SymmetricKey {
        key.withBytes { $0.withUnsafeBytes { SymmetricKey(data: $0) } }
    }

    private static func data(_ raw: RawSpan) -> Data { raw.withUnsafeBytes { Data($0) } }
}
