//! Keys and certificates of every kind, as openssl makes them, in the place of ours.

use std::process::Command;

use crate::lab::Lab;
use crate::{client_config, inspect};

/// Whether openssl is there, and did this.
fn openssl(lab: &Lab, line: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(line.split(' ')).current_dir(lab.directory.path());
    command.output().is_ok_and(|done| done.status.success())
}

/// Makes a key with these commands and a certificate of it, in the place of ours; false: not here.
fn ours(lab: &Lab, commands: &[&str]) -> bool {
    let sign = "req -x509 -new -key new.key -subj /CN=x -days 9 -out client.pem";
    let made = commands.iter().chain([&sign]).all(|line| openssl(lab, line));
    if made {
        lab.write("client.key", lab.read("new.key"), 0o600);
    }
    made
}

#[test]
fn each_kind_of_key_that_is_not_taken_is_named_with_what_to_make_instead() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    let mut seen = 0;
    for (command, what, remedy) in [
        ("ecparam -name secp256k1 -genkey -noout -out new.key", "curve secp256k1", "P-256"),
        ("ecparam -name secp256k1 -genkey -out new.key", "curve secp256k1", "P-256"),
        ("ecparam -name brainpoolP256r1 -genkey -noout -out new.key", "brainpoolP256r1", "P-256"),
        ("ecparam -name secp224r1 -genkey -noout -out new.key", "curve P-224", "P-256"),
        (
            "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:brainpoolP384r1 -out new.key",
            "brainpoolP384r1",
            "openssl req -new",
        ),
        (
            "ecparam -name prime256v1 -genkey -noout -param_enc explicit -out new.key",
            "written out",
            "-param_enc named_curve",
        ),
        (
            "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit \
             -out new.key",
            "written out",
            "made anew",
        ),
        ("genpkey -algorithm ed448 -out new.key", "an Ed448 key", "P-256"),
        (
            "genpkey -algorithm rsa-pss -pkeyopt rsa_keygen_bits:2048 -out new.key",
            "an RSA-PSS key",
            "an ordinary RSA key",
        ),
        ("genrsa -out new.key 1024", "1024 bits, which is too short", "P-256"),
        ("genrsa -traditional -out new.key 1024", "1024 bits, which is too short", "P-256"),
    ] {
        if !ours(&lab, &[command]) {
            continue;
        }
        seen += 1;
        let error = client_config(&config).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/client.") && text.contains(what), "{command}: {text}");
        assert!(text.contains("wanted RSA of 2048 to 8192 bits"), "{text}");
        assert!(error.hint().unwrap().contains(remedy), "{command}: {:?}", error.hint());
        // In the place of an authority it is told as well.
        lab.write("both.pem", format!("{}{}", lab.read("ca.pem"), lab.read("client.pem")), 0o644);
        let mut authority = lab.config("broker.plant");
        authority.ca_file = lab.directory.path().join("both.pem");
        authority.identity = None;
        let found = inspect(&authority, std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(found[0].text.contains(what) && found[0].text.contains("certificate 2"));
    }
    assert!(seen > 0 || !openssl(&lab, "version"));
}

#[test]
fn a_certificate_of_a_key_whose_curve_is_written_out_is_told_where_the_key_is_named() {
    let lab = Lab::new();
    let explicit = "ecparam -name prime256v1 -genkey -noout -param_enc explicit -out new.key";
    if !ours(&lab, &[explicit])
        || !openssl(&lab, "ec -in new.key -param_enc named_curve -out n.key")
    {
        return;
    }
    lab.write("client.key", lab.read("n.key"), 0o600);
    let error = client_config(&lab.config("broker.plant")).unwrap_err();
    assert!(error.to_string().contains("certificate 1 in"), "{error}");
    assert!(error.to_string().contains("written out"), "{error}");
    assert!(error.hint().unwrap().contains("has to be made anew"), "{error}");
}

#[test]
fn keys_with_their_parameters_in_front_and_all_kinds_that_are_named_are_taken() {
    let lab = Lab::new();
    for command in [
        "ecparam -name prime256v1 -genkey -out new.key",
        "ecparam -name secp384r1 -genkey -out new.key",
        "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-521 -out new.key",
        "genpkey -algorithm ed25519 -out new.key",
        "genrsa -out new.key 2048",
        "genrsa -traditional -out new.key 3072",
    ] {
        if ours(&lab, &[command]) {
            let taken = client_config(&lab.config("broker.plant"));
            assert!(taken.is_ok(), "{command}: {}", taken.unwrap_err());
        }
    }
}

