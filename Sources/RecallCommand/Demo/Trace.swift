/// A recording of somebody typing, in the form of github.com/josephg/editing-traces:
/// `{"startContent": "", "endContent": "…", "txns": [{"patches": [[position, deleted, "inserted"], …]}, …]}`, plain or
/// gzipped. Positions and lengths count code points.
package struct Trace: Sendable {
    package var startContent = ""
    package var endContent = ""
    /// The patches of all transactions, in order.
    package var edits: [TextEdit] = []

    package init() {}

    /// Bytes that a trace may unpack to.
    package static let maximumBytes = 1 << 30

    /// Every edit from an empty text on: what the recording began with counts as the first.
    package var editsFromEmpty: [TextEdit] {
        startContent.isEmpty ? edits : [TextEdit(0, 0, startContent)] + edits
    }
}

/// Why a file is not a usable trace.
package struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        case unreadable(String)
        case notGzip(GunzipError)
        case notJSON(JSONError)
        /// A part of the trace that the file lacks.
        case missing(String)
        /// Edits by several people at once.
        case concurrent
        /// An edit, counted from 1, that does not fit the text before it.
        case badEdit(Int, TextRangeError)
        /// The edits lead to another text than the trace says.
        case wrongEnd(length: Int, expected: Int)
    }
    package var reason: Reason
    init(_ reason: Reason) { self.reason = reason }

    package var description: String {
        switch reason {
        case .unreadable(let why): why
        case .notGzip(let error): error.description
        case .notJSON(let error): "not an editing trace: \(error)"
        case .missing(let what): "not an editing trace: it has no \"\(what)\""
        case .concurrent: "a trace of several people typing at once; only sequential traces can be replayed"
        case .badEdit(let number, let error): "patch \(number) of the trace cannot be applied: \(error)"
        case .wrongEnd(let length, let expected):
            "the trace's patches lead to another text (\(length) code points) than its endContent (\(expected))"
        }
    }
}

extension Trace {
    /// Reads a trace, unpacking it if it is gzipped.
    package init(_ file: [UInt8]) throws(TraceError) {
        var bytes = file
        if isGzip(file) {
            do { bytes = try gunzip(file, limit: Self.maximumBytes) } catch { throw TraceError(.notGzip(error)) }
        }
        guard bytes.count <= Self.maximumBytes else {
            throw TraceError(.unreadable("a trace of more than \(Self.maximumBytes) bytes"))
        }
        var parts: Set<String> = []
        do { parts = try read(bytes) } catch { throw TraceError(.notJSON(error)) }
        for part in ["txns", "endContent"] where !parts.contains(part) { throw TraceError(.missing(part)) }
        guard !parts.contains("numAgents") else { throw TraceError(.concurrent) }
    }

    /// The text that the edits lead to; throws if one does not fit or if they do not lead to `endContent`.
    package func checkedText() throws(TraceError) -> PlainText {
        var plain = PlainText()
        for (index, edit) in editsFromEmpty.enumerated() {
            do { try plain.apply(edit) } catch {
                throw TraceError(.badEdit(index + 1 - (startContent.isEmpty ? 0 : 1), error))
            }
        }
        let expected = Array(endContent.unicodeScalars)
        guard plain.scalars == expected else {
            throw TraceError(.wrongEnd(length: plain.scalars.count, expected: expected.count))
        }
        return plain
    }
}

// MARK: - Parsing
// By hand, straight into edits: a quarter of a million patches are read in a fraction of a second.

extension Trace {
    /// Returns the names of all parts that it found.
    private mutating func read(_ bytes: [UInt8]) throws(JSONError) -> Set<String> {
        var scanner = JSONScanner(bytes)
        var (parts, isFirst): (Set<String>, Bool) = ([], true)
        try scanner.expect("{")
        while try scanner.more(&isFirst, until: "}") {
            let name = try scanner.string()
            try scanner.expect(":")
            switch name {
            case "startContent": startContent = try scanner.string()
            case "endContent": endContent = try scanner.string()
            case "txns": try readTransactions(&scanner)
            default: _ = try scanner.value(depth: 1)
            }
            parts.insert(name)
        }
        try scanner.end()
        return parts
    }

    private mutating func readTransactions(_ scanner: inout JSONScanner) throws(JSONError) {
        try scanner.expect("[")
        var isFirst = true
        while try scanner.more(&isFirst, until: "]") {
            try scanner.expect("{")
            var isFirstMember = true
            while try scanner.more(&isFirstMember, until: "}") {
                let name = try scanner.string()
                try scanner.expect(":")
                if name == "patches" { try readPatches(&scanner) } else { _ = try scanner.value(depth: 3) }
            }
        }
    }

    private mutating func readPatches(_ scanner: inout JSONScanner) throws(JSONError) {
        try scanner.expect("[")
        var isFirst = true
        while try scanner.more(&isFirst, until: "]") {
            try scanner.expect("[")
            let position = try scanner.integer()
            try scanner.expect(",")
            let deleted = try scanner.integer()
            try scanner.expect(",")
            edits.append(TextEdit(position, deleted, try scanner.string()))
            try scanner.expect("]")
        }
    }
}
