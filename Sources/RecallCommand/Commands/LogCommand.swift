internal import ArgumentParser
internal import Foundation
internal import Recall
internal import RecallClient
internal import RecallCore
internal import RecallCrypto
internal import RecallSQLite

/// `recall log`: looks into a log, without a server and beside whoever is writing it; and mends a damaged one.
struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Look into a session's log: offline, and also while it is in use. Salvage a damaged one.",
        subcommands: [Show.self, Verify.self, Export.self, Salvage.self])

    struct File: ParsableArguments {
        @Argument(help: "The log's file.", completion: .file())
        var file: String
    }

    /// What went wrong with the log, with its file's name.
    /// - Parameter isSalvage: nobody is advised to do what has just failed.
    static func explain(_ error: any Error, _ file: String, isSalvage: Bool = false) -> any Error {
        switch error {
        case let gone as Output.ReaderGone: gone.exitCode
        case let fault as LogFault: CommandError("\(file): \(fault.text)")
        case let error as RecallError where !isSalvage: CommandError.advising(error, log: file)
        case let error as CommandError where !error.description.contains(file):
            CommandError("\(file): \(error)")
        default: error
        }
    }
}

extension LogCommand {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a log holds, but not its content.",
            discussion: "Prints nothing secret: neither updates nor keys. It is safe to send the output to others.")

        @OptionGroup var log: File
        @Flag(help: "Print one JSON object.") var json = false

        func run() throws {
            do {
                let summary = try LogInspection(log.file).summary()
                if json {
                    return try Output.line(.object(Dictionary(summary) { $1 }))
                }
                let width = summary.map { $0.name.string.count }.max() ?? 0
                for (name, value) in summary {
                    let padding = String(repeating: " ", count: width - name.string.count)
                    try Output.line("\(name)\(padding)  \(Self.plain(value))")
                }
            } catch {
                throw LogCommand.explain(error, log.file)
            }
        }

        private static func plain(_ value: JSONValue) -> String {
            switch value {
            case .string(let text): text.string
            case .null: "-"
            case .array(let elements) where elements.isEmpty: "-"
            default: value.encodedText
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Recompute a log's chain of seals and compare it with every receipt and checkpoint.",
            discussion: """
                Exits with 0 if all agree, with 1 and the range of updates in question if not. A receipt's own code \
                can be verified only by a server that has the key, which it does whenever the session is recalled.
                """)

        @OptionGroup var log: File
        @Flag(help: "Print one JSON object.") var json = false

        func run() throws {
            do {
                let inspection = try LogInspection(log.file)
                if let damage = inspection.contents.damage { throw CommandError("damaged: \(damage)") }
                let (receipts, unacknowledged) = try inspection.verify()
                let (first, last) = (inspection.base.number.rawValue + 1, inspection.contents.last.rawValue)
                if json {
                    return try Output.line([
                        "ok": true, "first": .number(JSONNumber(first)), "last": .number(JSONNumber(last)),
                        "receipts": .number(JSONNumber(receipts)),
                        "unacknowledged": .number(JSONNumber(unacknowledged)),
                    ])
                }
                let range = first <= last ? "updates \(first) to \(last)" : "no update after checkpoint \(last)"
                try Output.line(
                    "ok: \(range); stretches that end at a receipt: \(receipts); not acknowledged: \(unacknowledged)")
            } catch {
                let error = LogCommand.explain(error, log.file)
                if json, !(error is ExitCode) {
                    try Output.line(["ok": false, "reason": .string(JSONText("\(error)"))])
                }
                throw error
            }
        }
    }

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the updates that a log holds, as JSON lines.",
            discussion: """
                First a line about the log, then one for each update after the older checkpoint, in order. The \
                content is what the session was sent: treat the output as you treat the log. With --updates, the \
                updates alone: lines for the input of 'recall send', which make the same session again if nothing was \
                forgotten.
                """)

        @OptionGroup var log: File
        @Flag(help: "Print the updates alone; only for kinds that this tool knows.") var updates = false

        func run() throws {
            do {
                let inspection = try LogInspection(log.file)
                let base = inspection.base.number
                if updates, base > .zero {
                    Output.note("recall: updates 1 to \(base) are no longer in the log: a checkpoint stands for them")
                }
                if !updates { try Output.line(.object(Dictionary(try inspection.summary()) { $1 })) }
                try inspection.forEachSlice { slice in
                    var bytes: [UInt8] = []
                    for message in slice.messages {
                        try line(message, acknowledged: slice.receipt != nil, inspection).write(to: &bytes)
                        bytes.append(0x0a)
                    }
                    try Output.bytes(bytes)
                }
            } catch {
                throw LogCommand.explain(error, log.file)
            }
        }

        private func line(
            _ message: LoggedMessage, acknowledged: Bool, _ inspection: LogInspection
        ) throws -> JSONValue {
            guard updates else { return inspection.describe(message, acknowledged: acknowledged) }
            guard let update = inspection.update(message) else {
                throw CommandError(
                    "update \(message.number) is of a kind that this tool does not know; leave out --updates")
            }
            return update
        }
    }
    struct Salvage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a damaged log usable by giving up what cannot be read.",
            discussion: """
                A log of which updates, or their acknowledgements, cannot be read is refused by clients. If there \
                is no copy to restore, this keeps the longest history that can be read, and the damaged file beside it \
                as FILE.damaged-1 and so on. A server that holds the session still refuses such a log as too short \
                (clientBehind) until it has let go of it, or gives what is lost back if the session's kind lets \
                clients adopt its state, which text and json do not. Does nothing to a log that is whole. Refuses one \
                of which nothing can be used.
                """)

        @OptionGroup var log: File
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            do {
                // The last is a salvage that was cut short, which an opening finishes.
                let files = [log.file, log.file + "-wal", log.file + ".salvaged"]
                guard files.contains(where: FileManager.default.fileExists) else {
                    throw CommandError("there is no such file")
                }
                guard files.contains(where: { Self.size($0) > 0 }) else {
                    throw CommandError("empty: there is nothing to salvage")
                }
                let damage = try await SQLiteLog(path: log.file, durability: .disk, whenDamaged: .salvage)
                    .salvage(.swiftCrypto)
                let contents = try SQLiteLogReader(path: log.file).contents()
                if damage != nil, contents.last == .zero {
                    Output.note("recall: no update could be kept: on a server without it the session begins anew")
                }
                let (last, acknowledged) = (contents.last, contents.receipt?.position.number ?? .zero)
                if json {
                    return try Output.line([
                        "damage": damage.map { .string(JSONText($0)) } ?? .null,
                        "updates": .number(JSONNumber(last.rawValue)),
                        "acknowledged": .number(JSONNumber(acknowledged.rawValue)),
                    ])
                }
                try Output.line(damage.map { "salvaged: \($0)" } ?? "nothing is damaged")
                try Output.line("updates: \(last), acknowledged: \(acknowledged)")
            } catch {
                throw LogCommand.explain(error, log.file, isSalvage: true)
            }
        }

        /// Bytes; none if there is no such file, and some if it is no regular one, which is the log's to say.
        private static func size(_ file: String) -> Int {
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: file) else { return 0 }
            guard attributes[.type] as? FileAttributeType == .typeRegular else { return 1 }
            return attributes[.size] as? Int ?? 0
        }
    }
}
