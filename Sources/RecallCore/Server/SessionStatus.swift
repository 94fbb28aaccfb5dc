/// How a session stands in a handler, for whoever watches or tests it.
package struct SessionStatus: Sendable, Hashable {
    package enum Phase: Sendable, Hashable { case waiting, recalling, live }
    package enum Awaiting: Sendable, Hashable { case nothing, confirmation, outcome, application, adoption }

    package let phase: Phase
    package let awaiting: Awaiting
    package let slot: SlotID
    package let incarnation: Incarnation
    /// Where its client is.
    package let route: (connection: ConnectionID, stream: StreamID)?
    package let hasCopy: Bool
    package let confirmed: Position
    package let head: Position
    /// A confirmed position of a copy that was dropped.
    package let tombstone: Position?

    package static func == (a: Self, b: Self) -> Bool {
        a.phase == b.phase && a.awaiting == b.awaiting && a.slot == b.slot && a.incarnation == b.incarnation
            && a.route?.connection == b.route?.connection && a.route?.stream == b.route?.stream
            && a.hasCopy == b.hasCopy && a.confirmed == b.confirmed && a.head == b.head && a.tombstone == b.tombstone
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(slot)
        hasher.combine(incarnation)
    }
}

extension HandlerMachine {
    /// Nil if the session has no place here.
    package func status(of session: SessionID) -> SessionStatus? {
        guard let place = place(of: session) else { return nil }
        let route = place.route.map { ($0.connection.id, $0.stream) }
        guard let slot = place.working else {
            guard let resting = place as? RestingSession else { return nil }
            return SessionStatus(
                phase: .live, awaiting: .nothing, slot: place.id, incarnation: place.incarnation, route: route,
                hasCopy: true, confirmed: resting.head, head: resting.head, tombstone: nil)
        }
        let phase: SessionStatus.Phase =
            switch slot.phase {
            case .waiting: .waiting
            case .recalling: .recalling
            case .live: .live
            }
        let awaiting: SessionStatus.Awaiting =
            switch slot.awaiting {
            case .nothing: .nothing
            case .confirmation: .confirmation
            case .outcome: .outcome
            case .application: .application
            case .adoption: .adoption
            }
        return SessionStatus(
            phase: phase, awaiting: awaiting, slot: slot.id, incarnation: slot.incarnation,
            route: route, hasCopy: slot.hasInstance,
            confirmed: slot.window.confirmed, head: slot.window.head, tombstone: slot.tombstone)
    }
}
