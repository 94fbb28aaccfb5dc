internal import Foundation

/// What a process has of the machine's memory, in kilobytes.
struct ServerMemory: Sendable {
    /// Resident, with the program's own files.
    var resident: Int
    /// Of it what the process has made itself.
    var anonymous: Int

    init(of process: Int32) throws(TortureError) {
        let path = "/proc/\(process)/status"
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .system(call: "reading \(path)", reason: "the server has ended")
        }
        var values: [Substring: Int] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard fields.count >= 2, let value = Int(fields[1]) else { continue }
            values[fields[0].dropLast()] = value
        }
        guard let resident = values["VmRSS"], let anonymous = values["RssAnon"] else {
            throw .system(call: "reading \(path)", reason: "it names no memory")
        }
        (self.resident, self.anonymous) = (resident, anonymous)
    }

    /// Percent by which the resident set is larger later.
    func growth(to later: ServerMemory) -> Double { Double(later.resident - resident) * 100 / Double(resident) }

    var text: String { "\(resident) kB (its own \(anonymous) kB)" }
}
