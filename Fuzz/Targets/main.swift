// One program for all fuzz targets: `recall-fuzz TARGET [libFuzzer's options] [CORPUS …]`, or
// `recall-fuzz seeds DIRECTORY VECTORS` to write the first corpora.

internal import CFuzzer
internal import Foundation

/// What libFuzzer calls. A C function captures nothing, so there is one for each target.
private let targets: [(name: String, run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt)] = [
    ("frames", { fuzz($0, $1, FrameTarget.run) }),
    ("handler", { fuzz($0, $1, HandlerTarget.run) }),
    ("client", { fuzz($0, $1, ClientTarget.run) }),
    ("readers", { fuzz($0, $1, ReaderTarget.run) }),
    ("log", { fuzz($0, $1, LogTarget.run) }),
    ("kinds", { fuzz($0, $1, KindTarget.run) }),
    ("files", { fuzz($0, $1, FileTarget.run) }),
]

private func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int, _ body: ([UInt8]) -> Void) -> CInt {
    body(Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}

private func usage() -> Never {
    print("usage: recall-fuzz \(targets.map(\.name).joined(separator: "|")) [OPTION …] [CORPUS …]")
    print("       recall-fuzz seeds DIRECTORY VECTORS")
    exit(2)
}

guard CommandLine.arguments.count > 1 else { usage() }
let name = CommandLine.arguments[1]
if name == "seeds", CommandLine.arguments.count == 4 {
    try Seeds.write(to: CommandLine.arguments[2], vectors: CommandLine.arguments[3])
} else if let target = targets.first(where: { $0.name == name }) {
    guard recall_single_threaded_sqlite() == 0 else { usage() }
    // The driver reads its options from the arguments after the program's name.
    var arguments: [UnsafeMutablePointer<CChar>?] = ([CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2))
        .map { strdup($0) }
    var count = CInt(arguments.count)
    arguments.append(nil)
    let status = arguments.withUnsafeMutableBufferPointer { buffer in
        var base = buffer.baseAddress
        return LLVMFuzzerRunDriver(&count, &base, target.run)
    }
    exit(status)
} else {
    usage()
}
