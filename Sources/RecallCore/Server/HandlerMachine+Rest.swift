// Live sessions that nobody uses keep little beside their state: most sessions idle at most times.

extension HandlerMachine {
    /// Sessions that rest.
    package var restingCount: Int { slots.count { $0 is RestingSession } }

    /// Lets live sessions rest that nobody used since `time`. A bounded number a call.
    package mutating func restIdle(since time: Instant, limit: Int = 4096) {
        #if RECALL_PLANTED_BUGS
            if PlantedBug.isActive(.retiredKeyServed) { return }  // its keys could not be derived again
        #endif
        for _ in 0..<limit {
            let next = if let rested { slots[rested.index]?.newer } else { oldest }
            guard let next, let place = slots[next.index], place.lastActive < time else { return }
            // One that is in the middle of something has its next chance when it was used again.
            rested = next
            guard let slot = place.working, let resting = RestingSession(slot) else { continue }
            memoryInUse += resting.countedBytes - slot.counted
            slots[next.index] = resting
        }
    }

    /// Has a session go on where it rested; nil if its key is gone, with which it would have been deleted.
    ///
    /// - Parameter keys: its keys if they were derived already: an HMAC and four HKDFs.
    mutating func wake(_ place: SessionPlace, keys: SessionKeys? = nil) -> SessionSlot? {
        guard let resting = place as? RestingSession, let keys = keys ?? self.keys(of: resting) else { return nil }
        let slot = SessionSlot(waking: resting, keys: keys)
        slots[place.id.index] = slot
        account(slot)
        return slot
    }

    private func keys(of place: SessionPlace) -> SessionKeys? {
        let key = place.session.keyID
        guard let vectorKey = vectorKeys[key], let root = ring.secret(key) else { return nil }
        let identity = SessionIdentity(
            session: place.session, kindName: kinds[place.kind].name, principalHash: place.principal, cryptography)
        let vector = SessionKeys.vector(vectorKey: vectorKey, identity: identity, cryptography)
        return SessionKeys(root: root, vector: vector, cryptography)
    }
}
