internal import Crypto
internal import Foundation
internal import NIOCore
internal import NIOPosix

/// Verifies what `Exchange.sealed` sends and answers each read once, written by hand.
enum SealedServer {
    private static let key = SymmetricKey(data: [UInt8](repeating: 5, count: 32))

    final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var pending = ByteBuffer()
        private var chain = HandChain()
        private var unanswered = 0
        private var state = TallyState()

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            pending.writeBuffer(&bytes)
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            var offset = pending.readerIndex
            let end = pending.writerIndex
            var isFalse = false, verified = 0
            pending.withVeryUnsafeBytes { raw in
                while offset + 4 <= end, !isFalse {
                    let size = Int(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                    let length = size == 0 ? 32 : size
                    guard offset + 4 + length <= end else { break }
                    let content = UnsafeRawBufferPointer(rebasing: raw[(offset + 4)..<(offset + 4 + length)])
                    if size == 0 {
                        isFalse = !chain.seal.elementsEqual(content)
                        verified = unanswered
                    } else {
                        chain.add(content)
                        state.count &+= 1
                        state.sum &+= UInt64(content[0])
                        unanswered += 1
                    }
                    offset += 4 + length
                }
            }
            pending.moveReaderIndex(to: offset)
            pending.discardReadBytes()
            guard !isFalse else { return context.close(promise: nil) }
            guard verified > 0 else { return }
            unanswered -= verified
            var answer = context.channel.allocator.buffer(capacity: 36)
            answer.writeInteger(UInt32(verified))
            answer.writeBytes(HMAC<SHA256>.authenticationCode(for: Data(chain.seal), using: SealedServer.key))
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

extension ByteBuffer {
    /// How many messages an answer is for; nil if none is here whole.
    mutating func readSealedAnswer() -> Int? {
        guard readableBytes >= 36, let number: UInt32 = readInteger() else { return nil }
        moveReaderIndex(forwardBy: 32)
        return Int(number)
    }
}
