//! `sparkdiode doctor` with planted faults: each is named in one line, with what to do about it.

mod peer;

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use peer::{Peer, faults};
use prost::Message as _;
use rcgen::date_time_ymd;
use sparkplug::Payload;

use super::tls::Authority;
use crate::relay::is_root;
use crate::waiting::now_ms;

const POLICY: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"Plant\"\n";
const WAIVED: &str = "[sandbox]\nwaive = [\"user\"]\n";

/// Both halves' files, with brokers that have nothing wrong unless a test says so.
struct Lab {
    dir: tempfile::TempDir,
    ot: String,
    it: String,
}

/// Where nothing listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Lab {
    fn new(ot: SocketAddr, it: SocketAddr) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("policy.toml"), POLICY).unwrap();
        fs::create_dir(dir.path().join("journal")).unwrap();
        let broker = |address| {
            format!("[broker]\naddress = \"{address}\"\nplaintext = true\nconnect-timeout-s = 1\n")
        };
        let rest =
            |state| format!("[journal]\npath = \"journal\"\n[state]\npath = \"{state}\"\n{WAIVED}");
        let policies = "[policies]\npaths = [\"policy.toml\"]\n";
        let ot = format!("name = \"r\"\n{}{policies}{}", broker(ot), rest("ot"));
        let ot = ot.replace("[state]", "retain-bytes = 268435456\n[state]");
        let it = format!("{}{}[mirror]\n", broker(it), rest("it"));
        Lab { dir, ot, it }
    }

    /// With a good IT broker.
    fn of_ot(ot: SocketAddr) -> Lab {
        Lab::new(ot, Peer::default().listen())
    }

    /// `[broker.tls]` of the OT half: whom it trusts, and who made its own certificate.
    fn tls(mut self, trusted: &Authority, own: &Authority, name: &str) -> Lab {
        let file = |authority: &Authority, name: &str| authority.path(name).display().to_string();
        let tls = format!(
            "[broker.tls]\nca-file = \"{}\"\ncertificate-file = \"{}\"\nkey-file = \"{}\"\n\
             server-name = \"{name}\"\n",
            file(trusted, "ca.pem"),
            file(own, "client.pem"),
            file(own, "client.key")
        );
        self.ot = self.ot.replace("plaintext = true\n", "");
        self.ot = self.ot.replace("[policies]", &format!("{tls}[policies]"));
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, files: &[&str]) -> (Option<i32>, String) {
        fs::write(self.path("ot.toml"), &self.ot).unwrap();
        fs::write(self.path("it.toml"), &self.it).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
            .args(["doctor", "--listen", "1"])
            .args(files)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    }

    /// One fault of this subject is found, in one line with these words and, behind `do:`, that remedy.
    #[track_caller]
    fn finds(&self, files: &[&str], subject: &str, words: &[&str], remedy: &str) {
        let (code, said) = self.run(files);
        assert_eq!(code, Some(1), "{said}");
        assert!(faults(&said).contains(subject), "{subject}:\n{said}");
        let line = said.lines().find(|line| {
            let is_fault = line.starts_with("  FAULT") && line.contains(&format!(" {subject} "));
            is_fault && words.iter().all(|words| line.contains(words))
        });
        let line = line.unwrap_or_else(|| panic!("no line with {words:?}:\n{said}"));
        let (_, todo) = line.split_once("; do: ").unwrap_or_else(|| panic!("no remedy: {line}"));
        assert!(todo.contains(remedy), "{remedy}: {line}");
    }
}

