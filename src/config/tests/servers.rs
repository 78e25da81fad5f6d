//! `[broker] addresses`: several servers of a broker.

use super::*;
use crate::ServerOrder;

const ONE: &str = "address = \"127.0.0.1:1883\"";

/// Of an authority that nobody has the key of.
const CA: &str = "-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUU4buTeCN/7JhDa7nXJ4kRe9TaRMwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDbGFiMCAXDTI2MTEyOTA1MTAyNVoYDzIxMjYxMTA1MDUxMDI1
WjAOMQwwCgYDVQQDDANsYWIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQYpsJi
q+tj//6c4f4Zq5OLSQRtHZ5N0y95tA4XuJA3yx7qF8NqysTVkbeQZvjv4jF9rVui
WOhxi6jWtAGah5Tto1MwUTAdBgNVHQ4EFgQU3/5w3KhVxDOGWry8dRiO5WmPEZow
HwYDVR0jBBgwFoAU3/5w3KhVxDOGWry8dRiO5WmPEZowDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiApJeBl+RFEqcHY98g+gaUWWGm3ctCCgC/ArzO8
UttjkgIhANMRuVEbVLTmQuxpDQ2B6HuF44rp2YY97x88isu7Gmj8
-----END CERTIFICATE-----
";

/// The file with these lines in the place of `address`.
fn with(lines: &str) -> Result<(OtConfig, Diagnostics), Diagnostics> {
    assert!(OT.contains(ONE));
    ot(&OT.replacen(ONE, lines, 1))
}

fn with_tls(lines: &str) -> Diagnostics {
    let text = OT.replacen(ONE, "addresses = [\"a.example:1\", \"10.0.0.2:2\"]", 1);
    ot(&text.replacen("plaintext = true", &format!("tls = {{ {lines} }}"), 1)).unwrap_err()
}

#[test]
fn several_servers_have_an_order_and_a_first_one() {
    let (config, _) = ot(OT).unwrap();
    let servers = &config.broker.servers;
    assert!(!servers.are_several() && !config.share_sessions);
    assert_eq!((servers.order, servers.return_after), (ServerOrder::InOrder, None));
    let all = "addresses = [\"a.example:8883\", \"10.0.0.2:8884\", \"[fd00::5]:8883\"]\n\
               order = \"rotating\"\nreturn-to-first-after-s = 300\nshare-sessions = true";
    let (config, _) = with(all).unwrap();
    let servers = &config.broker.servers;
    assert_eq!(servers.to_string(), "a.example:8883, 10.0.0.2:8884, [fd00::5]:8883");
    assert_eq!(servers.ports(), [8883, 8884]);
    assert!(servers.are_several() && config.share_sessions);
    assert_eq!(servers.order, ServerOrder::Rotating);
    assert_eq!(servers.return_after, Some(Duration::from_secs(300)));
    assert!(servers.iter().all(|server| server.server_name.is_none()), "no TLS");
}

#[test]
fn what_does_not_fit_together_is_named() {
    let plain = "neither encrypted nor authenticated";
    for (lines, wanted) in [
        (
            "address = \"a:1\"\naddresses = [\"b:1\"]",
            "`address` and `addresses` exclude each other",
        ),
        ("addresses = []", "bad number of `addresses`: 0"),
        ("addresses = [\"a:1\", \"a:1\"]", "`a:1` stands twice in `addresses`"),
        ("addresses = [\"a:1\", \"b\"]", "bad value of `addresses`: `b`"),
        ("addresses = \"a:1\"", "wrong type of `broker.addresses`"),
        ("address = \"a:1\"\norder = \"in-order\"", "`order` without `addresses`"),
        ("address = \"a:1\"\nshare-sessions = true", "`share-sessions` without `addresses`"),
        (
            "address = \"a:1\"\nreturn-to-first-after-s = 5",
            "`return-to-first-after-s` without `addresses`",
        ),
    ] {
        assert_all(&with(lines).unwrap_err(), &[wanted, plain]);
    }
    assert_all(&with("").unwrap_err(), &["missing key: `address`", plain]);
    let many: Vec<String> = (1..=17).map(|port| format!("\"a:{port}\"")).collect();
    let many = with(&format!("addresses = [{}]", many.join(", "))).unwrap_err();
    assert_all(&many, &["bad number of `addresses`: 17", plain]);
    let of_it = it(&IT.replacen("[broker]\n", "[broker]\nshare-sessions = true\n", 1)).unwrap_err();
    assert!(of_it.to_string().contains("share-sessions"), "{of_it}");
}

#[test]
fn each_server_has_a_name_in_its_certificate() {
    let none = "ca-file = \"/nowhere/ca.pem\"";
    let lacks = "cannot open `/nowhere/ca.pem`";
    // The file is missing; what is said beside it is about the names.
    assert_all(&with_tls(none), &[lacks]);
    assert_all(&with_tls(&format!("{none}, server-name = \"b.plant\"")), &[lacks]);
    assert_all(&with_tls(&format!("{none}, server-names = [\"a.plant\", \"b.plant\"]")), &[lacks]);
    let few = with_tls(&format!("{none}, server-names = [\"a.plant\"]"));
    assert_all(&few, &["bad number of `server-names`: 1", lacks]);
    let both = with_tls(&format!("{none}, server-name = \"b\", server-names = [\"a\", \"b\"]"));
    assert_all(&both, &["`server-name` and `server-names` exclude each other", lacks]);
    let bad = with_tls(&format!("{none}, server-names = [\"a\", \"b c\"]"));
    assert_all(&bad, &["bad value of `server-names`: `b c`", lacks]);
    let text =
        OT.replacen("plaintext = true", &format!("tls = {{ {none}, server-names = [\"a\"] }}"), 1);
    assert_all(&ot(&text).unwrap_err(), &["`server-names` without `addresses`", lacks]);
}

#[test]
fn the_names_of_a_valid_file_are_the_hosts_or_those_that_are_given() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    fs::write(&file, CA).unwrap();
    let names = |more: &str| {
        let text = OT.replacen(ONE, "addresses = [\"a.example:1\", \"10.0.0.2:2\"]", 1);
        let tls = format!("tls = {{ ca-file = \"{}\"{more} }}", file.display());
        let (config, _) = ot(&text.replacen("plaintext = true", &tls, 1)).unwrap();
        let servers = config.broker.servers;
        servers.iter().filter_map(|server| server.server_name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["a.example", "10.0.0.2"]);
    assert_eq!(names(", server-name = \"b.plant\""), ["b.plant", "b.plant"]);
    assert_eq!(names(", server-names = [\"a.plant\", \"b.plant\"]"), ["a.plant", "b.plant"]);
}
