// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "recall",
    platforms: [.macOS(.v26)],
    products: [
        .library(name: "Recall", targets: ["Recall"]),
        .library(name: "RecallServer", targets: ["RecallServer"]),
        .library(name: "RecallClient", targets: ["RecallClient"]),
        .library(name: "RecallSQLite", targets: ["RecallSQLite"]),
        .library(name: "RecallTesting", targets: ["RecallTesting"]),
        .library(name: "RecallCore", targets: ["RecallCore"]),
        .executable(name: "recall", targets: ["recall"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The protocol, without I/O. Also compiles as Embedded Swift: no dependency, no Foundation.
        .target(name: "RecallCore", swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "RecallCrypto", dependencies: ["RecallCore", .product(name: "Crypto", package: "swift-crypto")]),
        .target(name: "Recall", dependencies: ["RecallCore"]),
        .target(
            name: "RecallServer",
            dependencies: [
                "Recall", "RecallCore", "RecallCrypto",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "RecallClient",
            dependencies: [
                "Recall", "RecallCore", "RecallCrypto",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CAllocator"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "RecallSQLite", dependencies: ["CSQLite", "Recall", "RecallCore", "RecallCrypto"]),
        .target(
            name: "RecallTesting",
            dependencies: [
                "CSQLite", "Recall", "RecallClient", "RecallCore", "RecallCrypto", "RecallServer", "RecallSQLite",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .target(
            name: "RecallCommand",
            dependencies: [
                "CAllocator", "CZlib", "Recall", "RecallClient", "RecallCore", "RecallCrypto", "RecallSQLite",
                "RecallServer", "RecallTesting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        .executableTarget(name: "recall", dependencies: ["RecallCommand"], path: "Sources/Tool"),
        .target(name: "RecallExamples", dependencies: ["Recall"], path: "Examples", exclude: ["Counter"]),
        // What the README shows, and a package of its own in Examples/Counter: built here too, so that it stays true.
        .executableTarget(
            name: "recall-counter", dependencies: ["Recall", "RecallClient", "RecallServer", "RecallSQLite"],
            path: "Examples/Counter/Sources/counter"),
        .testTarget(
            name: "RecallCoreTests",
            dependencies: [
                "RecallCore", "RecallCrypto", "RecallTesting", .product(name: "Crypto", package: "swift-crypto"),
            ], exclude: ["Transcripts"]),
        .testTarget(
            name: "RecallTests",
            dependencies: ["Recall", "RecallCore", "RecallCrypto", "RecallExamples", "RecallTesting"]),
        .testTarget(
            name: "RecallLogTests",
            dependencies: ["CSQLite", "RecallClient", "RecallCore", "RecallCrypto", "RecallSQLite", "RecallTesting"]),
        .testTarget(
            name: "RecallEndToEndTests",
            dependencies: [
                "recall-test-host", "Recall", "RecallClient", "RecallCore", "RecallCrypto", "RecallExamples",
                "RecallSQLite", "RecallServer",
                "RecallTesting", "RecallCommand",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        // A server that tests kill.
        .executableTarget(
            name: "recall-test-host",
            dependencies: [
                "Recall", "RecallCore", "RecallServer", .product(name: "Logging", package: "swift-log"),
            ], path: "Tests/TestHost"),
        // Kills real processes and breaks real connections. It judges the others, so it shares no code with them.
        .systemLibrary(name: "CSpawn", path: "Torture/CSpawn"),
        .executableTarget(
            name: "recall-torture",
            dependencies: [
                "CSpawn", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ], path: "Torture/Sources"),
        .testTarget(
            name: "RecallSimulationTests",
            dependencies: [
                "recall", "Recall", "RecallClient", "RecallCore", "RecallTesting",
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(
            name: "RecallCommandTests",
            dependencies: [
                "recall-counter", "RecallCommand", "Recall", "RecallClient", "RecallCore", "RecallCrypto",
                "RecallSQLite", "RecallTesting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// `make bugs` plants mistakes in a build of its own, to see that the simulator finds them.
if Context.environment["RECALL_PLANTED_BUGS"] == "1" {
    for target in package.targets where target.type != .system {
        target.swiftSettings = (target.swiftSettings ?? []) + [.define("RECALL_PLANTED_BUGS")]
    }
}

// Fuzzers need a toolchain with libFuzzer and flags of their own: `make fuzz` asks for them. Only what is ours is
// instrumented, so that the dependencies need not be built once more.
if Context.environment["RECALL_FUZZ"] == "1" {
    // The fuzzer follows the code that takes bytes from others; each counter elsewhere costs, and tells it nothing.
    let followed = ["Recall", "RecallCommand", "RecallCore", "RecallServer", "RecallSQLite"]
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Fuzz/CFuzzer"),
        .executableTarget(
            name: "recall-fuzz",
            dependencies: [
                "CFuzzer", "Recall", "RecallCommand", "RecallCore", "RecallCrypto", "RecallServer", "RecallSQLite",
                "RecallTesting",
            ],
            path: "Fuzz/Targets",
            // lld, for gold (2.40) fails on the debugging information of an instrumented build.
            linkerSettings: [.unsafeFlags(["-sanitize=address", "-sanitize=fuzzer", "-use-ld=lld"])]),
    ]
    // These only move conversations along: their accesses are checked in the tests.
    let movers = ["RecallTesting", "recall-fuzz"]
    for target in package.targets where target.type != .system {
        let flags =
            ["-sanitize=address"] + (followed.contains(target.name) ? ["-sanitize=fuzzer"] : [])
            + (movers.contains(target.name) ? ["-enforce-exclusivity=unchecked"] : [])
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(flags)]
    }
}

for target in package.targets where target.type != .system {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        ]
}
