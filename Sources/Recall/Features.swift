// A misspelt upcoming feature is silently off, and some of this module's guarantees depend on them (where an effect
// runs, which imports a user sees). So their absence is an error.
#if !hasFeature(ExistentialAny)
    #error("ExistentialAny is off")
#endif
#if !hasFeature(MemberImportVisibility)
    #error("MemberImportVisibility is off")
#endif
#if !hasFeature(InternalImportsByDefault)
    #error("InternalImportsByDefault is off")
#endif
#if !hasFeature(NonisolatedNonsendingByDefault)
    #error("NonisolatedNonsendingByDefault is off")
#endif
