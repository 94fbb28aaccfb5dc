import RecallCore

extension Cryptography {
    /// Primitives of the right shapes at a lower price, for conversations: what they are to find is in the
    /// machines. A fuzzer hits a seal of these by luck alone, as one of SHA-256. Nothing about them is secure. The real
    /// ones are behind the readers' target.
    static let standIn = Cryptography(
        sha256: { head, tail in
            var mixer = Mixer(1)
            mixer.add(head)
            mixer.add(tail)
            return mixer.digest
        },
        hmac: { key, message in
            var mixer = Mixer(2)
            key.withBytes { mixer.add($0) }
            mixer.add(message)
            return mixer.digest
        },
        hkdf: { secret, salt, purpose in
            var mixer = Mixer(3)
            secret.withBytes { mixer.add($0) }
            mixer.add(salt)
            mixer.add(purpose)
            return mixer.digest
        },
        encrypt: { key, nonce, plain, associated in nonce + plain.array + tag(key, nonce, plain, associated) },
        decrypt: { key, sealed, associated in
            guard sealed.byteCount >= 28 else { return nil }
            let nonce = sealed.extracting(first: 12).array
            let plain = sealed.extracting(droppingFirst: 12).extracting(droppingLast: 16)
            guard sealed.extracting(last: 16).array == tag(key, nonce, plain, associated) else { return nil }
            return plain.array
        })

    private static func tag(_ key: Digest, _ nonce: [UInt8], _ plain: RawSpan, _ associated: RawSpan) -> [UInt8] {
        var mixer = Mixer(4)
        key.withBytes { mixer.add($0) }
        mixer.add(nonce.span.bytes)
        mixer.add(associated)
        mixer.add(plain)
        return Array(mixer.digest.bytes.prefix(16))
    }
}

/// Four words, stirred by multiplication and rotation.
private struct Mixer {
    private var a: UInt64, b: UInt64 = 0x9e37_79b9_7f4a_7c15, c: UInt64 = 0xc2b2_ae3d_27d4_eb4f
    private var d: UInt64 = 0x1656_67b1_9e37_79f9

    init(_ purpose: UInt64) { a = purpose }

    mutating func add(_ bytes: RawSpan) {
        stir(UInt64(bytes.byteCount))
        var offset = 0
        while offset + 8 <= bytes.byteCount {
            stir(bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))  // Sound: within the bounds.
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.byteCount {
            rest = rest << 8 | UInt64(bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))  // Likewise.
            offset += 1
        }
        stir(rest)
    }

    private mutating func stir(_ word: UInt64) {
        a = (a ^ word) &* 0xff51_afd7_ed55_8ccd
        b = (b &+ (a ^ a >> 29)) &* 0xc4ce_b9fe_1a85_ec53
        c = (c ^ (b ^ b >> 31)) &* 0x9fb2_1c65_1e98_df25
        d = (d &+ (c ^ c >> 27) &+ word) &* 0xd6e8_feb8_6659_fd93
        a ^= d >> 32
    }

    var digest: Digest {
        var copy = self
        var words = InlineArray<4, UInt64>(repeating: 0)
        for index in words.indices {
            copy.stir(0)
            words[index] = copy.a ^ copy.c
        }
        return Digest(words.span.bytes) ?? Digest()
    }
}
