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
        sha256: { sha256($0, $1) },
        hmac: { hmac($0, $1) },
        hkdf: { hkdf($0, $1, $2) },
        encrypt: { key, nonce, plain, associated in
            do {
                // Sound, here and in `decrypt`: what leaves the closure is a box or an array, which have copies.
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

    private static func sha256(_ head: RawSpan, _ tail: RawSpan) -> RecallCore.Digest {
        var hash = SHA256()
        let count = head.byteCount + tail.byteCount
        if count <= 512 {
            // Each update costs some 300 instructions of its own: what is short is copied into one piece. Sound: the
            // two together are no longer than the buffer, and only bytes that were copied are hashed.
            withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { piece in
                head.withUnsafeBytes { piece.copyMemory(from: $0) }
                tail.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(rebasing: piece[head.byteCount...]).copyMemory(from: $0)
                }
                hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: piece[..<count]))
            }
        } else {
            // Sound: hashed within the closures.
            head.withUnsafeBytes { hash.update(bufferPointer: $0) }
            tail.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return digest(hash.finalize())
    }

    /// RFC 2104 over the library's SHA-256, with keys of 32 bytes: H(key ^ opad, H(key ^ ipad, message)). The library's
    /// own `HMAC` takes twice the instructions, most of the rest in unspecialised generic code; a test compares the
    /// two.
    private static func hmac(_ key: RecallCore.Digest, _ message: RawSpan) -> RecallCore.Digest {
        var inner = InlineArray<64, UInt8>(repeating: 0x36)
        var outer = InlineArray<64, UInt8>(repeating: 0x5c)
        key.withBytes { bytes in
            for index in 0..<bytes.byteCount {
                // Sound: within the bounds, and any byte is a UInt8.
                let byte = bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                inner[index] ^= byte
                outer[index] ^= byte
            }
        }
        let digest = sha256(inner.span.bytes, message)
        return digest.withBytes { sha256(outer.span.bytes, $0) }
    }

    /// RFC 5869 with 32 bytes of output: one step to extract, and one to expand, of our own for the same reason.
    private static func hkdf(_ secret: RecallCore.Digest, _ salt: RawSpan, _ purpose: RawSpan) -> RecallCore.Digest {
        // A key that is missing is one of zeros (section 2.2), and HMAC fills a shorter one up with zeros.
        guard salt.byteCount <= 32 else {
            let key = HKDF<SHA256>.deriveKey(
                inputKeyMaterial: symmetric(secret), salt: data(salt), info: data(purpose), outputByteCount: 32)
            // Sound: the span does not leave the closure.
            return key.withUnsafeBytes { RecallCore.Digest(RawSpan(_unsafeBytes: $0)) ?? RecallCore.Digest() }
        }
        var key = [UInt8](repeating: 0, count: 32)
        // Sound: within the bounds, and any byte is a UInt8.
        for index in 0..<salt.byteCount { key[index] = salt.unsafeLoad(fromByteOffset: index, as: UInt8.self) }
        let extracted = secret.withBytes { hmac(RecallCore.Digest(key) ?? RecallCore.Digest(), $0) }
        var info = ByteWriter(capacity: purpose.byteCount + 1)
        info.append(purpose)
        info.integer(UInt8(1))
        return hmac(extracted, info.bytes.span.bytes)
    }

    private static func digest(_ value: some ContiguousBytes) -> RecallCore.Digest {
        // Sound: the span does not leave the closure.
        value.withUnsafeBytes { RecallCore.Digest(RawSpan(_unsafeBytes: $0)) ?? RecallCore.Digest() }
    }

    // Sound, both: a key and `Data` have copies of the bytes.

    private static func symmetric(_ key: RecallCore.Digest) -> SymmetricKey {
        key.withBytes { $0.withUnsafeBytes { SymmetricKey(data: $0) } }
    }

    private static func data(_ raw: RawSpan) -> Data { raw.withUnsafeBytes { Data($0) } }
}
