//! Every other form is told by what it is.

use std::process::Command;

use super::*;

fn told(bytes: &[u8], wanted: Wanted) -> (&'static str, String) {
    let form = of_file(bytes, Path::new("x.bin"), wanted).unwrap_or_else(|| panic!("{bytes:02x?}"));
    (form.is, form.remedy)
}

#[test]
fn what_openssl_writes_is_told_by_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let done =
            Command::new("openssl").args(line.split(' ')).current_dir(directory.path()).output();
        match done {
            Ok(done) => {
                assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
                true
            }
            Err(_) => false,
        }
    };
    std::fs::write(directory.path().join("index.txt"), "").unwrap();
    let ca = "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\n";
    std::fs::write(directory.path().join("ca.conf"), ca).unwrap();
    let key = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem";
    if !openssl(key) {
        return;
    }
    for line in [
        "req -x509 -new -key k.pem -subj /CN=x -days 9 -out c.pem",
        "x509 -in c.pem -outform der -out c.der",
        "pkey -in k.pem -outform der -out pkcs8.der",
        "ec -in k.pem -outform der -out sec1.der",
        "genrsa -out r.pem 2048",
        "rsa -in r.pem -traditional -outform der -out pkcs1.der",
        "pkcs8 -topk8 -in k.pem -outform der -passout pass:x -out encrypted.der",
        "pkcs12 -export -in c.pem -inkey k.pem -passout pass:x -out both.p12",
        "crl2pkcs7 -nocrl -certfile c.pem -outform der -out c.p7b",
        "req -new -key k.pem -subj /CN=x -outform der -out request.der",
        "pkey -in k.pem -pubout -outform der -out public.der",
        "ca -config ca.conf -gencrl -md sha256 -crldays 9 -keyfile k.pem -cert c.pem -out l.pem",
        "crl -in l.pem -outform der -out list.der",
    ] {
        openssl(line);
    }
    for (file, is, command) in [
        ("c.der", "a certificate in DER", "openssl x509 -inform der -in x.bin"),
        ("pkcs8.der", "a private key in DER", "openssl pkey -inform der -in x.bin"),
        ("sec1.der", "a private key in DER", "openssl pkey -inform der"),
        ("pkcs1.der", "a private key in DER", "openssl pkey -inform der"),
        ("encrypted.der", "an encrypted private key in DER", "openssl pkey -inform der"),
        ("both.p12", "PKCS#12", "openssl pkcs12 -in x.bin -nocerts -nodes"),
        ("c.p7b", "PKCS#7 in DER", "openssl pkcs7 -inform der -print_certs"),
        ("request.der", "a certificate request in DER", "the authority made of it"),
        ("public.der", "a public key in DER", "private key"),
        ("list.der", "a revocation list in DER", "which certificates are void"),
    ] {
        let bytes = std::fs::read(directory.path().join(file)).unwrap();
        let (said, remedy) = told(&bytes, Wanted::Key);
        assert_eq!(said, is, "{file}");
        assert!(remedy.contains(command), "{file}: {remedy}");
    }
}

#[test]
fn other_forms_are_known_by_how_they_begin() {
    assert_eq!(told(b"\xff\xfe-\0-\0", Wanted::Certificate).0, "text in UTF-16");
    assert_eq!(told(&[0xfe, 0xed, 0xfe, 0xed, 0, 0], Wanted::Key).0, "a Java key store");
    let (is, remedy) = told(&[0x30, 0x80, 2, 1, 3, 0x30, 0x80], Wanted::Certificate);
    assert!(is == "PKCS#12" && remedy.contains("-nokeys"), "{remedy}");
    assert!(of_file(b"hello", Path::new("x"), Wanted::Key).is_none());
    assert!(of_file(&[0x30, 3, 2, 1, 7], Path::new("x"), Wanted::Key).is_none());
    assert!(of_file(b"", Path::new("x"), Wanted::Key).is_none());
    for label in ["CERTIFICATE REQUEST", "PKCS7", "OPENSSH PRIVATE KEY", "PUBLIC KEY"] {
        for wanted in [Wanted::Certificate, Wanted::Key] {
            assert!(of_section(label, Path::new("x"), wanted).is_some(), "{label}");
        }
    }
    assert!(of_section("EC PARAMETERS", Path::new("x"), Wanted::Certificate).is_none());
}
