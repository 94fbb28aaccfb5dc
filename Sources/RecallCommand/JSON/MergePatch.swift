extension JSONValue {
    /// Applies a JSON Merge Patch: section 2 of RFC 7396, in place. The result is no deeper than the deeper of the two.
    package mutating func merge(_ patch: JSONValue) {
        guard case .object(let changes) = patch else {
            self = patch
            return
        }
        var members: [JSONText: JSONValue] = [:]
        if case .object(let existing) = self { members = existing }
        self = .null  // so that `members` holds the only reference, and changing it copies nothing
        for (name, change) in changes {
            if case .null = change {
                members[name] = nil
            } else {
                members[name, default: .null].merge(change)
            }
        }
        self = .object(members)
    }
}
