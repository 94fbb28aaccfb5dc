#if RECALL_PLANTED_BUGS
    /// Mistakes that one could make in the protocol, to be switched on one at a time: the simulator must find each.
    ///
    /// Only in builds for `make bugs`; no other build contains any of this.
    package enum PlantedBug: String, CaseIterable, Sendable {
        /// The caller is told before the acknowledgement is in the log.
        case answerBeforeLogging
        /// An acknowledgement of a stream that was left is taken, as a stale server sends it.
        case staleAckAccepted
        /// A message is sent before it is in the log.
        case sendBeforeLogging
        /// A read is shown before the acknowledgement of what it saw is in the log.
        case readBeforeLogging
        /// An acknowledgement is confirmed before it is in the log.
        case confirmBeforeLogging
        /// Determinants are logged without comparing them with the digest that the receipt covers.
        case determinantsNotCompared
        /// Messages are forgotten up to the new checkpoint, not up to the one before.
        case truncateTooFar
        /// A checkpoint is kept whatever its position is.
        case keepForeignCheckpoint
        /// What was sent and not acknowledged is not sent again after an attach.
        case tailNotResent
        /// What was not acknowledged is dropped when the session is gone.
        case windowLostWhenGone
        /// Confirmations are compared by number only.
        case confirmByNumber
        /// An unconfirmed end of a copy that is not in the log is kept.
        case orphanKept
        /// An effect starts before what it depends on is confirmed.
        case effectBeforeConfirmation
        /// An effect that runs again has another key.
        case effectUnderNewKey
        /// What an effect of a copy that is gone brought is applied to its successor.
        case lateEffectApplied
        /// The newest update is applied again when it comes again.
        case duplicateApplied
        /// A gap recall leaves its first message out.
        case gapOffByOne
        /// Refused updates are applied in a replay.
        case refusalReplayed
        /// The clock that an update read is not recorded.
        case clockNotRecorded
        /// A history's seals are not compared with its receipts.
        case historyNotVerified
        /// A checkpoint's position is not authenticated.
        case checkpointNotBound
        /// Receipts and checkpoints are made under one key for all sessions.
        case keysNotBound
        /// An attach is not bound to the nonce of its connection, so that it can be said again on another.
        case nonceNotBound
        /// Sessions of a retired key live on.
        case retiredKeyServed
        /// A session that rests forgets what was read from outside and what was replied.
        case restForgetsDigests
        /// An update that killed the process several times is tried again.
        case poisonForgotten
        /// A log on a disk that promises to survive a loss of power does not sync.
        case syncForgotten

        // Set before the runs that it is for, never during one.
        package nonisolated(unsafe) static var active: PlantedBug?

        package static func isActive(_ bug: PlantedBug) -> Bool { active == bug }
    }
#endif
