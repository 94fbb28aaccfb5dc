internal import NIOSSL

/// A certificate of this run's own, made by `openssl`.
struct Certificate {
    let folder: String

    /// Makes it, in a folder.
    init(folder: String) throws {
        self.folder = folder
        try Programs.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/key.pem",
                "-out", folder + "/certificate.pem",
            ])
    }

    /// One that was made before.
    init(in folder: String) { self.folder = folder }

    var server: TLSConfiguration {
        get throws {
            try .makeServerConfiguration(
                certificateChain: NIOSSLCertificate.fromPEMFile(folder + "/certificate.pem").map { .certificate($0) },
                privateKey: .privateKey(NIOSSLPrivateKey(file: folder + "/key.pem", format: .pem)))
        }
    }

    var client: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(folder + "/certificate.pem")
        return configuration
    }
}
