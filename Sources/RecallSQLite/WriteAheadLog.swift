/// Looks into SQLite's write-ahead log before SQLite does: from the first frame that does not verify, SQLite drops the
/// rest without a word. That is right for a commit that was never finished, but if a whole commit follows, bytes were
/// damaged.
///
/// Format: sqlite.org/fileformat2.html, section 4.
struct WriteAheadLog {
    private let file: InputFile
    private let size: Int
    private var isBigEndian = false
    private var salts: [UInt8] = []
    private var pageSize = 0
    private var sum: (UInt32, UInt32) = (0, 0)

    /// What is damaged, in a few words; nil if every finished commit can be read. Reads the file once.
    static func damage(_ path: String) -> String? {
        guard let size = FileSystem.size(path), size > headerSize, let file = InputFile(path) else { return nil }
        var log = WriteAheadLog(file: file, size: size)
        guard log.readHeader() else { return "the write-ahead log's header is damaged" }
        return log.readFrames()
    }

    private static let headerSize = 32
    private static let frameHeaderSize = 24

    private init(file: InputFile, size: Int) {
        self.file = file
        self.size = size
    }

    private mutating func readHeader() -> Bool {
        var header = [UInt8](repeating: 0, count: Self.headerSize)
        guard file.read(&header, at: 0) else { return false }
        let magic = Self.word(header, 0)
        pageSize = Int(Self.word(header, 8))
        guard magic & ~1 == 0x377f_0682, (512...65536).contains(pageSize), pageSize & (pageSize - 1) == 0 else {
            return false
        }
        isBigEndian = magic & 1 == 1
        salts = Array(header[16..<24])
        add(header[0..<24])
        return sum == (Self.word(header, 24), Self.word(header, 28))
    }

    private mutating func readFrames() -> String? {
        var frame = [UInt8](repeating: 0, count: Self.frameHeaderSize + pageSize)
        var offset = Self.headerSize
        var firstBad: Int?
        var index = 0
        while offset + frame.count <= size, file.read(&frame, at: offset) {
            index += 1
            offset += frame.count
            // Frames of an earlier round, which SQLite overwrites from the start, have other salts.
            let isCurrent = frame[8..<16].elementsEqual(salts)
            if firstBad == nil {
                add(frame[0..<8])
                add(frame[Self.frameHeaderSize...])
                if !isCurrent || sum != (Self.word(frame, 16), Self.word(frame, 20)) { firstBad = index }
            } else if let firstBad, isCurrent, Self.word(frame, 4) != 0 {
                return "frame \(firstBad) of the write-ahead log is damaged, and commits follow it"
            }
        }
        return nil
    }

    /// SQLite's checksum: two running sums over pairs of 32-bit words, in the byte order that the header names.
    private mutating func add(_ bytes: ArraySlice<UInt8>) {
        var (a, b) = sum
        bytes.withUnsafeBytes { raw in
            // Sound: eight bytes from each offset are within the bounds, which loads check besides.
            for offset in stride(from: 0, to: raw.count & ~7, by: 8) {
                let x = raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                let y = raw.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                a = a &+ (isBigEndian ? UInt32(bigEndian: x) : UInt32(littleEndian: x)) &+ b
                b = b &+ (isBigEndian ? UInt32(bigEndian: y) : UInt32(littleEndian: y)) &+ a
            }
        }
        sum = (a, b)
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
