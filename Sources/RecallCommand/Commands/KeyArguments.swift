internal import ArgumentParser
internal import RecallCore

/// The key files of a server: each a path, or a number and a path.
struct KeyArguments: Equatable {
    struct Item: Equatable {
        var number: UInt16
        var path: String
    }
    var items: [Item] = []

    init(_ arguments: [String]) throws {
        for argument in arguments {
            let item = Self.item(argument)
            guard !item.path.isEmpty else {
                throw ValidationError("--key-file \(argument): the file's name is missing")
            }
            guard !items.contains(where: { $0.number == item.number }) else {
                throw ValidationError("--key-file \(argument): there are two keys with the number \(item.number)")
            }
            items.append(item)
        }
    }

    private static func item(_ argument: String) -> Item {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt16(parts[0]), number > 0 else {
            return Item(number: 1, path: argument)
        }
        return Item(number: number, path: String(parts[1]))
    }

    /// Reads all files; the highest number issues. Makes a file that is missing only if it is the only one: a key that
    /// was to verify old sessions must not be replaced by a new one because its path is misspelt.
    func ring() throws -> KeyRing {
        var ring: KeyRing?
        for item in items.sorted(by: { $0.number < $1.number }) {
            let (secret, isNew) = try KeyFile.load(item.path, creating: items.count == 1)
            if isNew { Output.note("made a new key in \(item.path); keep it: sessions under a lost key are lost") }
            if ring == nil {
                ring = KeyRing(id: KeyID(item.number), secret: secret)
            } else {
                ring?.rotate(to: KeyID(item.number), secret: secret)
            }
        }
        guard let ring else { throw ValidationError("name a --key-file") }
        return ring
    }
}
