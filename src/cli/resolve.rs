//! `sparkdiode resolve`: the name of a broker becomes addresses, for a half that is sealed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use broker::{AddressFile, MAX_ADDRESSES, usable};
use clap::Args;
use config::{Address, AddressesPath, BrokerAt};
use diagnostic::file::os_error;

use super::addresses::file_of;
use super::lookup::resolve;
use super::{Exit, Failure, report};

/// Look up the name of a half's broker, and keep its addresses where the sealed half reads them.
///
/// A half that is sealed can ask no name server. This command can: run as another user and with nothing
/// that is the half's, it writes the addresses of `[broker] address` into `[broker] addresses-file` (of each of `addresses`
/// into a file of its own, with the name behind the path), which
/// the half looks at every second, and at once on SIGHUP; its next connections are made to them. Of the
/// configuration it reads these keys alone. Exits with 0 if each name has an address, changed or
/// not, and with 74 if not: then the file stays as it was.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode resolve --config /etc/sparkdiode/it.toml\n  \
                        systemctl enable --now sparkdiode-resolve@it.timer   # every five minutes")]
pub(super) struct ResolveArgs {
    /// Configuration file of the half: `ot.toml` or `it.toml`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &ResolveArgs) -> Result<Exit, Failure> {
    let BrokerAt { servers, addresses_file } = BrokerAt::load(&arguments.config)?;
    let Some(path) = addresses_file else {
        let place = arguments.config.display();
        let message = format!("no `[broker] addresses-file` in `{place}`: nobody would read them");
        return Err(Failure::new(Exit::Config, message)
            .hint("addresses-file = \"/var/lib/sparkdiode/it-names/broker\"")
            .hint(
                "without that key the name is looked up at each start of the half, and then only",
            ));
    };
    let mut done = Vec::new();
    let mut failed = None;
    for address in servers {
        // Another port of the same host is in the same file.
        if done.contains(&address.host) {
            continue;
        }
        // One name that has no address now is no reason not to look up the others.
        if let Err(failure) = look_up(&address, &path) {
            failed.get_or_insert(failure);
        }
        done.push(address.host);
    }
    failed.map_or(Ok(Exit::Ok), Err)
}

/// Looks up the name of one server.
fn look_up(address: &Address, path: &AddressesPath) -> Result<(), Failure> {
    let Some(file) = file_of(address, Some(path)) else {
        return report::output(&format!("`{}` is an address: nothing to look up\n", address.host));
    };
    let found = hosts(address)?;
    let before = file.read().ok();
    let text = AddressFile::text(&address.host, &found, clock::wall());
    replace(file.path(), text.as_bytes())?;
    // What the half would say of it: a directory that others may write, say.
    let now = file.read().map_err(|error| {
        let failure = Failure::new(Exit::Config, format!("written, and of no use: {error}"));
        error.hint().into_iter().fold(failure, Failure::hint)
    })?;
    report::output(&said(&address.host, before.as_deref(), &now))
}

/// What came of it, in one line.
fn said(host: &str, before: Option<&[SocketAddr]>, now: &[SocketAddr]) -> String {
    let list = |addresses: &[SocketAddr]| {
        let mut list: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
        list.sort();
        list.join(" ")
    };
    let is = list(now);
    match before.map(list) {
        Some(was) if was == is => format!("{host}: {is}, as before\n"),
        Some(was) => format!("{host}: {is}; before: {was}\n"),
        None => format!("{host}: {is}\n"),
    }
}

/// The addresses of a name at which somebody can be reached, each once.
fn hosts(address: &Address) -> Result<Vec<IpAddr>, Failure> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut unusable = Vec::new();
    for host in resolve(address)?.iter().map(|found| found.ip().to_canonical()) {
        match usable(host) {
            Ok(()) if found.contains(&host) => {}
            Ok(()) => found.push(host),
            Err(what) => unusable.push(format!("{host}, {what}")),
        }
    }
    if found.is_empty() {
        let what = unusable.join("; ");
        let message = format!("`{}` has no address of one host: {what}", address.host);
        return Err(Failure::new(Exit::Io, message));
    }
    found.truncate(MAX_ADDRESSES);
    Ok(found)
}

/// Puts another file in its place, as a whole.
fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |verb: &str, path: &Path, error: &io::Error| {
        let message = format!("cannot {verb} `{}`: {}", path.display(), os_error(error));
        Failure::new(Exit::Io, message)
    };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // What an earlier run that was ended has left.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &new, &error));
        }
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new);
    let mut file = made.map_err(|error| failed("make", &new, &error))?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| failed("write", &new, &error))?;
    fs::rename(&new, path).map_err(|error| failed("replace", path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn run_with(directory: &Path, text: &str) -> Result<Exit, String> {
        let config = directory.join("it.toml");
        fs::write(&config, text).unwrap();
        run(&ResolveArgs { config }).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn what_is_written_is_what_a_half_reads() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = "[broker]\naddress = \"localhost:8883\"\naddresses-file = \"names\"\n";
        let path = directory.path().join("names");
        // As an earlier run has left it that was ended.
        fs::write(directory.path().join("names.new"), "half").unwrap();
        assert_eq!(run_with(directory.path(), text), Ok(Exit::Ok));
        let found = AddressFile::new(&path, "localhost", 8883).read().unwrap();
        assert!(found.iter().all(|one| one.ip().is_loopback() && one.port() == 8883), "{found:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert!(!directory.path().join("names.new").exists());
    }

    #[test]
    fn a_name_that_has_no_address_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names");
        fs::write(&path, "as it was").unwrap();
        let text = "[broker]\naddress = \"nobody.invalid:1\"\naddresses-file = \"names\"\n";
        let failure = run_with(directory.path(), text).unwrap_err();
        assert!(failure.contains("cannot resolve `nobody.invalid`"), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
        let failure = run_with(directory.path(), "[broker]\naddress = \"b:1\"\n").unwrap_err();
        assert!(failure.contains("no `[broker] addresses-file`"), "{failure}");
        let address = text.replace("nobody.invalid", "192.0.2.1");
        assert_eq!(run_with(directory.path(), &address), Ok(Exit::Ok), "nothing to look up");
        assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
    }

    #[test]
    fn of_several_servers_each_name_has_a_file_and_one_without_an_address_is_no_reason_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let text = "[broker]\naddresses = [\"nobody.invalid:1\", \"192.0.2.1:1\", \"localhost:1\", \
                    \"localhost:2\"]\naddresses-file = \"names\"\n";
        let failure = run_with(directory.path(), text).unwrap_err();
        assert!(failure.contains("cannot resolve `nobody.invalid`"), "{failure}");
        let path = directory.path().join("names.localhost");
        for port in [1, 2] {
            let found = AddressFile::new(&path, "localhost", port).read().unwrap();
            assert!(found.iter().all(|one| one.port() == port), "{found:?}");
        }
        let made: Vec<_> = fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(made.len(), 2, "that and the configuration: {made:?}");
    }

    #[test]
    fn it_says_what_changed() {
        let at = |host: &str| SocketAddr::new(host.parse().unwrap(), 1);
        let (one, two) = (at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(said("b", None, &[one]), "b: 192.0.2.1\n");
        assert_eq!(
            said("b", Some(&[two, one]), &[one, two]),
            "b: 192.0.2.1 192.0.2.2, as before\n"
        );
        assert_eq!(said("b", Some(&[two]), &[one]), "b: 192.0.2.1; before: 192.0.2.2\n");
    }
}
