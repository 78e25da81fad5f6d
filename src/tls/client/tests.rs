//! TLS from files, against real handshakes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A directory with an authority, a client certificate, and a server of the same authority.
struct Lab {
    directory: tempfile::TempDir,
    authority: Issuer,
}

impl Lab {
    fn new() -> Lab {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let lab = Lab { directory: tempfile::tempdir().unwrap(), authority };
        lab.write("ca.pem", &lab.authority.pem(), 0o644);
        let (certificate, key) = lab.issue("client", (2020, 1, 1), (2099, 1, 1));
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", &key, 0o600);
        lab
    }

    fn issue(&self, name: &str, from: (i32, u8, u8), to: (i32, u8, u8)) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn config(&self, server_name: &str) -> TlsConfig {
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
    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(name, (2020, 1, 1), (2099, 1, 1));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            );
        Arc::new(config.unwrap())
    }
}

/// Shakes hands in memory; the client dials `dialled`.
fn handshake(
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

#[track_caller]
fn refused(config: &TlsConfig, wanted: &str, file: &str) {
    let error = client_config(config).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(wanted), "lacks {wanted:?}: {text}");
    assert!(text.contains(file), "lacks {file:?}: {text}");
    assert!(error.path().unwrap().ends_with(file), "{error:?}");
}

#[test]
fn the_brokers_certificate_must_carry_the_configured_name_whatever_was_dialled() {
    let lab = Lab::new();
    let config = client_config(&lab.config("broker.plant")).unwrap();
    handshake(Arc::clone(&config), lab.server("broker.plant"), "10.10.0.5").unwrap();
    let other = lab.server("other.plant");
    let error = handshake(config, other, "other.plant").unwrap_err();
    assert!(error.to_string().contains("not valid for"), "{error}");
}

#[test]
fn a_broker_of_another_authority_is_refused_and_so_is_our_certificate_there() {
    let (ours, theirs) = (Lab::new(), Lab::new());
    let config = client_config(&ours.config("broker.plant")).unwrap();
    let error = handshake(config, theirs.server("broker.plant"), "broker.plant").unwrap_err();
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    let mut stranger = ours.config("broker.plant");
    stranger.identity = theirs.config("x").identity;
    let config = client_config(&stranger).unwrap();
    assert!(handshake(config, ours.server("broker.plant"), "broker.plant").is_err());
    let mut nobody = ours.config("broker.plant");
    nobody.identity = None;
    let config = client_config(&nobody).unwrap();
    assert!(handshake(config, ours.server("broker.plant"), "broker.plant").is_err());
}

#[test]
fn every_unusable_file_is_named_with_what_is_wrong() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    let (certificate, key) = lab.issue("client", (2020, 1, 1), (2099, 1, 1));

    lab.write("client.key", &key, 0o600);
    refused(&config, "doesn't belong to the certificate in", "client.key");
    lab.write("client.key", "no key here", 0o600);
    refused(&config, "no private key in", "client.key");
    lab.write("client.key", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600);
    refused(&config, "is encrypted", "client.key");
    lab.write(
        "client.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        0o600,
    );
    refused(&config, "is unusable", "client.key");
    lab.write("client.key", "-----BEGIN PRIVATE KEY-----\n§§§\n-----END PRIVATE KEY-----\n", 0o600);
    refused(&config, "not PEM", "client.key");
    lab.write("client.key", &key, 0o640);
    lab.write("client.pem", &certificate, 0o644);
    client_config(&config).unwrap();
    lab.write("client.key", &key, 0o644);
    refused(&config, "secret open to everybody", "client.key");
    lab.write("client.key", &key, 0o600);

    lab.write("client.pem", &key, 0o644);
    refused(&config, "no certificate in", "client.pem");
    lab.write("ca.pem", "", 0o644);
    refused(&config, "no certificate in", "ca.pem");
    lab.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644);
    refused(&config, "certificate 1 in", "ca.pem");
    lab.write("ca.pem", &certificate, 0o666);
    refused(&config, "writable by everybody", "ca.pem");
    fs::remove_file(lab.directory.path().join("ca.pem")).unwrap();
    refused(&config, "no such file or directory (2)", "ca.pem");
}

#[test]
fn a_damaged_key_is_never_quoted() {
    let lab = Lab::new();
    let secret = "-----BEGIN PRIVATE KEY-----\nSECRETSECRET!\n";
    lab.write("client.key", secret, 0o600);
    let error = client_config(&lab.config("broker.plant")).unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("SECRET"), "{error:?}");
}

#[test]
fn validity_is_looked_at_before_the_broker_does() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    // 2026-11-22.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_354_043);
    let finding = |from, to| {
        let (certificate, key) = lab.issue("client", from, to);
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", &key, 0o600);
        inspect(&config, now).map(|findings| findings.into_iter().map(|found| found.text).collect())
    };
    let texts = |found: Result<Vec<String>, TlsError>| found.unwrap().join("; ");
    assert_eq!(texts(finding((2026, 1, 1), (2027, 1, 1))), "");
    assert!(texts(finding((2026, 1, 1), (2026, 12, 1))).contains("expires on 2026-12-01"));
    assert!(texts(finding((2027, 1, 1), (2028, 1, 1))).contains("not valid before 2027-01-01"));
    let error = finding((2025, 1, 1), (2026, 11, 22)).unwrap_err().to_string();
    assert!(error.ends_with("client.pem` expired on 2026-11-22"), "{error}");
}
