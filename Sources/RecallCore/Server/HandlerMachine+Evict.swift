// Sessions leave: by a detector's word, for want of room, or because nobody used them. All of it costs a recall at
// most.

extension HandlerMachine {
    /// Bytes that a live session costs beside its state, and one that rests.
    static var slotBytes: Int { 1024 }
    static var restingBytes: Int { 400 }

    /// Deletes a session as a failure detector asks: nothing of this copy is sent any more, and its client is told.
    package mutating func delete(_ session: SessionID, _ host: some SessionHost) {
        guard let place = place(of: session) else { return }
        delete(place, host)
    }

    /// Whose copy that is; nil if the place was left or reused meanwhile.
    package func session(at id: SlotID, _ incarnation: Incarnation) -> SessionID? {
        guard let place = place(id), place.incarnation == incarnation else { return nil }
        return place.session
    }

    /// As above, by place; one that was reused meanwhile is left alone.
    package mutating func delete(_ id: SlotID, _ incarnation: Incarnation, _ host: some SessionHost) {
        guard let place = place(id), place.incarnation == incarnation else { return }
        delete(place, host)
    }

    mutating func delete(_ place: SessionPlace, _ host: some SessionHost) {
        write(to: place) { $0.frame(Gone(stream: $1)) }
        remove(place, host)
        startAdmitted(host)
    }

    /// Deletes idle sessions that nobody used since `time`. A bounded number a call; true if there may be more.
    package mutating func evictIdle(since time: Instant, _ host: some SessionHost, limit: Int = 1024) -> Bool {
        for _ in 0..<limit {
            guard let place = longestUnused, place.lastActive < time else { return false }
            if let slot = place.working, isWanted(slot) {
                touch(slot, time)
            } else {
                delete(place, host)
            }
        }
        return true
    }

    /// Tells every client to go elsewhere and takes no more sessions.
    package mutating func drain() {
        guard !isDraining else { return }
        isDraining = true
        for connection in connections.values.sorted(by: { $0.id.rawValue < $1.id.rawValue }) {
            write(to: connection) { $0.frame(.drain) }
        }
    }

    /// True while a session is in the middle of something that a drain should let finish: what its client waits for,
    /// and an effect that is out though its client has left already, since it would run again elsewhere.
    package var hasWork: Bool {
        slots.contains { slot in
            guard let slot = slot?.working, slot.phase == .live else { return false }
            switch slot.awaiting {
            case .outcome, .application: return true
            case .nothing, .confirmation, .adoption:
                return slot.route != nil && (slot.awaiting != .nothing || !slot.queue.isEmpty)
            }
        }
    }

    /// Deletes sessions whose recall holds a place and whose client has sent nothing of its history since `time`: it
    /// may be alive, but others wait for the place. It attaches again when it goes on.
    package mutating func evictStarved(since time: Instant, _ host: some SessionHost) {
        guard admission.waitingCount > 0 else { return }
        for id in admission.runningSlots {
            guard let slot = working(id), slot.isStarved, let recall = slot.recall, recall.lastProgress < time,
                partialProgress(slot).map({ $0 < time }) ?? true
            else { continue }
            delete(slot, host)
        }
    }

    /// When a part of a frame of history last came on the slot's connection that counts as progress.
    private func partialProgress(_ slot: SessionSlot) -> Instant? {
        slot.route?.connection.lastPart
    }

    /// More bytes of a frame of history that is not whole yet: a slow link needs long for one. 64 KiB of it count as
    /// progress, and not less, or a byte now and then would hold a recall's place.
    package mutating func partArrived(_ id: ConnectionID, byteCount: Int, now: Instant) {
        guard let connection = connections[id] else { return }
        connection.partBytes += byteCount
        guard connection.partBytes >= WireLimits.receiptInterval else { return }
        (connection.partBytes, connection.lastPart) = (0, now)
    }

    /// True while somebody waits for the session who did his part. A client that was asked for its history and sends
    /// nothing is not waited for, nor one that does not read its replies or does not confirm them.
    private func isWanted(_ slot: SessionSlot) -> Bool {
        slot.isBusy && slot.route != nil && !slot.isStarved && !slot.isHeldUp && !awaitsClient(slot)
    }

