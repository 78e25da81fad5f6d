//! What the halves may not share: a broker, a user, directories.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use config::places::{Relation, relation};
use config::{Address, BrokerConfig, ItConfig, OtConfig};
use diagnostic::{Diagnostic, Diagnostics, SecretFile};
use sandbox::{Layer, UserSpec};

const APART: &str = "nothing that one half writes may be read by the other but the journal, and rights to \
                     a directory hold for all that is inside of it: three directories, none within \
                     another";

/// How long names of brokers are looked up: `check` also runs where nobody answers.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(2);

/// Both halves at one broker, which is no relay between two.
pub(super) fn brokers(
    ot: &OtConfig,
    it_path: &Path,
    it: &ItConfig,
    warnings: &mut Diagnostics,
    errors: &mut Diagnostics,
) {
    let all = |broker: &BrokerConfig| broker.servers.addresses().cloned().collect::<Vec<_>>();
    let (left, right) = (all(&ot.broker), all(&it.broker));
    let found = addresses(&[left.as_slice(), right.as_slice()].concat());
    let (left_found, right_found) = found.split_at(left.len().min(found.len()));
    let mut neighbours = None;
    for (left, left_found) in left.iter().zip(left_found) {
        for (right, right_found) in right.iter().zip(right_found) {
            match nearness((left, left_found), (right, right_found)) {
                Near::Apart => {}
                Near::Neighbours => {
                    neighbours.get_or_insert((left, right));
                }
                Near::Same if ot.sandbox.one_broker && it.sandbox.one_broker => return,
                Near::Same => {
                    let title = format!("both halves use one broker: {}", names(left, right));
                    errors.push(
                        Diagnostic::file_error("C110", it_path, title)
                            .help("the IT half publishes at its broker: it would write where the plant does, over the edge nodes that it mirrors, and IT's hosts would be there, too")
                            .help("where that is meant (a laboratory, one broker with strict access lists), write `[sandbox] waive = [\"one-broker\"]` into both files"),
                    );
                    return;
                }
            }
        }
    }
    if let Some((left, right)) = neighbours {
        let title = format!("both brokers are on one host: {}", names(left, right));
        warnings.push(
            Diagnostic::file_warning("C110", it_path, title)
                .help("that host is a way between OT and IT beside the relay"),
        );
    }
}

/// How near two servers are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Near {
    Apart,
    /// On one host, which isn't this one.
    Neighbours,
    Same,
}

/// With the addresses that were found for each.
fn nearness(left: (&Address, &Vec<SocketAddr>), right: (&Address, &Vec<SocketAddr>)) -> Near {
    // Whoever connects to no address in particular comes to this host.
    let host = |ip: IpAddr| match ip.to_canonical() {
        ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        ip => ip,
    };
    let hosts = |addresses: &[SocketAddr]| -> Vec<IpAddr> {
        addresses.iter().map(|address| host(address.ip())).collect()
    };
    let (left_hosts, right_hosts) = (hosts(left.1), hosts(right.1));
    let one_host = same_name(&left.0.host, &right.0.host)
        || left_hosts.iter().any(|host| right_hosts.contains(host));
    if !one_host {
        return Near::Apart;
    }
    if left.0.port == right.0.port {
        return Near::Same;
    }
    match left_hosts.iter().chain(&right_hosts).all(IpAddr::is_loopback) {
        true => Near::Apart,
        false => Near::Neighbours,
    }
}

fn names(left: &Address, right: &Address) -> String {
    if left == right { format!("`{left}`") } else { format!("`{left}` and `{right}`") }
}

