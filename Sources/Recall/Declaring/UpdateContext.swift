package import RecallCore

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// What an update may take from outside its message and state. Everything here is recorded or derived, so a replay sees
/// the very same values.
public struct UpdateContext: ~Copyable {
    /// Random numbers, derived from the session and the update's number: nothing is recorded for them.
    public var random: SessionRandom

    /// What `now` gave, if it was read: the determinant to record. After a replay it equals the recorded one, or the
    /// replay has diverged.
    package private(set) var clockReading: WallTime?

    private let environment: ContextEnvironment
    private let recorded: WallTime?
    private let isReplay: Bool

    /// For an update that is new.
    package init(environment: ContextEnvironment, keys: SessionKeys, number: SequenceNumber) {
        self.environment = environment
        random = SessionRandom(environment: environment, keys: keys, number: number)
        recorded = nil
        isReplay = false
    }

    /// For an update that is replayed; `recorded` is the clock among its determinants.
    package init(
        environment: ContextEnvironment, keys: SessionKeys, number: SequenceNumber, replaying recorded: WallTime?
    ) {
        self.environment = environment
        random = SessionRandom(environment: environment, keys: keys, number: number)
        self.recorded = recorded
        isReplay = true
    }

    /// The server's wall clock when the update first ran. One value for the whole update, recorded at the first read as
    /// whole nanoseconds since 1970 (8 bytes in the client's log), so that a replay gets the bit-identical `Date`.
    ///
    /// Wall clocks are set back at times, and each server has its own: a later update may see an earlier `now`.
    public var now: Date {
        mutating get {
            if let clockReading { return Date(clockReading) }
            // A replay that asks for a clock which was not recorded runs other code than the first run. It gets 1970;
            // `clockReading` then differs from the record, by which the caller knows.
            let reading = isReplay ? recorded ?? WallTime(nanoseconds: 0) : environment.clock()
            clockReading = reading
            return Date(reading)
        }
    }

    /// A fresh identifier: a version 4 UUID (RFC 9562) of the next two numbers of `random`, big-endian.
    public mutating func uuid() -> UUID {
        let words: InlineArray<2, UInt64> = [
            (random.next() & ~0xf000 | 0x4000).bigEndian,
            (random.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000).bigEndian,
        ]
        return words.span.bytes.withUnsafeBytes { bytes in
            // Sound: the words are 16 bytes, and any 16 bytes are a `uuid_t`, which has alignment 1.
            UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
        }
    }
}

/// What all contexts of a server share. A class, so that a context for each message costs one reference, no allocation.
package final class ContextEnvironment: Sendable {
    package let cryptography: Cryptography
    /// The wall clock.
    package let clock: @Sendable () -> WallTime

    package init(cryptography: Cryptography, clock: @escaping @Sendable () -> WallTime) {
        self.cryptography = cryptography
        self.clock = clock
    }
}

extension Date {
    /// A pure function of the nanoseconds, rounded to what a `Double` of seconds since 2001 holds (about 100 ns today).
    package init(_ time: WallTime) {
        // Whole seconds between 1970 and 2001, taken off before the conversion, where integers are still exact.
        let (seconds, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        self.init(timeIntervalSinceReferenceDate: Double(seconds - 978_307_200) + Double(rest) / 1e9)
    }
}
