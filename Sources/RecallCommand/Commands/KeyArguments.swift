internal import ArgumentParser
internal import Foundation
internal import RecallCore

/// The key files of a server: each a path, or a number and a path.
struct KeyArguments: Equatable {
    struct Item: Equatable {
        var number: UInt16
        var path: String
    }
    var items: [Item] = []
    /// The number of the key that issues; nil: the highest.
    var issuing: UInt16?

    init(_ arguments: [String], issuing: UInt16? = nil) throws {
        self.issuing = issuing
        for argument in arguments {
            let item = try Self.item(argument)
            guard !item.path.isEmpty else {
                throw ValidationError("--key-file \(argument): the file's name is missing")
            }
            guard !items.contains(where: { $0.number == item.number }) else {
                throw ValidationError("--key-file \(argument): there are two keys with the number \(item.number)")
            }
            items.append(item)
        }
        guard let issuing, !items.contains(where: { $0.number == issuing }) else { return }
        throw ValidationError("--issuing-key \(issuing): no --key-file has that number")
    }

    private static func item(_ argument: String) throws(ValidationError) -> Item {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // Behind a slash the sign is part of a path, as in ./a=b.
        guard parts.count == 2, !parts[0].contains("/") else { return Item(number: 1, path: argument) }
        guard let number = UInt16(parts[0]), number > 0, String(number) == parts[0] else {
            throw ValidationError(
                "--key-file \(argument): before the = stands the key's number, 1 to 65535; a file with such a name is "
                    + "./\(argument)")
        }
        return Item(number: number, path: String(parts[1]))
    }

    /// True if `ring` is going to make a file.
    var areNew: Bool { items.count == 1 && items.allSatisfy { access($0.path, F_OK) != 0 && errno == ENOENT } }

    /// By ascending number, the one that issues last.
    private var inOrder: [Item] {
        items.sorted { ($0.number == issuing ? 1 : 0, $0.number) < ($1.number == issuing ? 1 : 0, $1.number) }
    }

    /// Reads all files; the highest number issues, if no other is named. Makes a file that is missing only if it is the
    /// only one: a key that was to verify old sessions must not be replaced by a new one because its path is misspelt.
    func ring() throws -> KeyRing {
        var ring: KeyRing?
        for item in inOrder {
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
