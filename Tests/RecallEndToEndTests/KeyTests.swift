import Logging
import NIOCore
import NIOPosix
import RecallCore
import RecallServer
import Testing

/// Keys that change while something is under way.
@Suite struct KeyTests {
    /// What a server writes. Stays on its loop.
    private final class Recorder: PeerTransport {
        var bytes: [UInt8] = []
        func write(_ buffer: ByteBuffer) { bytes += buffer.readableBytesView }
        func resumeReading() {}
        func close() {}
    }

    /// The handler had the new key a moment before its loop: a session begun in between was named under a key that the
    /// loop did not hold, and refused for good. `recall simulate` found it.
    @Test func aSessionBegunWhileKeysRotateIsIssued() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let handler = try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter())
        let run = try await HandlerRun.start(handler, on: loop, logger: .silent)
        let types = try await loop.submit {
            let recorder = Recorder()
            let peer = run.accept(recorder)
            var ring = handler.keys
            ring.rotate(to: KeyID(2), secret: Digest([UInt8](repeating: 9, count: 32)) ?? Digest())
            handler.keys = ring
            var writer = ByteWriter()
            writer.frame(ClientHello())
            writer.frame(Initiate(stream: StreamID(1), kindVersion: 1, kindName: Array("counter".utf8)))
            peer.received(ByteBuffer(bytes: writer.bytes))
            peer.batchEnded()
            return Self.types(recorder.bytes)
        }.get()
        await run.stop()
        #expect(types == [0x41, 0x42])
    }

    /// Names that were given under an earlier key were listed as the newest key's.
    @Test func previousKeysAreThoseThatWereGiven() throws {
        let handler = try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter())
        for _ in 0..<3 { _ = handler.nextKey() }
        var ring = handler.keys
        ring.rotate(to: KeyID(2), secret: Digest([UInt8](repeating: 9, count: 32)) ?? Digest())
        handler.keys = ring
        #expect(Array(handler.previousKeys) == [])
        let names = [handler.nextKey(), handler.nextKey()]
        #expect(Array(handler.previousKeys) == names)
        // Back to the first key: what it named is known, and no name is given twice.
        ring.rotate(to: KeyID(1), secret: testSecret)
        handler.keys = ring
        let next = handler.nextKey()
        #expect(Array(handler.previousKeys).count == 4 && Array(handler.previousKeys).last == next)
    }

    /// Of two rings that were set at once the handler kept one and its loop the other.
    @Test func ofTwoRingsThatAreSetAtOnceOneStays() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let handler = try SessionHandler(keys: KeyRing(secret: testSecret), hosting: Counter())
        let run = try await HandlerRun.start(handler, on: loop, logger: .silent)
        let rings = (1...2).map { KeyRing(id: KeyID(UInt16($0)), secret: testSecret) }
        for _ in 0..<500 {
            await withTaskGroup(of: Void.self) { group in
                for ring in rings { group.addTask { handler.keys = ring } }
            }
            let issued = try await loop.submit {
                let recorder = Recorder()
                let peer = run.accept(recorder)
                var writer = ByteWriter()
                writer.frame(ClientHello())
                writer.frame(Initiate(stream: StreamID(1), kindVersion: 1, kindName: Array("counter".utf8)))
                peer.received(ByteBuffer(bytes: writer.bytes))
                peer.batchEnded()
                // The last frame begins with its length, type and stream, and the key's number follows.
                return recorder.bytes.suffix(4 + 1 + 4 + 16 + 32).dropFirst(9).prefix(2).reduce(0) { $0 << 8 | Int($1) }
            }.get()
            #expect(issued == handler.keys.newest.map { Int($0.rawValue) })
        }
        await run.stop()
    }

    /// The types of the frames in some bytes.
    private static func types(_ bytes: [UInt8]) -> [UInt8] {
        var types: [UInt8] = []
        var rest = bytes[...]
        while rest.count > 4 {
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            types += rest.dropFirst(4).prefix(1)
            rest = rest.dropFirst(4 + length)
        }
        return types
    }
}
