/// Text that is edited by position in Unicode code points.
///
/// Held as a row of chunks of UTF-8. Their size grows with the square root of the text's, so that both finding a chunk
/// and changing it cost O(√n); since people type where they typed last, the search begins at the last edit and seldom
/// goes far.
package struct TextBuffer: Sendable {
    fileprivate struct Chunk: Sendable {
        /// Valid UTF-8, cut between code points.
        var bytes: [UInt8]
        /// Its code points.
        var count: Int
    }

    /// Where a code point is: `offset` code points into a chunk, which begins `start` code points into the text.
    private struct Place: Sendable {
        var chunk: Int
        var start: Int
        var offset: Int
    }

    // Sound, wherever bytes of a text are looked at by pointer: within the closure that lends them, at places below
    // their count, and only copies leave it.

    /// At least one. Two neighbours together are never small, so there are O(√n).
    private var chunks = [Chunk(bytes: [], count: 0)]
    /// The chunk of the last edit, and where it begins.
    private var last = (chunk: 0, start: 0)
    private var byteCount = 0
    /// Code points.
    package private(set) var count = 0

    package init() {}

    package init(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            byteCount = utf8.count
            let pieces = Self.split(utf8, size: limit * 3 / 4)
            if !pieces.isEmpty { chunks = pieces }
        }
        count = chunks.reduce(0) { $0 + $1.count }
    }

    /// The whole text.
    package var text: String { String(decoding: utf8, as: UTF8.self) }

    /// The text from a code point on, at most `count` of them: what there is of it.
    package func part(from position: Int, count wanted: Int) -> String {
        let first = max(0, position)
        guard first < count, wanted > 0 else { return "" }
        var left = min(wanted, count - first)
        var place = find(first)
        var bytes: [UInt8] = []
        while left > 0 {
            let chunk = chunks[place.chunk]
            let end = min(chunk.count, place.offset + left)
            bytes += chunk.bytes[chunk.byteOffset(of: place.offset)..<chunk.byteOffset(of: end)]
            left -= end - place.offset
            place = Place(chunk: place.chunk + 1, start: place.start + chunk.count, offset: 0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The whole text in UTF-8.
    var utf8: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        for chunk in chunks { bytes += chunk.bytes }
        return bytes
    }

    /// Says whether an edit would fit.
    package func check(_ edit: TextEdit) throws(TextRangeError) {
        guard edit.position >= 0, edit.deleted >= 0, edit.position <= count, edit.deleted <= count - edit.position
        else {
            throw TextRangeError(position: edit.position, deleted: edit.deleted, length: count)
        }
    }

    /// Deletes, then inserts at the same position; changes nothing if it throws.
    package mutating func apply(_ edit: TextEdit) throws(TextRangeError) {
        try check(edit)
        var place = find(edit.position)
        if edit.deleted > 0 { place = delete(edit.deleted, at: place) }
        if !edit.inserted.isEmpty { insert(edit.inserted, at: place) }
        last = (place.chunk, place.start)
    }
}

// MARK: - Chunks

extension TextBuffer {
    /// Bytes that a chunk may hold.
    private var limit: Int { max(1024, 4 * Int(Double(byteCount).squareRoot())) }

    /// The place of a code point, at a chunk's end rather than at the next one's beginning.
    private func find(_ position: Int) -> Place {
        var (chunk, start) = position < last.start / 2 ? (0, 0) : last
        while position < start {
            chunk -= 1
            start -= chunks[chunk].count
        }
        while position > start + chunks[chunk].count {
            start += chunks[chunk].count
            chunk += 1
        }
        return Place(chunk: chunk, start: start, offset: position - start)
    }

    /// Deletes what is there, which may reach over many chunks. Returns where the gap was.
    private mutating func delete(_ amount: Int, at place: Place) -> Place {
        var left = amount - cut(place.chunk, from: place.offset, amount)
        let next = place.chunk + 1
        var whole = next
        while left > 0, left >= chunks[whole].count {
            left -= chunks[whole].count
            byteCount -= chunks[whole].bytes.count
            count -= chunks[whole].count
            whole += 1
        }
        chunks.removeSubrange(next..<whole)
        if left > 0 { _ = cut(next, from: 0, left) }
        _ = join(next)
        return joinAround(place)
    }

    /// Deletes code points of one chunk, as many as it has there; returns how many.
    private mutating func cut(_ index: Int, from offset: Int, _ amount: Int) -> Int {
        let end = min(chunks[index].count, offset + min(amount, chunks[index].count))
        let lower = chunks[index].byteOffset(of: offset)
        let upper = chunks[index].byteOffset(of: end)
        chunks[index].bytes.removeSubrange(lower..<upper)
        chunks[index].count -= end - offset
        byteCount -= upper - lower
        count -= end - offset
        return end - offset
    }

    /// Joins a chunk to the next one if both are small.
    private mutating func join(_ index: Int) -> Bool {
        guard index >= 0, index + 1 < chunks.count,
            chunks[index].bytes.count + chunks[index + 1].bytes.count <= limit / 2
        else { return false }
        let next = chunks.remove(at: index + 1)
        chunks[index].bytes += next.bytes
        chunks[index].count += next.count
        return true
    }

    /// Joins a chunk to both neighbours where it is small; returns where the place is then.
    private mutating func joinAround(_ place: Place) -> Place {
        _ = join(place.chunk)
        guard place.chunk > 0 else { return place }
        let before = chunks[place.chunk - 1].count
        guard join(place.chunk - 1) else { return place }
        return Place(chunk: place.chunk - 1, start: place.start - before, offset: place.offset + before)
    }

    private mutating func insert(_ inserted: String, at place: Place) {
        var inserted = inserted
        let added = inserted.withUTF8 { utf8 in
            let offset = chunks[place.chunk].byteOffset(of: place.offset)
            chunks[place.chunk].bytes.replaceSubrange(offset..<offset, with: utf8)
            byteCount += utf8.count
            return Self.codePoints(utf8)
        }
        chunks[place.chunk].count += added
        count += added
        if chunks[place.chunk].bytes.count > limit {
            let pieces = chunks[place.chunk].bytes.withUnsafeBufferPointer { Self.split($0, size: limit / 2) }
            chunks.replaceSubrange(place.chunk...place.chunk, with: pieces)
        }
    }

    /// Cuts UTF-8 into chunks of about `size` bytes, never within a code point.
    private static func split(_ utf8: UnsafeBufferPointer<UInt8>, size: Int) -> [Chunk] {
        var pieces: [Chunk] = []
        var start = 0
        while start < utf8.count {
            var end = min(start + size, utf8.count)
            while end < utf8.count, utf8[end] & 0xc0 == 0x80 { end += 1 }
            let piece = UnsafeBufferPointer(rebasing: utf8[start..<end])
            pieces.append(Chunk(bytes: Array(piece), count: codePoints(piece)))
            start = end
        }
        return pieces
    }

    /// Code points of valid UTF-8: the bytes that do not continue one.
    private static func codePoints(_ utf8: UnsafeBufferPointer<UInt8>) -> Int {
        utf8.reduce(0) { $0 + ($1 & 0xc0 != 0x80 ? 1 : 0) }
    }
}

extension TextBuffer.Chunk {
    /// Where a code point begins; the end for the one after the last.
    fileprivate func byteOffset(of offset: Int) -> Int {
        if bytes.count == count { return offset }  // all of them are ASCII
        if offset == count { return bytes.count }
        var seen = -1
        for (index, byte) in bytes.enumerated() where byte & 0xc0 != 0x80 {
            seen += 1
            if seen == offset { return index }
        }
        return bytes.count
    }
}

// MARK: - Conformances

/// Equal if the texts are, code point by code point: Swift's strings count "é" and "e\u{301}" as the same.
extension TextBuffer: Equatable {
    package static func == (a: Self, b: Self) -> Bool {
        a.count == b.count && a.byteCount == b.byteCount && a.utf8 == b.utf8
    }
}

/// Encoded as its text.
extension TextBuffer: Codable {
    package init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
