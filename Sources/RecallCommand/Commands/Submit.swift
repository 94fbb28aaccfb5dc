internal import Recall
internal import RecallClient
internal import RecallCore

extension SessionClient {
    /// Hands an update over and returns at once; the answer is the task's value. Updates get their places in the order
    /// of the calls: the task runs, before this returns, up to where the client has the message.
    ///
    /// That holds here because this function belongs to no actor. A task that an actor's function starts so does not
    /// run at once, and keystrokes changed places (Swift 6.3, seen in the demonstration without pauses).
    nonisolated func submit(_ content: [UInt8]) -> Task<CallResult, any Error> {
        Task.immediate { try await self.call(content, isRequest: false) }
    }
}
