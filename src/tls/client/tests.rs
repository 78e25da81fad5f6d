//! TLS from files, against real handshakes.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::*;
use crate::lab::{Lab, handshake};

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
    assert!(error.to_string().contains("wanted: `broker.plant`"), "{error}");
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
    lab.write("client.key", key.replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600);
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
fn hints_fit_what_is_there_and_what_is_wanted() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    let (certificate, key) = (lab.read("client.pem"), lab.read("client.key"));
    let hint = |name: &str, content: &str| {
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", &key, 0o600);
        lab.write(name, content, 0o600);
        client_config(&config).unwrap_err().hint().unwrap()
    };
    assert!(hint("client.pem", &key).contains("holds a private key: are `certificate-file` and"));
    assert!(
        hint("client.key", &certificate).contains("holds a certificate: are `certificate-file`")
    );
    assert_eq!(hint("client.pem", " \n"), "the file is empty");
    let cut = hint("client.key", key.get(..60).unwrap());
    assert!(!cut.contains("CERTIFICATE") && cut.contains("PKCS#8"), "{cut}");
    assert!(hint("client.pem", "text").contains("BEGIN CERTIFICATE"));
    let ssh = hint("client.key", &key.replace("PRIVATE", "OPENSSH PRIVATE"));
    assert!(ssh.contains("openssl genpkey -algorithm ed25519"), "{ssh}");
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

#[test]
fn only_our_own_certificate_must_be_valid_and_another_one_is_named() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    // 2026-11-22.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_354_043);
    let (old, _) = lab.issue("cross", (2020, 1, 1), (2026, 11, 1));
    let own = lab.read("client.pem");
    lab.write("client.pem", format!("{own}{old}"), 0o644);
    let found = inspect(&config, now).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let text = &found[0].text;
    assert!(text.starts_with("certificate 2 (`rcgen self signed cert`) in `"), "{text}");
    assert!(text.contains("expired on 2026-11-01: a broker that needs it refuses ours"), "{text}");
    assert!(found[0].path.ends_with("client.pem"));
    // A renewal judges in the same way.
    let material = Material::read_valid(&config, now).unwrap();
    let ends = ends(&material);
    assert_eq!(ends.iter().map(|end| end.is_behind_own).collect::<Vec<_>>(), [false, true, false]);
    assert!(ends[1].certificate.ends_with("client.pem, certificate 2 (`rcgen self signed cert`)"));
    handshake(client_config(&config).unwrap(), lab.server("broker.plant"), "broker.plant").unwrap();
    // Ours is refused, whatever stands behind it.
    let (ours, key) = lab.issue("client", (2020, 1, 1), (2026, 11, 1));
    lab.write("client.pem", format!("{ours}{own}"), 0o644);
    lab.write("client.key", key, 0o600);
    let error = inspect(&config, now).unwrap_err().to_string();
    assert!(error.ends_with("client.pem` expired on 2026-11-01"), "{error}");
    assert!(Material::read_valid(&config, now).is_err());
}

#[test]
fn certificates_of_another_kind_are_told() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_354_043);
    let found = || inspect(&config, now).unwrap();
    assert_eq!(found(), []);
    let issue = |purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &lab.authority).unwrap().pem();
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", key.serialize_pem(), 0o600);
        certificate
    };
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    for (purposes, told) in [
        (&[][..], false),
        (std::slice::from_ref(&client), false),
        (&[server.clone(), client.clone()], false),
        (&[ExtendedKeyUsagePurpose::Any], false),
        (std::slice::from_ref(&server), true),
    ] {
        issue(purposes);
        let found = found();
        assert_eq!(found.len(), usize::from(told), "{purposes:?}: {found:?}");
        let text = "is for serverAuth alone: a broker that looks at that refuses it";
        assert!(found.iter().all(|one| one.text.contains(text)), "{found:?}");
    }
    // Exchanged with our own; then both in one file.
    let leaf = issue(&[]);
    let ca = lab.read("ca.pem");
    lab.write("ca.pem", &leaf, 0o644);
    let alone = found();
    assert!(alone[0].text.starts_with("certificate in `"), "{alone:?}");
    assert!(alone[0].text.contains("ca.pem` is no authority's"), "{alone:?}");
    lab.write("ca.pem", format!("{ca}{leaf}"), 0o644);
    let both = found();
    assert_eq!(both.len(), 1, "{both:?}");
    assert!(both[0].text.starts_with("certificate 2 (`leaf`) in `"), "{both:?}");
}