#[test]
fn where_nothing_is_wrong_no_fault_is_found_and_nothing_is_left_behind() {
    let data = Payload { timestamp: Some(now_ms()), seq: Some(0), ..Payload::default() };
    let messages = vec![("spBv1.0/Plant/NDATA/E".to_owned(), data.encode_to_vec())];
    let ot = Peer { messages, ..Peer::default() }.listen();
    let lab = Lab::of_ot(ot);
    let (code, said) = lab.run(&["ot.toml", "it.toml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(faults(&said).is_empty(), "{said}");
    for words in [
        "  ok     kernel       enforces landlock-files, landlock-tcp, landlock-scopes, seccomp",
        "  ok     names        `127.0.0.1` is 127.0.0.1",
        " takes connections",
        "the broker lets us in",
        "the broker grants 6 subscriptions",
        "the broker let 20 sessions stand at once",
        "1 edge node sent data meanwhile",
        "the times of 3 messages from there are 0.",
        "/journal` can be read",
        "they belong together",
        "\nno fault; ",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    assert!(!lab.path("ot").exists() && !lab.path("it").exists(), "it made directories");
    let (code, said) = lab.run(&["policy.toml"]);
    assert_eq!(code, Some(64), "{said}");
}

#[test]
fn faults_of_files_are_named() {
    let good = Peer::default().listen();
    let lab = || Lab::of_ot(good);
    let ot = &["ot.toml"][..];
    let mut wrong = lab();
    wrong.ot = wrong.ot.replace("address", "adress");
    wrong.finds(ot, "file", &["ot.toml:3:1", "unknown key: `adress`"], "did you mean `address`");
    lab().finds(&["none.toml"], "file", &["cannot open `none.toml`"], "");
    let policy = lab();
    fs::write(policy.path("policy.toml"), POLICY.replace("forward", "foward")).unwrap();
    policy.finds(ot, "policy", &["policy.toml:3:", "`foward`"], "did you mean `forward`");
    let mut secret = lab();
    secret.ot = secret.ot.replace("plaintext", "user = \"u\"\npassword-file = \"pw\"\nplaintext");
    secret.finds(ot, "file", &["cannot open `", "/pw`: no such file"], "make the file");
    fs::write(secret.path("pw"), "secret").unwrap();
    fs::set_permissions(secret.path("pw"), Permissions::from_mode(0o644)).unwrap();
    secret.finds(ot, "file", &["pw", "0644"], "chmod");
    let mut journal = lab();
    journal.ot = journal.ot.replace("path = \"journal\"", "path = \"none/journal\"");
    let words = &["/none/journal` isn't there, and the half can't make it"];
    journal.finds(ot, "journal", words, "install -d -m 2750 -o ");
    let unread = lab();
    fs::remove_dir(unread.path("journal")).unwrap();
    unread.finds(&["it.toml"], "journal", &["/journal` isn't there"], "start the OT half");
    let state = lab();
    fs::write(state.path("ot"), "").unwrap();
    state.finds(ot, "state", &["/ot` is no directory"], "install -d -m 0750 -o ");
    let mut metrics = lab();
    metrics.ot.push_str("[metrics]\ntextfile = \"none/there/ot.prom\"\n");
    metrics.finds(ot, "metrics", &["/none/there` isn't there"], "install -d -m 0755 -o ");
    let mut disk = lab();
    disk.ot = disk.ot.replace("= 268435456", "= 1125899906842624");
    disk.finds(ot, "disk", &["may grow to 1024.0 TiB"], "`retain-bytes` of at most ");
    let mut log = lab();
    log.ot.push_str("[[syslog]]\nto = \"udp\"\naddress = \"no-such-host.invalid:514\"\n");
    log.finds(ot, "log", &["no-such-host.invalid"], "sparkdiode events --send");
}

#[test]
fn faults_of_users_and_of_both_halves_beside_each_other_are_named() {
    let (left, right) = (Peer::default().listen(), Peer::default().listen());
    let lab = || Lab::new(left, right);
    let both = &["ot.toml", "it.toml"][..];
    let mut one = lab();
    one.it = one.it.replace(&right.to_string(), &left.to_string());
    one.finds(both, "halves", &["both halves use one broker"], "");
    let mut state = lab();
    state.it = state.it.replace("path = \"it\"", "path = \"ot\"");
    state.finds(both, "halves", &["the same state directory"], "");
    if !is_root() {
        return;
    }
    let own = |lab: &mut Lab| {
        lab.ot = lab.ot.replace(WAIVED, "[sandbox]\nuser = \"64001\"\ngroup = \"64001\"\n");
        lab.it = lab.it.replace(WAIVED, "[sandbox]\nuser = \"64002\"\ngroup = \"64002\"\n");
        fs::set_permissions(lab.dir.path(), Permissions::from_mode(0o755)).unwrap();
    };
    let mut lab = lab();
    own(&mut lab);
    lab.finds(&["ot.toml"], "state", &["can't make it"], "install -d -m 0750 -o 64001 -g 64001 ");
    let words = &["/journal` can't be written by uid 64001"];
    lab.finds(both, "journal", words, "install -d -m 2750 -o 64001 -g 64002 /");
    fs::set_permissions(lab.path("journal"), Permissions::from_mode(0o700)).unwrap();
    lab.finds(&["it.toml"], "journal", &["can't be read by uid 64002"], "chgrp 64002 /");
    fs::set_permissions(lab.path("policy.toml"), Permissions::from_mode(0o666)).unwrap();
    lab.finds(&["ot.toml"], "policy", &["policy.toml", "0666"], "chmod");
    lab.ot = lab.ot.replace("\"64001\"\ngroup", "\"nobody-here\"\ngroup");
    lab.finds(&["ot.toml"], "user", &["unknown user: `nobody-here`"], "useradd --system");
}

#[test]
fn faults_on_the_way_to_a_broker_are_named() {
    let ot = &["ot.toml"][..];
    let mut name = Lab::of_ot(nobody());
    let address = name.ot.lines().find(|line| line.starts_with("address")).unwrap().to_owned();
    name.ot = name.ot.replace(&address, "address = \"no-such-host.invalid:1883\"");
    name.finds(ot, "names", &["cannot resolve `no-such-host.invalid`"], "getent hosts");
    Lab::of_ot(nobody()).finds(ot, "tcp", &["connection refused"], "start the broker");
    let of = |peer: Peer| Lab::of_ot(peer.listen());
    let listeners = "compare `address` and `[broker.tls]` with the broker's listeners";
    let silent = Peer { is_silent: true, ..Peer::default() };
    of(silent.clone()).finds(ot, "session", &["1 s", "port"], listeners);
    let ends = Peer { ends: true, ..Peer::default() };
    of(ends.clone()).finds(ot, "session", &["before any answer to our CONNECT"], listeners);
    let says = |words| Peer { says: Some(words), ..Peer::default() };
    let http = says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    of(http.clone()).finds(ot, "session", &["HTTP"], listeners);
    of(says(&[0x15, 3, 3, 0, 2, 2, 40])).finds(ot, "session", &["TLS: that port wants"], listeners);
    let ca = Authority::new("plant");
    let shown = "openssl s_client -connect 127.0.0.1:";
    let tls = |peer: Peer| Lab::of_ot(peer.listen()).tls(&ca, &ca, "localhost");
    tls(silent).finds(ot, "tls", &["no TLS handshake within 1 s", "not a byte came"], shown);
    tls(ends).finds(ot, "tls", &["there is no TLS at that port"], shown);
    tls(http).finds(ot, "tls", &["no TLS there", "HTTP, as web servers speak it"], shown);
    tls(says(b"SSH-2.0-OpenSSH_9.2p1\r\n")).finds(ot, "tls", &["SSH, as remote shells do"], shown);
    tls(says(&[0x20, 2, 0, 0])).finds(ot, "tls", &["MQTT without TLS"], shown);
}

#[test]
fn each_of_several_servers_is_visited() {
    let (good, gone) = (Peer::default().listen(), nobody());
    let mut lab = Lab::of_ot(good);
    let one = format!("address = \"{good}\"");
    let several = format!("addresses = [\"{gone}\", \"nobody.invalid:1\", \"{good}\"]");
    assert!(lab.ot.contains(&one));
    lab.ot = lab.ot.replacen(&one, &several, 1);
    let ot = &["ot.toml"][..];
    lab.finds(ot, "names", &["cannot resolve `nobody.invalid`"], "getent hosts");
    lab.finds(ot, "tcp", &[&format!("{gone}: "), "connection refused"], "start the broker");
    let (_, said) = lab.run(ot);
    assert!(said.contains(&format!("{good}: the broker lets us in")), "{said}");
    assert_eq!(faults(&said).len(), 2, "{said}");
}

#[test]
fn faults_of_certificates_are_named() {
    let ot = &["ot.toml"][..];
    let shown = "mend what is named there";
    let ca = Authority::new("plant");
    let of = |own: &Authority| Lab::of_ot(Peer::with_tls(own, Some(own)).listen());
    let (code, said) = of(&ca).tls(&ca, &ca, "localhost").run(ot);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the broker is `localhost`, by an authority of `ca-file`"), "{said}");
    let expired = Authority::with_broker_until("old", (2020, 2, 2));
    let lab = of(&expired).tls(&expired, &expired, "localhost");
    lab.finds(ot, "tls", &["the broker's certificate expired on 2020-02-02"], shown);
    let early = Authority::with_broker("new", |broker| {
        broker.not_before = date_time_ymd(2990, 1, 1);
        broker.not_after = date_time_ymd(2999, 1, 1);
    });
    let lab = of(&early).tls(&early, &early, "localhost");
    lab.finds(ot, "tls", &["is not valid before 2990-01-01"], shown);
    let lab = of(&ca).tls(&ca, &ca, "broker.plant.example");
    lab.finds(ot, "tls", &["wanted: `broker.plant.example`"], shown);
    let other = Authority::new("other");
    of(&ca).tls(&other, &ca, "localhost").finds(ot, "tls", &["isn't"], shown);
    // Who asks for a client certificate says so in TLS 1.3 behind the handshake.
    let lab = of(&ca).tls(&ca, &other, "localhost");
    lab.finds(ot, "session", &["doesn't accept our certificate"], "`[broker.tls]`");
    let mut none = of(&ca).tls(&ca, &ca, "localhost");
    let lines = none.ot.lines();
    let own = |line: &&str| !line.starts_with("certificate-file") && !line.starts_with("key-file");
    none.ot = lines.filter(own).map(|line| format!("{line}\n")).collect();
    none.finds(ot, "session", &["asks for a client certificate"], "`[broker.tls]`");
    let mut mixed = of(&ca).tls(&ca, &ca, "localhost");
    let (key, wrong) = (ca.path("client.key"), ca.path("broker.key"));
    mixed.ot = mixed.ot.replace(key.to_str().unwrap(), wrong.to_str().unwrap());
    mixed.finds(ot, "file", &["key"], "");
    let soon = Authority::with_broker_for("soon", std::time::Duration::from_secs(5 * 86_400));
    let (code, said) = of(&soon).tls(&soon, &soon, "localhost").run(ot);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("  look   tls          the broker's certificate ends in "), "{said}");
}

#[test]
fn what_a_broker_refuses_is_named() {
    let ot = &["ot.toml"][..];
    let of = |peer: Peer| Lab::of_ot(peer.listen());
    let refusing = |connack| of(Peer { connack, ..Peer::default() });
    let login = "compare `user` and `password-file` with the broker's users";
    refusing(4).finds(ot, "session", &["CONNACK 4", "bad user name or password"], login);
    refusing(5).finds(ot, "session", &["CONNACK 5", "not authorised"], login);
    refusing(1).finds(ot, "session", &["CONNACK 1", "protocol version"], login);
    refusing(2).finds(ot, "session", &["CONNACK 2", "identifier"], "client-id-form = \"short\"");
    refusing(3).finds(ot, "session", &["CONNACK 3", "server unavailable"], "limit of connections");
    let (code, said) = of(Peer { short_ids: true, ..Peer::default() }).run(ot);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("takes short client identifiers alone"), "{said}");
    let list = "sparkdiode policy acl";
    let refuses = of(Peer { refuses: Some("/DDATA/"), ..Peer::default() });
    refuses.finds(ot, "rights", &["refuses 1 subscription of 6", "/DDATA/"], list);
    let ends = of(Peer { ends_at_subscribe: true, ..Peer::default() });
    ends.finds(ot, "rights", &["the broker ended the connection at it"], list);
    let few = Peer { most: Some(3), ..Peer::default() };
    let lab = Lab::new(Peer::default().listen(), few.listen());
    let words = &["the broker let 3 sessions stand at once, of 20 tried", "server unavailable"];
    lab.finds(&["it.toml"], "sessions", words, "max_connections");
    let old = Payload { timestamp: Some(now_ms() - 3_600_000), ..Payload::default() };
    let messages = vec![("spBv1.0/Plant/NDATA/E".to_owned(), old.encode_to_vec())];
    let late = of(Peer { messages, ..Peer::default() });
    late.finds(ot, "clock", &["1 h 0 min behind this machine's clock"], "timedatectl");
}

#[test]
fn credentials_that_systemd_alone_hands_over_are_no_fault() {
    let mut lab = Lab::of_ot(nobody());
    lab.ot = lab.ot.replace(
        "plaintext = true\n",
        "user = \"u\"\npassword-file = \"${CREDENTIALS_DIRECTORY}/ot_password\"\nplaintext = true\n",
    );
    let (_, said) = lab.run(&["ot.toml"]);
    let wanted = "; do: sparkdiode-tool ot doctor /";
    assert!(said.contains(wanted), "{said}");
    assert!(!faults(&said).contains("tcp"), "{said}");
}