/// Both halves as one user, who may do what either may.
pub(super) fn users(ot: &OtConfig, it_path: &Path, it: &ItConfig, errors: &mut Diagnostics) {
    let (Some(left), Some(right)) = (&ot.sandbox.user, &it.sandbox.user) else { return };
    let waived = |layers: &[Layer]| layers.contains(&Layer::User);
    if (waived(&ot.sandbox.waived) && waived(&it.sandbox.waived)) || !is_same_user(left, right) {
        return;
    }
    let names = match left.user == right.user {
        true => format!("`{}`", left.user),
        false => format!("`{}` and `{}` are the same", left.user, right.user),
    };
    errors.push(
        Diagnostic::file_error("C111", it_path, format!("both halves run as one user: {names}"))
            .help("a half that is taken over could change the other one's state, and read its secrets: `[sandbox] user` names one of its own for each")
            .help("in a laboratory: `[sandbox] waive = [\"user\"]` in both files"),
    );
}

pub(super) fn is_same_user(left: &UserSpec, right: &UserSpec) -> bool {
    if left.user == right.user {
        return true;
    }
    let uid = |spec: &UserSpec| spec.resolve().ok().map(|identity| identity.uid);
    uid(left).is_some_and(|left| uid(right) == Some(left))
}

/// What one half writes where the other one reads or writes, but for the journal.
pub(super) fn directories(ot: &OtConfig, it_path: &Path, it: &ItConfig, errors: &mut Diagnostics) {
    let (ot_state, it_state) =
        (("the OT half's state", &ot.state_dir), ("the IT half's state", &it.state_dir));
    let pairs = [
        (it_state, ot_state),
        (it_state, ("the OT half's journal", &ot.journal.path)),
        (("the journal of the IT half", &it.journal_path), ot_state),
    ];
    for ((left, left_path), (right, right_path)) in pairs {
        let Some(relation) = relation(left_path, right_path) else { continue };
        let states = left_path == &it.state_dir && right_path == &ot.state_dir;
        let shown = (left_path.display(), right_path.display());
        let title = if states && relation == Relation::Same {
            format!("both halves name the same state directory: `{}`", shown.0)
        } else {
            format!("{left} (`{}`) is {} {right} (`{}`)", shown.0, relation.words(), shown.1)
        };
        errors.push(Diagnostic::file_error("C111", it_path, title).help(APART));
    }
}

/// One client certificate for both halves: who has one of them can be the other one, too.
pub(super) fn certificates(
    ot: &OtConfig,
    it_path: &Path,
    it: &ItConfig,
    warnings: &mut Diagnostics,
) {
    let of_ot = ot.broker.tls.as_ref().and_then(|tls| tls.identity.as_ref());
    let of_it = it.broker.tls.as_ref().and_then(|tls| tls.identity.as_ref());
    let (Some(left), Some(right)) = (of_ot, of_it) else {
        return;
    };
    let same = |left: &Path, right: &Path| {
        relation(left, right) == Some(Relation::Same)
            || fs::read(left).ok().is_some_and(|text| fs::read(right).ok() == Some(text))
    };
    let (left_key, right_key) = (left.key_file.path(), right.key_file.path());
    let what = if same(left_key, right_key) {
        "key"
    } else if same(&left.certificate_file, &right.certificate_file) {
        "certificate"
    } else {
        return;
    };
    let title = format!(
        "both halves have one client {what}: `{}` and `{}`",
        left_key.display(),
        right_key.display()
    );
    warnings.push(Diagnostic::file_warning("C111", it_path, title)
        .help("whoever takes one half over has the other one's identity as well: make a key and a certificate for each"));
}

