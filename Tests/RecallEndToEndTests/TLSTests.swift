import Foundation
import NIOSSL
import Recall
import RecallClient
import RecallCore
import RecallServer
import RecallTesting
import Testing

@Suite struct TLSTests {
    /// Two self-signed certificates for 127.0.0.1, made for these tests.
    private static func makeCertificate(_ scratch: Scratch, _ name: String) throws -> (
        certificate: String, key: String
    )? {
        let (certificate, key) = (scratch.file("\(name).pem"), scratch.file("\(name).key"))
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/env")
        openssl.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-subj", "/CN=\(name)", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out",
            certificate,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        return openssl.terminationStatus == 0 ? (certificate, key) : nil
    }

    @Test(.timeLimit(.minutes(1))) func rightAndWrongAuthority() async throws {
        let scratch = try Scratch()
        guard let right = try Self.makeCertificate(scratch, "right"),
            let wrong = try Self.makeCertificate(scratch, "wrong")
        else {
            print("SKIPPED: TLS; the openssl command is missing or failed")
            return
        }
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(right.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: right.key, format: .pem)))
        func trusting(_ certificate: String) throws -> TLSConfiguration {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(certificate))
            return configuration
        }
        let configuration = ClientConfiguration.quick
        var impatient = configuration
        impatient.openTimeout = .milliseconds(500)
        let authenticate: Authentication = { $0.isEmpty ? nil : $0 }
        try await withServer(TestServer(Counter(), Blob(), tls: tls, authenticate: authenticate)) { server in
            let log = MemoryLog()
            for host in ["127.0.0.1", "localhost"] {
                let client = try await SessionClient<Counter>.open(
                    at: .tcp(host, server.port, tls: try trusting(right.certificate)), log: log,
                    configuration: configuration, logger: .silent)
                let total = try await client.send(Counter.Total())
                let replies = try await client.send(contentsOf: (0..<500).map { _ in Counter.Add(amount: 1) })
                #expect(replies.last == total + 500)
                try await server.restart()
                #expect(try await client.send(Counter.Add(amount: -500)) == total)
                await client.close()
            }
            let blob = try await SessionClient<Blob>.open(
                at: .tcp("127.0.0.1", server.port, tls: try trusting(right.certificate)), log: .memory,
                configuration: configuration, logger: .silent)
            #expect(try await blob.send(Blob.Put([UInt8](repeating: 1, count: 1 << 20))) == 1)
            #expect(try await blob.send(Blob.Get(count: 1 << 20)).bytes.count == 1 << 20)
            await blob.close()
            // A server that cannot show who it is, and one that is spoken to in the clear, are no servers.
            try await withServer(TestServer(Counter(), Blob(), authenticate: authenticate)) { plain in
                for (endpoint, reason) in [
                    (
                        Endpoint.tcp("127.0.0.1", server.port, tls: try trusting(wrong.certificate)),
                        "certificate is not one that is trusted here"
                    ),
                    (.tcp("127.0.0.1", plain.port, tls: try trusting(right.certificate)), "does not speak TLS"),
                    (server.endpoint, "one with TLS where none was asked for"),
                ] {
                    let error = await #expect(throws: RecallError.self) {
                        _ = try await SessionClient<Counter>.open(
                            at: endpoint, log: .memory, configuration: impatient, logger: .silent)
                    }
                    #expect(error?.code == .unreachable)
                    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
                }
            }
        }
    }
}
