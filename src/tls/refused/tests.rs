//! Each kind of certificate that is refused, shown by a real server.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use crate::lab::{Lab, handshake};
use crate::{client_config, explain};

/// What a server with these is refused for.
#[track_caller]
fn told(lab: &Lab, certificates: &str, key: &str) -> String {
    let config = client_config(&lab.config("localhost")).unwrap();
    let server = lab.server_with(certificates, key);
    let error = handshake(config, server, "localhost").unwrap_err();
    let text = explain(&error, "the broker");
    for word in ["Other", "Error", "Error(", "UnknownIssuer", "ContextSpecific", "::"] {
        assert!(!text.contains(word), "{text}");
    }
    text
}

/// A certificate of the lab's authority.
fn issued(lab: &Lab, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "mosquitto");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &lab.authority).unwrap().pem(), key.serialize_pem())
}

#[track_caller]
fn contains(text: &str, wanted: &[&str]) {
    for word in wanted {
        assert!(text.contains(word), "lacks {word:?}: {text}");
    }
}

#[test]
fn a_certificate_without_the_name_is_told_with_the_names_that_it_has() {
    let lab = Lab::new();
    let (certificate, key) = issued(&lab, |params| params.subject_alt_names.clear());
    contains(
        &told(&lab, &certificate, &key),
        &["has no subjectAltName", "common name `mosquitto`", "subjectAltName=DNS:"],
    );
    let (certificate, key) = issued(&lab, |params| {
        *params =
            CertificateParams::new(vec!["a.plant".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    });
    contains(
        &told(&lab, &certificate, &key),
        &["is of `a.plant`, `10.0.0.1`, wanted: `localhost`"],
    );
}

#[test]
fn a_wrong_purpose_and_an_unknown_extension_are_named() {
    let lab = Lab::new();
    let (certificate, key) = issued(&lab, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    contains(
        &told(&lab, &certificate, &key),
        &["isn't for servers", "is clientAuth;", "serverAuth"],
    );
    let (certificate, key) = issued(&lab, |params| {
        let mut odd = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions = vec![odd];
    });
    contains(&told(&lab, &certificate, &key), &["critical extension that isn't known (1.2.3.4)"]);
}

#[test]
fn hosts_are_told_as_what_they_are_and_what_is_wanted_is_never_cut_off() {
    use rcgen::SanType;
    let lab = Lab::new();
    let dialled = |sans: Vec<SanType>, wanted: &str| {
        let (certificate, key) = issued(&lab, |params| params.subject_alt_names = sans);
        let config = client_config(&lab.config(wanted)).unwrap();
        let error = handshake(config, lab.server_with(&certificate, &key), wanted).unwrap_err();
        explain(&error, "the broker")
    };
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let address = dialled(vec![dns("10.0.0.1")], "10.0.0.1");
    contains(&address, &["has `10.0.0.1` as a DNS name", "subjectAltName=IP:10.0.0.1"]);
    let mail = SanType::Rfc822Name("a@plant".try_into().unwrap());
    let uri = SanType::URI("https://plant".try_into().unwrap());
    let odd = dialled(vec![mail, dns("a.plant"), uri], "b.plant");
    contains(&odd, &["is of `a.plant`, wanted: `b.plant`"]);
    let many = (0..60).map(|host| dns(&format!("{}-{host}.plant", "x".repeat(50)))).collect();
    let many = dialled(many, "b.plant");
    contains(&many, &[" and 57 more, wanted: `b.plant`"]);
    assert!(many.len() < 256, "{many}");
}

#[test]
fn the_brokers_own_certificate_in_place_of_its_authority_is_told_as_that() {
    let lab = Lab::new();
    let (certificate, key) = issued(&lab, |_| {});
    lab.write("ca.pem", &certificate, 0o644);
    let text = told(&lab, &certificate, &key);
    contains(&text, &["stands in `ca-file` itself", "where that of the authority `"]);
}

#[test]
fn an_intermediate_authority_of_the_wrong_purpose_is_named() {
    let lab = Lab::new();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Line 4 issuing");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issuing =
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &lab.authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuing).unwrap();
    let text = told(&lab, &format!("{}{}", own.pem(), issuing.pem()), &key.serialize_pem());
    contains(&text, &["signed by `Line 4 issuing`, which may not sign for servers", "clientAuth"]);
    // What is to be done is within what an event keeps, however long the names are.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "y".repeat(60));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &other).unwrap();
    let text = told(&lab, &own.pem(), &key.serialize_pem());
    contains(&text, &["`ca-file` is another's, or an intermediate authority isn't shown"]);
    assert!(text.len() <= 256, "{}: {text}", text.len());
}

#[test]
fn an_authority_is_no_server() {
    let lab = Lab::new();
    let (certificate, key) =
        issued(&lab, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    contains(&told(&lab, &certificate, &key), &["is an authority's (CA:TRUE", "of its own"]);
}

#[test]
fn who_signed_it_is_named_and_what_is_missing() {
    let lab = Lab::new();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Line 4 issuing");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let middle = params.clone().signed_by(&key, &lab.authority).unwrap();
    let issuing = CertifiedIssuer::signed_by(params, key, &lab.authority).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuing).unwrap();
    let pem = own_key.serialize_pem();
    contains(
        &told(&lab, &own.pem(), &pem),
        &["signed by `Line 4 issuing`", "neither in `ca-file` (there: `", "intermediate authority"],
    );
    // With it all is well; only we aren't who that server wants.
    let config = client_config(&lab.config("localhost")).unwrap();
    let both = format!("{}{}", own.pem(), middle.pem());
    handshake(config, lab.server_with(&both, &pem), "localhost").unwrap();

    let mut alone = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    alone.distinguished_name.push(DnType::CommonName, "mosquitto");
    let alone = alone.self_signed(&own_key).unwrap();
    contains(&told(&lab, &alone.pem(), &pem), &["is self-signed", "isn't in `ca-file`"]);
    // Another authority of the same name.
    let other = Lab::new();
    let (certificate, key) = other.issue("localhost", (2020, 1, 1), (2099, 1, 1));
    contains(
        &told(&lab, &certificate, &key),
        &["another key than that of", "older or a newer one"],
    );
}

#[test]
fn a_chain_that_ends_at_an_expired_certificate_names_that_one() {
    let lab = Lab::new();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Line 4 issuing");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let issuing =
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &lab.authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuing).unwrap();
    let both = format!("{}{}", own.pem(), issuing.pem());
    contains(
        &told(&lab, &both, &key.serialize_pem()),
        &["signed by `Line 4 issuing`, whose own certificate expired on 2021-01-01"],
    );
}

#[test]
fn what_openssl_still_makes_and_nobody_should_use_is_told_by_what_it_is() {
    let lab = Lab::new();
    if !lab.openssl("version") {
        return;
    }
    lab.write("san.cnf", "subjectAltName=DNS:localhost\n", 0o644);
    lab.write("authority.key", lab.authority.key().serialize_pem(), 0o600);
    for (kind, make) in [("ec", "ecparam -name prime256v1 -genkey -noout"), ("small", "genrsa")] {
        let size = if kind == "small" { " 1024" } else { "" };
        lab.openssl(&format!("{make} -out {kind}.key{size}"));
        lab.openssl(&format!("req -new -key {kind}.key -subj /CN=localhost -out {kind}.csr"));
    }
    let sign = "-CA ca.pem -CAkey authority.key -CAcreateserial -days 9";
    lab.openssl(&format!("x509 -req -in ec.csr {sign} -sha1 -extfile san.cnf -out sha1.pem"));
    contains(
        &told(&lab, &lab.read("sha1.pem"), &lab.read("ec.key")),
        &["is signed with SHA-1", "SHA-256"],
    );
    // OpenSSL makes a certificate without extensions one of version 1.
    lab.openssl(&format!("x509 -req -in ec.csr {sign} -sha256 -out v1.pem"));
    if lab.version("v1.pem") == 1 {
        contains(
            &told(&lab, &lab.read("v1.pem"), &lab.read("ec.key")),
            &["is X.509 version 1", "subjectAltName"],
        );
    }
    // An authority with a small key.
    lab.openssl("req -x509 -new -key small.key -subj /CN=Old -sha256 -days 9 -out old.pem");
    lab.openssl(
        "x509 -req -in ec.csr -CA old.pem -CAkey small.key -CAcreateserial -days 9 -sha256 \
         -extfile san.cnf -out ofsmall.pem",
    );
    let server = lab.server_with(&lab.read("ofsmall.pem"), &lab.read("ec.key"));
    lab.write("ca.pem", lab.read("old.pem"), 0o644);
    let config = client_config(&lab.config("localhost")).unwrap();
    let error = handshake(config, server, "localhost").unwrap_err();
    contains(
        &explain(&error, "the broker"),
        &["signed by `Old` with an RSA key of 1024 bits", "2048"],
    );
}