#[test]
fn what_is_no_key_at_all_is_of_no_kind() {
    use super::*;
    for der in [&b""[..], &[0x30, 0], &[0x30, 3, 2, 1, 0], &[4, 1, 1]] {
        for encoding in [Encoding::Pkcs8, Encoding::Pkcs1, Encoding::Sec1] {
            assert_eq!(Kind::of_private(der, encoding), None, "{der:?}");
        }
        assert_eq!(Kind::of_public(der), None);
    }
    let of = |id| Kind::Other(id).refused(None).unwrap().0;
    assert_eq!(of(&[0x2b, 0x65, 0x71]), "an Ed448 key");
    assert_eq!(of(&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1]), "a DSA key");
    assert_eq!(of(&[0x55, 4]), "a key of the algorithm 2.5.4");
    let bits = |bits| Kind::Rsa { bits }.refused(None);
    assert!(bits(2048).is_none() && bits(8192).is_none());
    assert!(bits(16_384).unwrap().0.contains("16384 bits, which is too long"));
    assert_eq!((bits_of(&[0, 0x80, 0]), bits_of(&[1, 0]), bits_of(&[0])), (16, 9, 0));
}

#[test]
fn other_files_in_the_place_of_each_are_named_with_a_remedy_that_fits_the_place() {
    let lab = Lab::new();
    let config = lab.config("broker.plant");
    let (certificate, key) = (lab.read("client.pem"), lab.read("client.key"));
    let told = |name: &str, content: &[u8]| {
        lab.write("client.pem", &certificate, 0o644);
        lab.write("client.key", &key, 0o600);
        lab.write(name, content, 0o600);
        let error = client_config(&config).unwrap_err();
        format!("{error}: {}", error.hint().unwrap())
    };
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    for (content, what, for_certificate, for_key) in [
        (pem("CERTIFICATE REQUEST"), "a certificate request", "authority made of it", "-keyout"),
        (pem("PKCS7"), "PKCS#7", "openssl pkcs7 -print_certs -in", "no key"),
        (pem("PUBLIC KEY"), "a public key", "authority made for it", "private key that belongs"),
        (
            pem("X509 CRL"),
            "a revocation list",
            "wanted is a certificate",
            "wanted is a private key",
        ),
        (pem("OPENSSH PRIVATE KEY"), "key of OpenSSH", "wanted is a certificate", "ssh-keygen -p"),
        (
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 2\n\nAAAA\n=AAAA\n\
             -----END PGP PUBLIC KEY BLOCK-----\n"
                .to_owned(),
            "a key of OpenPGP",
            "X.509",
            "openssl genpkey",
        ),
        ("ssh-ed25519 AAAA me".to_owned(), "public key of OpenSSH", "authority", "private key"),
        ("<!DOCTYPE html><html>".to_owned(), "a page of the web", "downloaded", "downloaded"),
        ("MIIBaaaa\nbbbb\n".to_owned(), "base64 without", "-BEGIN CERTIFICATE-", "-BEGIN PRIVATE"),
    ] {
        for (file, remedy) in [("client.pem", for_certificate), ("client.key", for_key)] {
            let said = told(file, content.as_bytes());
            assert!(said.contains(what) && said.contains(remedy), "{said}");
            assert!(said.contains(file), "{said}");
        }
        let said = told("ca.pem", content.as_bytes());
        assert!(said.contains(what) && said.contains(for_certificate), "{said}");
        lab.write("ca.pem", lab.authority.pem(), 0o644);
    }
    for magic in [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &[0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2]]
    {
        assert!(told("client.key", magic).contains("a Java key store"));
    }
    assert!(told("client.key", &[0x99, 1, 13, 4, 1]).contains("OpenPGP"));
    assert!(
        told("client.key", pem("EC PARAMETERS").as_bytes()).contains("openssl genpkey -paramfile")
    );
    assert!(told("client.key", pem("DSA PRIVATE KEY").as_bytes()).contains("DSA"));
}
