extension ClientMachine {
    /// Names a caller for each update that the log held without an answer, oldest first. For a machine that has just
    /// been made: nobody waits for these updates otherwise.
    package mutating func followRecovered(_ name: (SequenceNumber) -> CallID) {
        var number = front.number
        for offset in 0..<tail.count {
            number = number.next
            let call = name(number)
            tail.update(at: offset) { $0.call = call }
        }
    }
}
