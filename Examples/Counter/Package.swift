// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "counter",
    dependencies: [.package(name: "recall", path: "../..")],
    targets: [
        .executableTarget(
            name: "counter",
            dependencies: [
                .product(name: "Recall", package: "recall"), .product(name: "RecallServer", package: "recall"),
                .product(name: "RecallClient", package: "recall"), .product(name: "RecallSQLite", package: "recall"),
            ])
    ]
)
