/// What must hold. Otherwise the reason is printed, which an optimised `precondition` does not do, and the process traps.
func require(_ condition: Bool, _ reason: @autoclosure () -> String) {
    if !condition { fatalError(reason()) }
}