/// What a half reads and must not write: it lies where the half, and whoever takes it over, may write.
pub(super) fn own_directories(
    path: &Path,
    written: &[(&str, &Path)],
    policies: &[&Path],
    trusted: &[&Path],
    (warnings, errors): (&mut Diagnostics, &mut Diagnostics),
) {
    let directory_of = |path: &Path| match path.is_dir() {
        true => path.to_owned(),
        false => path.parent().map_or_else(|| path.to_owned(), Path::to_owned),
    };
    for (what, directory) in written {
        let lies_in = |read: &Path| {
            matches!(
                relation(&directory_of(read), directory),
                Some(Relation::Same | Relation::Inside)
            )
        };
        if let Some(policy) = policies.iter().find(|policy| lies_in(policy)) {
            let title = format!(
                "the policy `{}` lies in the half's own {what}: `{}`",
                policy.display(),
                directory.display()
            );
            errors.push(
                Diagnostic::file_error("C111", path, title)
                    .help("a half may write there: taken over, it would give itself another policy; policies lie where only their owner may write"),
            );
        }
        if let Some(file) = trusted.iter().find(|file| lies_in(file)) {
            let title = format!(
                "`{}` lies in the half's own {what}: `{}`",
                file.display(),
                directory.display()
            );
            let problem = Diagnostic::file_warning("C111", path, title)
                .help("a half may write there: taken over, it would trust whom it likes; certificates and keys lie where it may only read");
            warnings.push(problem);
        }
    }
}

/// A half that stays root.
pub(super) fn root(
    path: &Path,
    user: Option<&UserSpec>,
    waived: &[Layer],
    errors: &mut Diagnostics,
) {
    let Some(user) = user.filter(|_| !waived.contains(&Layer::User)) else { return };
    let is_root = user.user == "root"
        || user.user.parse::<u32>() == Ok(0)
        || user.resolve().is_ok_and(|identity| identity.uid == 0);
    if is_root {
        let title = format!("`[sandbox] user` is root: `{}`", user.user);
        errors.push(
            Diagnostic::file_error("C111", path, title)
                .help("a half gives root up before it reads anything from a network, and doesn't start as root: name a user of its own"),
        );
    }
}

/// Files of a broker's section that a half trusts, or is known by.
pub(super) fn trusted(broker: &BrokerConfig) -> Vec<&Path> {
    let mut files: Vec<&Path> = Vec::new();
    if let Some(tls) = &broker.tls {
        files.push(&tls.ca_file);
        if let Some(identity) = &tls.identity {
            files.extend([identity.certificate_file.as_path(), identity.key_file.path()]);
        }
    }
    let password = broker.credentials.as_ref().and_then(|one| one.password.as_ref());
    files.extend(password.map(SecretFile::path));
    files
}

/// Addresses of servers: those that are written, and those of names, as far as somebody answers.
fn addresses(servers: &[Address]) -> Vec<Vec<SocketAddr>> {
    let written = |address: &Address| -> Option<Vec<SocketAddr>> {
        let ip = match address.host.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) if is_localhost(&address.host) => IpAddr::from([127, 0, 0, 1]),
            Err(_) => return None,
        };
        Some(vec![SocketAddr::new(ip, address.port)])
    };
    let mut found: Vec<_> = servers.iter().map(written).collect();
    let (sender, receiver) = mpsc::channel();
    let unknown = servers.iter().enumerate().zip(&found).filter(|(_, found)| found.is_none());
    let mut asked = 0_usize;
    for ((which, address), _) in unknown {
        asked = asked.saturating_add(1);
        let (sender, host, port) = (sender.clone(), address.host.clone(), address.port);
        // Ends by itself; nobody waits for it longer than below.
        thread::spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            sender.send((which, found.map(Iterator::collect).unwrap_or_default()))
        });
    }
    for _ in 0..asked {
        let Ok((which, addresses)) = receiver.recv_timeout(LOOK_UP_WITHIN) else { break };
        if let Some(place) = found.get_mut(which) {
            *place = Some(addresses);
        }
    }
    found.into_iter().map(Option::unwrap_or_default).collect()
}

/// Host names don't know capitals, nor whether a dot ends them.
fn same_name(left: &str, right: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    plain(left) == plain(right) || (is_localhost(left) && is_localhost(right))
}

