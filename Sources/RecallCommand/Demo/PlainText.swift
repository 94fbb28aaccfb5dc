/// The text that edits should lead to, computed in the plainest way there is and sharing no code with the `text` kind:
/// if that kind had a bug, both would have to have the same one.
package struct PlainText: Sendable {
    package private(set) var scalars: [Unicode.Scalar] = []

    package init() {}

    package var text: String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    /// Throws, and changes nothing, if the edit does not fit.
    package mutating func apply(_ edit: TextEdit) throws(TextRangeError) {
        let (end, overflow) = edit.position.addingReportingOverflow(edit.deleted)
        guard !overflow, 0 <= edit.position, edit.position <= end, end <= scalars.count else {
            throw TextRangeError(position: edit.position, deleted: edit.deleted, length: scalars.count)
        }
        scalars.replaceSubrange(edit.position..<end, with: edit.inserted.unicodeScalars)
    }
}
