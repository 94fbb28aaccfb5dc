import Foundation
import RecallTesting

/// The first corpora: the frames of the vectors, alone and in the middle of a conversation, and scripts of any kind.
enum Seeds {
    static func write(to folder: String, vectors: String) throws {
        var frames: [[UInt8]] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: vectors).sorted() where name.hasSuffix(".json")
        {
            let data = try Data(contentsOf: URL(filePath: vectors + "/" + name))
            collect(try JSONSerialization.jsonObject(with: data), into: &frames)
        }
        // As a body, and as a piece of a stream.
        try write(frames + frames.map { length($0.count) + $0 }, to: folder + "/frames")
        var random = SeededGenerator(seed: 1)
        for target in ["handler", "client", "readers", "log", "kinds", "files"] {
            let scripts = (0..<200).map { index in random.bytes(8 + index * 2) }
            let short = frames.filter { $0.count < 100 }
            let vectors: [[UInt8]] =
                switch target {
                case "readers": frames.filter { $0.count < 256 }.map { [3, UInt8($0.count)] + $0 }
                // In the middle of a log's file.
                case "log": short.map { [1, 0, 1, 3, UInt8($0.count)] + $0 + random.bytes(4) }
                // As a message, and as a record of a poison file.
                case "kinds": short.map { [0, 5, 0, UInt8($0.count)] + $0 }
                case "files": short.map { [1, 1, 1, 0, UInt8($0.count)] + $0 }
                default: frames.compactMap(conversation)
                }
            try write(scripts + vectors, to: folder + "/" + target)
        }
    }

    /// A script (`Conversation`): one server, one client, some rounds of honest work, then the frame.
    private static func conversation(_ frame: [UInt8]) -> [UInt8]? {
        guard let type = frame.first, frame.count < 256 else { return nil }
        let setUp = [UInt8](repeating: 0, count: 8)
        // A choice among one takes no byte: a send is two, a round is two, and the frame goes on the only connection.
        let honest: [UInt8] = [0, 1, 4, 1, 4, 1, 4, 1]
        let script = setUp + honest + [9, type, UInt8(frame.count - 1)] + frame.dropFirst()
        for side in [Conversation.Side.server, .client] {
            let conversation = Conversation(script, spoiling: side)
            conversation.run()
            require(conversation.injected == [frame], "the script does not say the frame")
        }
        return script
    }

    /// Every hexadecimal string of a vector's file that may be a frame.
    private static func collect(_ value: Any, into frames: inout [[UInt8]]) {
        switch value {
        case let text as String:
            guard let bytes = bytes(text), bytes.count < 4096 else { return }
            frames.append(bytes)
        case let list as [Any]: for item in list { collect(item, into: &frames) }
        case let object as [String: Any]:
            for key in object.keys.sorted() { collect(object[key] as Any, into: &frames) }
        default: break
        }
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count >= 2, digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }

    private static func length(_ count: Int) -> [UInt8] { (0..<4).map { UInt8(count >> (24 - 8 * $0) & 0xff) } }

    private static func write(_ inputs: [[UInt8]], to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (index, input) in inputs.enumerated() {
            try Data(input).write(to: URL(filePath: folder + "/seed-\(index)"))
        }
    }
}