fn is_localhost(name: &str) -> bool {
    let plain = name.trim_end_matches('.');
    plain.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use diagnostic::SourceFile;

    use super::*;

    /// What is said of two halves, in a directory of their own.
    fn said(ot: &str, it: &str) -> (String, String) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("journal")).unwrap();
        std::os::unix::fs::symlink("journal", root.path().join("link")).unwrap();
        let source = |name: &str, text: String| SourceFile::new(root.path().join(name), text);
        let text = |address: &str, state: &str, rest: &str| {
            format!(
                "[broker]\n{}\nplaintext = true\n[journal]\npath = \"journal\"\n\
                 [state]\npath = \"{state}\"\n{rest}",
                match address.split_once('+') {
                    None => format!("address = \"{address}\""),
                    Some((one, other)) => format!("addresses = [\"{one}\", \"{other}\"]"),
                }
            )
        };
        let of = |words: &str| -> Vec<String> { words.split('|').map(str::to_owned).collect() };
        let (ot, it) = (of(ot), of(it));
        let ot =
            format!("name = \"n\"\n[policies]\npaths = [\"p\"]\n{}", text(&ot[0], &ot[1], &ot[2]));
        let (ot, _) = OtConfig::check(source("ot.toml", ot)).unwrap();
        let (it, _) = ItConfig::check(source("it.toml", text(&it[0], &it[1], &it[2]))).unwrap();
        let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
        let path = Path::new("it.toml");
        brokers(&ot, path, &it, &mut warnings, &mut errors);
        users(&ot, path, &it, &mut errors);
        directories(&ot, path, &it, &mut errors);
        (warnings.to_string(), errors.to_string())
    }

    #[test]
    fn one_broker_is_an_error_unless_both_say_that_it_is_meant() {
        for (ot, it) in [
            ("broker:1883", "broker:1883"),
            ("broker:1883", "BROKER.:1883"),
            ("localhost:1883", "127.0.0.1:1883"),
            ("localhost:1883", "[::1]:1883"),
            ("localhost:1883", "0.0.0.0:1883"),
            ("127.0.0.1:1883", "[::]:1883"),
            ("10.0.0.7:1883", "[::ffff:10.0.0.7]:1883"),
        ] {
            let both = |ot_rest: &str, it_rest: &str| {
                said(&format!("{ot}|ot|{ot_rest}"), &format!("{it}|it|{it_rest}"))
            };
            let waive = "[sandbox]\nwaive = [\"one-broker\"]";
            for (ot_rest, it_rest) in [("", ""), (waive, ""), ("", waive)] {
                let (warnings, errors) = both(ot_rest, it_rest);
                assert!(errors.contains("both halves use one broker"), "{ot} {it} {errors}");
                assert!(warnings.is_empty(), "{warnings}");
            }
            assert_eq!(both(waive, waive), (String::new(), String::new()), "{ot} {it}");
        }
        let (warnings, errors) = said("10.0.0.7:1883|ot|", "10.0.0.7:2883|it|");
        assert!(warnings.contains("on one host") && errors.is_empty(), "{warnings}{errors}");
        for (ot, it) in
            [("10.0.0.1:1+10.0.0.7:1", "10.0.0.7:1"), ("10.0.0.7:1", "10.0.0.2:1+10.0.0.7:1")]
        {
            let (_, errors) = said(&format!("{ot}|ot|"), &format!("{it}|it|"));
            assert!(errors.contains("both halves use one broker: `10.0.0.7:1`"), "{errors}");
        }
        let none = (String::new(), String::new());
        assert_eq!(said("10.0.0.1:1+10.0.0.2:1|ot|", "10.0.0.3:1+10.0.0.4:1|it|"), none);
        assert_eq!(said("127.0.0.1:1883|ot|", "127.0.0.1:2883|it|"), none);
        assert_eq!(said("10.0.0.7:1883|ot|", "10.0.0.8:1883|it|"), none);
    }

    #[test]
    fn one_user_is_an_error_unless_both_waive_it() {
        let user = |user: &str, rest: &str| format!("[sandbox]\nuser = \"{user}\"\n{rest}");
        let both = |ot: &str, it: &str| {
            said(&format!("10.0.0.7:1|ot|{ot}"), &format!("10.0.0.8:1|it|{it}")).1
        };
        let waive = "waive = [\"user\"]";
        assert!(both(&user("relay", ""), &user("relay", "")).contains("one user: `relay`"));
        assert!(both(&user("root", ""), &user("0", "")).contains("`root` and `0` are the same"));
        assert!(!both(&user("relay", waive), &user("relay", "")).is_empty());
        assert_eq!(both(&user("relay", waive), &user("relay", waive)), "");
        assert_eq!(both(&user("relay-ot", ""), &user("relay-it", "")), "");
        assert_eq!(both(&user("relay", ""), ""), "");
    }

    #[test]
    fn what_a_half_trusts_lies_where_it_may_not_write() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("policies")).unwrap();
        fs::create_dir_all(at("certs")).unwrap();
        fs::create_dir_all(at("journal/deep")).unwrap();
        fs::write(at("policies/a.toml"), "").unwrap();
        let said = |state: &str, policy: &str, ca: &str| {
            let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
            let (state, journal) = (at(state), at("journal"));
            own_directories(
                Path::new("ot.toml"),
                &[("state directory", &state), ("journal", &journal)],
                &[&at(policy)],
                &[&at(ca)],
                (&mut warnings, &mut errors),
            );
            (warnings.len(), errors.len())
        };
        assert_eq!(said("state", "policies", "certs/ca.pem"), (0, 0));
        assert_eq!(said("policies", "policies", "certs/ca.pem"), (0, 1));
        assert_eq!(said("policies", "policies/a.toml", "certs/ca.pem"), (0, 1));
        assert_eq!(said("state", "journal/deep", "certs/ca.pem"), (0, 1));
        assert_eq!(said("certs", "policies", "certs/ca.pem"), (1, 0));
        // A state directory within them gives no right to the files beside it.
        assert_eq!(said("policies/state", "policies", "certs/ca.pem"), (0, 0));
    }

    #[test]
    fn a_half_that_would_stay_root_is_an_error() {
        let said = |user: &str, waived: &[Layer]| {
            let mut errors = Diagnostics::new();
            let user = UserSpec { user: user.to_owned(), group: None };
            root(Path::new("ot.toml"), Some(&user), waived, &mut errors);
            errors.len()
        };
        assert_eq!((said("0", &[]), said("root", &[]), said("00", &[])), (1, 1, 1));
        assert_eq!((said("0", &[Layer::User]), said("relay-ot", &[])), (0, 0));
    }

    #[test]
    fn directories_are_apart_however_they_are_written() {
        let both =
            |ot: &str, it: &str| said(&format!("10.0.0.7:1|{ot}|"), &format!("10.0.0.8:1|{it}|")).1;
        assert_eq!(both("ot", "it"), "");
        for (ot, it, wanted) in [
            ("state", "state", "both halves name the same state directory"),
            ("state", "x/../state", "both halves name the same state directory"),
            ("state", "state/it", "is inside of the OT half's state"),
            ("state/ot", "state", "is around the OT half's state"),
        ] {
            let errors = both(ot, it);
            assert!(errors.contains(wanted), "{ot} {it}: {errors}");
        }
        // Of one half by itself, also before it starts.
        for state in ["journal", "x/../journal", "link", "journal/ot", "."] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("journal")).unwrap();
            std::os::unix::fs::symlink("journal", root.path().join("link")).unwrap();
            let text = format!(
                "[broker]\naddress = \"h:1\"\nplaintext = true\n[journal]\npath = \"journal\"\n\
                 [state]\npath = \"{state}\""
            );
            let found = ItConfig::check(SourceFile::new(root.path().join("it.toml"), text));
            let problems = found.unwrap_err().to_string();
            assert!(problems.contains("the state directory is"), "{state}: {problems}");
        }
    }
}
