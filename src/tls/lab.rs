//! Certificates that are made for tests, and handshakes in memory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use diagnostic::SecretFile;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::{TlsConfig, TlsIdentity};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A directory with an authority, a client certificate, and a server of the same authority.
pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) authority: Issuer,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let lab = Lab { directory: tempfile::tempdir().unwrap(), authority };
        lab.write("ca.pem", lab.authority.pem(), 0o644);
        let (certificate, key) = lab.issue("client", (2020, 1, 1), (2099, 1, 1));
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", &key, 0o600);
        lab
    }

    pub(crate) fn issue(
        &self,
        name: &str,
        from: (i32, u8, u8),
        to: (i32, u8, u8),
    ) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn config(&self, server_name: &str) -> TlsConfig {
        let path = |name| self.directory.path().join(name);
        TlsConfig {
            ca_file: path("ca.pem"),
            identity: Some(TlsIdentity {
                certificate_file: path("client.pem"),
                key_file: SecretFile::new(path("client.key")),
            }),
            server_name: server_name.to_owned(),
        }
    }

    /// A server that demands a client certificate of this authority.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(name, (2020, 1, 1), (2099, 1, 1));
        self.server_with(&certificate, &key)
    }

    /// A server that shows these, and demands a client certificate of this authority.
    pub(crate) fn server_with(&self, certificates: &str, key: &str) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(
                CertificateDer::pem_slice_iter(certificates.as_bytes())
                    .map(Result::unwrap)
                    .collect(),
                aws_lc_rs::sign::any_supported_type(
                    &PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            ))));
        Arc::new(config)
    }
}

/// Shakes hands in memory; the client dials `dialled`.
pub(crate) fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    dialled: &str,
) -> Result<(), rustls::Error> {
    let dialled = ServerName::try_from(dialled.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, dialled)?;
    let mut server = ServerConnection::new(server)?;
    for _ in 0..10 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

impl Lab {
    /// Runs openssl in the directory; `false`: there is none here.
    pub(crate) fn openssl(&self, line: &str) -> bool {
        let mut command = Command::new("openssl");
        let Ok(done) = command.args(line.split(' ')).current_dir(self.directory.path()).output()
        else {
            return false;
        };
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        true
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    /// Version of a certificate, as people count them.
    pub(crate) fn version(&self, name: &str) -> u8 {
        let der = CertificateDer::from_pem_slice(self.read(name).as_bytes()).unwrap();
        crate::x509::X509::read(&der).unwrap().version
    }
}
