import struct Crypto.HKDF
import struct Crypto.HMAC
import struct Crypto.SHA256
import struct Crypto.SymmetricKey
import RecallCore
import RecallCrypto
import Testing

/// What is composed here of the library's SHA-256 gives what the library's own compositions give.
@Suite struct CryptographyTests {
    @Test func hmac() throws {
        var generator = SystemRandomNumberGenerator()
        for length in [0, 1, 31, 32, 55, 56, 63, 64, 65, 119, 120, 128, 1000] {
            let secret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let message = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let key = try #require(Digest(secret))
            let code = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: secret))
            #expect(Cryptography.swiftCrypto.hmac(key, message.span.bytes).bytes == Array(code), "key \(secret)")
        }
    }

    @Test func hkdf() throws {
        var generator = SystemRandomNumberGenerator()
        for length in [0, 1, 32, 33, 100] {
            let secret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let salt = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let purpose = Array("a purpose".utf8)
            let key = HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: secret), salt: salt, info: purpose, outputByteCount: 32)
            let derived = Cryptography.swiftCrypto.hkdf(
                try #require(Digest(secret)), salt.span.bytes, purpose.span.bytes)
            #expect(derived.bytes == key.withUnsafeBytes { Array($0) }, "secret \(secret), salt \(salt)")
        }
    }

    /// RFC 4231, test case 1, its key of 20 bytes filled up with zeros, which HMAC does itself.
    @Test func publishedCode() throws {
        let key = try #require(
            Digest([UInt8](repeating: 0x0b, count: 20) + [UInt8](repeating: 0, count: 12)))
        #expect(
            Cryptography.swiftCrypto.hmac(key, Array("Hi There".utf8).span.bytes).description
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    }
}
