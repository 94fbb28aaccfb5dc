internal import Recall
internal import RecallCore

/// An update whose effect is out.
final class Performing {
    let session: SessionID
    let number: SequenceNumber
    let seal: Digest

    init(_ call: UpdateCall) { (session, number, seal) = (call.session, call.number, call.seal) }
}

/// One copy of a session as its host holds it: the user's code and the detector that watches it.
///
/// A class, so that it is looked at in place: as a struct it was copied, detector and all, for every event.
final class HostedInstance {
    let hosted: _Hosted
    let incarnation: Incarnation
    var detector: any FailureDetector
    let observesHeard: Bool
    /// True while an entry of the host's due checks is its own.
    var isCheckDue = false
    /// The update whose effect is out. Apart, since most sessions have none at most times.
    var performing: Performing?

    init(_ hosted: _Hosted, _ incarnation: Incarnation, detector: any FailureDetector) {
        (self.hosted, self.incarnation, self.detector) = (hosted, incarnation, detector)
        observesHeard = detector.observesHeard
    }

    /// True if the detector gives the copy up. Signs of life fail nobody; anything else may, at once.
    func observe(_ event: SessionEvent, at now: Instant) -> Bool {
        detector.observe(event, at: now)
        return event.kind != .heard && event.kind != .began && detector.hasFailed(at: now)
    }
}
