import Foundation
import Recall
import RecallCommand
import RecallCore
import RecallServer

/// Files that the tool and its servers read, beside logs: poison files, and packed recordings.
enum FileTarget {
    static func run(_ input: [UInt8]) {
        var script = Script(input)
        if script.flag() { poison(&script) } else { packed(&script) }
    }

    // MARK: Poison files

    private static let path = scratchFolder + "/poison"
    private static let header = Array("recall poison\n".utf8) + [1] + [UInt8](repeating: 0, count: 49)
    private static let places = 1024

    /// A file of any content, used for a while by a server, which then dies: refused with a reason, or what was under
    /// way is what the next server suspects.
    private static func poison(_ script: inout Script) {
        var file = header + [UInt8](repeating: 0, count: 64 * places)
        for _ in 0..<script.number(below: 5) {
            // The places of updates under way are the first 256.
            let place = script.flag() ? script.number(below: 4) : script.integer() % places
            for (offset, byte) in script.string().prefix(64).enumerated() { file[64 * (place + 1) + offset] = byte }
        }
        switch script.number(below: 8) {
        case 0: file[script.number(below: 16)] ^= script.byte()
        case 1: file.removeLast(script.integer() % file.count)
        case 2: file = script.string()
        case 3: file += script.string()
        default: break
        }
        require(FileManager.default.createFile(atPath: path, contents: Data(file)), "no file can be made")
        let underWay: UnderWay
        do throws(RecallError) { underWay = try serve(&script) } catch {
            return require(error.code == .misconfigured, "opening threw \(error)")
        }
        guard let next = try? PoisonMarks(path: path, deaths: 1) else {
            fatalError("the file of a server that died cannot be opened")
        }
        for update in underWay.blamed {
            require(
                next.suspects.contains { $0.isOf(update) && $0.allDeaths > min(update.deaths, 250) },
                "a death was not counted")
        }
        next.end()
    }

    fileprivate struct Update {
        var session: SessionID, number: SequenceNumber, seal: Digest
        /// Those that were known when it began.
        var deaths = 0
    }

    /// What a server was doing when it died.
    private struct UnderWay {
        var applying: Update?
        var effects: [Incarnation: (update: Update, hasOutlived: Bool)] = [:]

        /// The update that was being applied; else the effects that nobody waited for any more; else those that were
        /// out.
        var blamed: [Update] {
            if let applying { return [applying] }
            let outlived = effects.values.filter(\.hasOutlived)
            return (outlived.isEmpty ? Array(effects.values) : outlived).map(\.update)
        }
    }

    /// A server takes the file, uses it, and dies; returns the update that is under way then. To let go of the marks
    /// without `end` is what a death comes to.
    private static func serve(_ script: inout Script) throws(RecallError) -> UnderWay {
        let marks = try PoisonMarks(path: path, deaths: 1 + script.number(below: 3))
        require(marks.suspects.count <= 768, "too many suspects")
        var underWay = UnderWay()
        for _ in 0..<12 where !script.isOver {
            let number = script.number(below: 4)
            // One that the file may know.
            let known = marks.suspects.first.map { Update(session: $0.session, number: $0.number, seal: $0.seal) }
            var update =
                number == 0
                ? known ?? Update(session: SessionID(high: 0, low: 0), number: .zero, seal: Digest())
                : Update(session: SessionID(high: 1, low: 1), number: SequenceNumber(UInt64(number)), seal: Digest())
            update.deaths = marks.suspects.first { $0.isOf(update) }?.allDeaths ?? 0
            let copy = Incarnation(UInt64(script.number(below: 4)))
            switch script.number(below: 8) {
            case 0, 1:
                marks.updateBegins(update.session, update.number, update.seal)
                underWay.applying = update
            case 2:
                marks.updateEnded()
                underWay.applying = nil
            case 3:
                marks.effectBegins(copy, update.session, update.number, update.seal)
                if underWay.effects[copy] == nil { underWay.effects[copy] = (update, false) }
            case 4:
                marks.effectOutlives(copy)
                underWay.effects[copy]?.hasOutlived = true
            case 5:
                marks.effectEnded(copy)
                underWay.effects[copy] = nil
            case 6:
                // A server settles with an update when it has ended.
                marks.updateEnded()
                underWay.applying = nil
                marks.survived(update.session, update.number, update.seal)
                require(!marks.isPoisoned(update.session, update.number, update.seal, isReplay: false), "it survived")
            default: marks.died(update.session, update.number, update.seal)
            }
        }
        return underWay
    }

    // MARK: Packed recordings

    /// "recall, recall, recall", as gzip packs it, and so much of it unpacked.
    private static let plain = Array("recall, recall, recall".utf8)
    private static let gzip: [UInt8] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0x4a, 0x4d, 0x4e, 0xcc, 0xc9,
        0xd1, 0x51, 0x28, 0x42, 0xa1, 0x01, 0x0f, 0x46, 0xd0, 0xa6, 0x16, 0x00, 0x00, 0x00,
    ]

    private static func packed(_ script: inout Script) {
        var file = script.flag() ? gzip : gzip + gzip
        let isOurs = script.flag()
        if isOurs { script.spoil(&file) } else { file = script.string() }
        let limit = script.number(below: 4) == 0 ? script.number(below: 64) : 1 << 16
        do throws(GunzipError) {
            let found = try gunzip(file, limit: limit)
            require(found.count <= limit, "more than the limit was unpacked")
            // Each member has a checksum; in its header anything may stand.
            if isOurs, found.count >= plain.count {
                require(found.starts(with: plain), "something else was unpacked")
            }
        } catch {
            require(!error.description.isEmpty, "no reason was given")
        }
    }
}

extension PoisonMarks.Suspect {
    fileprivate func isOf(_ update: FileTarget.Update) -> Bool {
        session == update.session && number == update.number && seal == update.seal
    }
}
