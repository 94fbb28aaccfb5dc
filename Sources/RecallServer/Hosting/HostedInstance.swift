internal import Recall
internal import RecallCore

/// An update whose effect is out.
final class Performing {
    let session: SessionID
    let number: SequenceNumber
    let seal: Digest

    init(_ call: UpdateCall) { (session, number, seal) = (call.session, call.number, call.seal) }
}

/// The detector that watches an instance: the standard one in place, since most instances have it; another one apart.
private enum Watch {
    case standard(StandardDetector)
    case other(Other)

    final class Other {
        var detector: any FailureDetector
        init(_ detector: any FailureDetector) { self.detector = detector }
    }
}

/// One copy of a session as its host holds it: the user's code and the detector that watches it.
///
/// A class, so that it is looked at in place: as a struct it was copied, detector and all, for every event.
final class HostedInstance {
    let hosted: _Hosted
    let incarnation: Incarnation
    private var watch: Watch
    let observesHeard: Bool
    /// True while an entry of the host's due checks is its own.
    var isCheckDue = false
    /// The update whose effect is out. Apart, since most sessions have none at most times.
    var performing: Performing?

    init(_ hosted: _Hosted, _ incarnation: Incarnation, detector: any FailureDetector) {
        (self.hosted, self.incarnation) = (hosted, incarnation)
        watch = (detector as? StandardDetector).map { .standard($0) } ?? .other(Watch.Other(detector))
        observesHeard = detector.observesHeard
    }

    /// True if the detector gives the copy up. Signs of life fail nobody; anything else may, at once.
    func observe(_ event: SessionEvent, at now: Instant) -> Bool {
        switch watch {
        case .standard(var detector):
            detector.observe(event, at: now)
            watch = .standard(detector)
        case .other(let other): other.detector.observe(event, at: now)
        }
        return event.kind != .heard && event.kind != .began && hasFailed(at: now)
    }

    func hasFailed(at now: Instant) -> Bool {
        switch watch {
        case .standard(let detector): detector.hasFailed(at: now)
        case .other(let other): other.detector.hasFailed(at: now)
        }
    }

    func nextCheck(after now: Instant) -> Instant? {
        switch watch {
        case .standard(let detector): detector.nextCheck(after: now)
        case .other(let other): other.detector.nextCheck(after: now)
        }
    }
}
