// `RecallError.Code`'s constants, `ByteReader` and `ByteWriter` are members of the core's types: whoever declares or
// uses a session needs them, and should not have to know in which module they live.
@_exported public import RecallCore
