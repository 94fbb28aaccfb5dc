package import RecallCore

/// One type of message on its way out and its answer on the way back: looked up once, used for many.
///
/// Inlinable, so that a batch of messages is encoded by code that knows their type: without it, the look-ups of the
/// types at run time took longer than everything else that a caller does for a message.
@usableFromInline
package struct MessageCoding<M: Message>: Sendable {
    @usableFromInline let number: UInt8
    /// A read; else an update, with or without an effect.
    @usableFromInline package let isRequest: Bool
    @usableFromInline let limit: Int
    @usableFromInline let codec: any Codec
    @usableFromInline let messages: Coder<M>
    @usableFromInline let replies: Coder<M.Reply>

    @usableFromInline
    init(
        number: UInt8, isRequest: Bool, limit: Int, _ codec: any Codec, _ messages: Coder<M>, _ replies: Coder<M.Reply>
    ) {
        (self.number, self.isRequest, self.limit, self.codec) = (number, isRequest, limit, codec)
        (self.messages, self.replies) = (messages, replies)
    }

    /// The message's content: its number and its bytes. Throws `undecodable` if it has no encoding, `messageTooLarge`
    /// past the limit.
    ///
    /// - Parameter last: a content of about the same length.
    @inlinable
    package func content(of message: M, like last: [UInt8]? = nil) throws(RecallError) -> [UInt8] {
        var writer = ByteWriter(capacity: last?.count ?? 64)
        writer.integer(number)
        do { try messages.encode(message, &writer) } catch { throw Self.unencodable(error) }
        guard writer.bytes.count - 1 <= limit else { throw Self.tooLong(writer.bytes.count - 1, limit) }
        return writer.bytes
    }

    /// What became of a message that was sent: its reply, or what `send` throws.
    @inlinable
    package func result(of result: Result<CallResult, any Error>) -> Result<M.Reply, any Error> {
        switch result {
        case .success(let result): Result { try reply(in: result) }
        case .failure(let error): .failure(error)
        }
    }

    /// The reply; throws the rejection, or why there is neither.
    @inlinable
    package func reply(in result: CallResult) throws -> M.Reply {
        switch result {
        case .reply(let bytes): return try reply(from: bytes.span.bytes)
        case .rejected(let bytes): throw try rejection(from: bytes.span.bytes)
        case .failed(let code, let text): throw RecallError(code, text)
        }
    }

    /// Reads a reply. Throws `undecodable`.
    @inlinable
    package func reply(from bytes: RawSpan) throws(RecallError) -> M.Reply {
        do { return try replies.decode(bytes) } catch { throw Self.undecodable("reply", error) }
    }

    /// Reads a rejection, to be thrown to the caller. Throws `undecodable`.
    @usableFromInline
    package func rejection(from bytes: RawSpan) throws(RecallError) -> M.Rejection {
        do { return try Coder<M.Rejection>.codable(codec).decode(bytes) } catch {
            throw Self.undecodable("rejection", error)
        }
    }

    // Out of line: what goes wrong should not swell what is specialised for each message.

    @usableFromInline static func unencodable(_ error: any Error) -> RecallError {
        RecallError(.undecodable, "\(M.self) does not encode", cause: error)
    }

    @usableFromInline static func undecodable(_ what: String, _ error: any Error) -> RecallError {
        RecallError(.undecodable, "the \(what) to \(M.self) does not decode", cause: error)
    }

    @usableFromInline static func tooLong(_ count: Int, _ limit: Int) -> RecallError {
        RecallError(.messageTooLarge, "\(M.self) takes \(count) bytes; the limit is \(limit)")
    }
}

extension SessionKind {
    /// How a type of message travels. Throws `unknownMessage` if it is not listed.
    @inlinable
    package func coding<M: Message<S.State>>(of type: M.Type) throws(RecallError) -> MessageCoding<M> {
        let (number, isRequest) = try listed(M.self)
        return MessageCoding(
            number: number, isRequest: isRequest, limit: limits.messageBytes, codec, M._message(codec),
            M._reply(codec))
    }

    @usableFromInline
    func listed<M: Message<S.State>>(_ type: M.Type) throws(RecallError) -> (number: UInt8, isRequest: Bool) {
        guard let route = route(of: M.self) else {
            throw RecallError(.unknownMessage, "kind \"\(name)\" does not list \(M.self)")
        }
        return (route.number, route.isRequest)
    }
}
