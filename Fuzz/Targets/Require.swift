/// What must hold. Otherwise the process traps, and the reason is printed, which an optimised `precondition` does not
/// do.
func require(_ condition: Bool, _ reason: @autoclosure () -> String) {
    if !condition { fatalError(reason()) }
}
