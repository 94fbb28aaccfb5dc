/// A checkpoint without its segments; all of it is authenticated with every segment.
package struct CheckpointHeader: Hashable, Sendable {
    package var kindVersion: UInt32
    package var position: Position
    package var outputs: Digest
    package var time: WallTime
    package var segmentCount: UInt32

    package init(kindVersion: UInt32, position: Position, outputs: Digest, time: WallTime, segmentCount: UInt32) {
        self.kindVersion = kindVersion
        self.position = position
        self.outputs = outputs
        self.time = time
        self.segmentCount = segmentCount
    }

    package init(_ checkpoint: Checkpoint) {
        self.init(
            kindVersion: checkpoint.kindVersion, position: checkpoint.position, outputs: checkpoint.outputs,
            time: checkpoint.time, segmentCount: UInt32(truncatingIfNeeded: checkpoint.segments.count))
    }

    package func checkpoint(_ segments: [[UInt8]]) -> Checkpoint {
        Checkpoint(kindVersion: kindVersion, position: position, outputs: outputs, time: time, segments: segments)
    }

    package func write(to writer: inout ByteWriter) {
        writer.integer(kindVersion)
        writer.position(position)
        writer.digest(outputs)
        writer.integer(time.nanoseconds)
        writer.integer(segmentCount)
    }

    package init(reading reader: inout ByteReader) throws(WireError) {
        kindVersion = try reader.integer()
        position = try reader.position()
        outputs = try reader.digest()
        time = WallTime(nanoseconds: try reader.integer())
        segmentCount = try reader.integer()
        guard segmentCount > 0, segmentCount <= UInt32(WireLimits.segments) else { throw .tooLong }
        guard position.number > .zero else { throw .malformed }
    }

    /// label, kind version, n, seal(n), d(n), r(n), time, segment count, segment number.
    private func associated(segment: UInt32) -> [UInt8] {
        var writer = ByteWriter(capacity: 133)
        writer.label(.checkpoint)
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.checkpointNotBound) { return writer.bytes }
        #endif
        write(to: &writer)
        writer.integer(segment)
        return writer.bytes
    }

    /// Encrypts one segment under a 12-byte random nonce.
    package func seal(
        _ plain: RawSpan, segment: UInt32, nonce: [UInt8], _ keys: SessionKeys, _ cryptography: Cryptography
    ) -> [UInt8] {
        cryptography.encrypt(keys.checkpoint, nonce, plain, associated(segment: segment).span.bytes)
    }

    /// The segment's plaintext; nil if it is not this checkpoint's segment of that number under the session's key.
    package func open(
        _ sealed: RawSpan, segment: UInt32, _ keys: SessionKeys, _ cryptography: Cryptography
    ) -> [UInt8]? {
        cryptography.decrypt(keys.checkpoint, sealed, associated(segment: segment).span.bytes)
    }

    /// How many segments a state of so many bytes takes; an empty state takes one.
    package static func segmentCount(forBytes count: Int) -> Int {
        max(1, (count + WireLimits.segment - 1) / WireLimits.segment)
    }
}