    /// As above, where a session is to make room for another: a client that was asked for its history a moment ago has
    /// its time to send it. Without it, recalls that find no room would evict each other, and none would end.
    private func isWanted(_ slot: SessionSlot, now: Instant) -> Bool {
        if isWanted(slot) { return true }
        guard slot.route != nil, slot.isStarved, let recall = slot.recall else { return false }
        let last = max(recall.lastProgress, partialProgress(slot) ?? recall.lastProgress)
        // One that nobody asked for may lie behind the attaches of thousands of other sessions.
        let grace = recall.id == .unasked ? 10 * limits.recallGrace : limits.recallGrace
        return last.nanoseconds(to: now) < grace
    }

    private func awaitsClient(_ slot: SessionSlot) -> Bool {
        switch slot.awaiting {
        case .confirmation, .adoption: true
        case .nothing: slot.phase == .live && !hasRoom(slot.window) && slot.matched == slot.window.head.number
        case .outcome, .application: false
        }
    }

    /// Makes room for one more session, if idle ones can go. False if there is none.
    mutating func makeRoom(_ host: some SessionHost) -> Bool {
        let now = host.instant()
        var tries = 64
        while index.count >= limits.sessions || memoryInUse > limits.memory, tries > 0 {
            tries -= 1
            guard let place = longestUnused else { break }
            if let slot = place.working, isWanted(slot, now: now) {
                touch(slot, slot.lastActive)
            } else {
                delete(place, host)
            }
        }
        // Memory is an estimate, so beyond it a session alone is taken on; their number is a bound.
        return index.count < limits.sessions
    }

    /// Deletes the longest unused sessions while all of them take more memory than they may: they grow after they were
    /// taken on. A bounded number a call. The last one stays, however big it is.
    package mutating func evictBeyondMemory(_ host: some SessionHost, limit: Int = 1024) {
        let now = host.instant()
        var tries = limit
        while memoryInUse > limits.memory, index.count > 1, tries > 0 {
            tries -= 1
            guard let place = longestUnused else { return }
            if let slot = place.working, isWanted(slot, now: now) {
                touch(slot, slot.lastActive)
            } else {
                delete(place, host)
            }
        }
    }

    // MARK: Accounts

    func estimate(_ slot: SessionSlot) -> Int {
        Self.slotBytes + slot.debt.checkpointBytes + slot.debt.bytes + slot.window.bytes + slot.queue.bytes
            + (slot.recall?.heldBytes ?? 0)
    }

    /// The sum of what all sessions cost, counted anew; `memoryInUse` must not differ.
    package var recountedMemory: Int {
        var bytes = 0
        for case let place? in slots { bytes += place.working.map { estimate($0) } ?? place.countedBytes }
        return bytes
    }

    mutating func account(_ slot: SessionSlot) {
        let bytes = estimate(slot)
        memoryInUse += bytes - slot.counted
        slot.counted = bytes
    }

    mutating func account(_ slot: SessionSlot, adding bytes: Int) {
        memoryInUse += bytes
        slot.counted += bytes
    }

    // MARK: Least recently used order, a list through the slots

    private var longestUnused: SessionPlace? { oldest.flatMap { slots[$0.index] } }

    /// Moves a session to the newest end.
    mutating func touch(_ place: SessionPlace, _ now: Instant) {
        place.lastActive = now
        if rested == place.id { rested = place.older }
        guard newest != place.id else { return }
        unlink(place)
        link(place)
    }

    mutating func link(_ place: SessionPlace) {
        place.older = newest
        place.newer = nil
        if let newest { slots[newest.index]?.newer = place.id }
        newest = place.id
        if oldest == nil { oldest = place.id }
    }

    mutating func unlink(_ place: SessionPlace) {
        if rested == place.id { rested = place.older }
        if let newer = place.newer { slots[newer.index]?.older = place.older } else { newest = place.older }
        if let older = place.older { slots[older.index]?.newer = place.newer } else { oldest = place.newer }
        (place.newer, place.older) = (nil, nil)
    }
}
