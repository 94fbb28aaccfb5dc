#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

enum FileDescriptorOutput {
    /// Past any buffer, for a process that may trap before it flushes.
    static func write(_ text: String) throws {
        var text = text
        text.withUTF8 { bytes in _ = fwriteAll(bytes) }
    }

    private static func fwriteAll(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        #if canImport(Glibc)
            Glibc.write(1, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
            Musl.write(1, bytes.baseAddress, bytes.count)
        #else
            Darwin.write(1, bytes.baseAddress, bytes.count)
        #endif
    }
}
