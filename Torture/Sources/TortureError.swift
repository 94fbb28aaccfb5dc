/// Why a run cannot go on. What the run finds wrong with the tool is no error of this kind: it goes into the report.
enum TortureError: Error, CustomStringConvertible {
    case cannotStart(program: String, reason: String)
    case noTool(path: String)
    case noPort
    case noFolder(path: String, reason: String)
    case silentServer(reason: String)
    case badVectors(path: String, reason: String)
    case system(call: String, reason: String)
    case unexpected(String)

    var description: String {
        switch self {
        case .cannotStart(let program, let reason): "cannot start \(program): \(reason)"
        case .noTool(let path): "\(path) is no program that can be run: name the recall tool with --recall"
        case .noPort: "found no free port between 15000 and 32000 on 127.0.0.1"
        case .noFolder(let path, let reason): "cannot make the folder \(path): \(reason)"
        case .silentServer(let reason): "a server did not start to listen: \(reason)"
        case .badVectors(let path, let reason): "\(path) has no usable frames (\(reason)): name it with --vectors"
        case .system(let call, let reason): "\(call) failed: \(reason)"
        case .unexpected(let text): text
        }
    }
}
