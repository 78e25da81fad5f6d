//! An appliance: configurations as the package ships them, and the directories that each half's user
//! has for itself.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;

use sandbox::{Identity, UserSpec};

use super::super::new_files::{existing, failed};
use super::super::{Exit, Failure};
use super::installed::{Installed, complete};
use super::samples::{SetUp, files};
use super::{InitArgs, listed, shell_word, write_all};

/// Directory, mode, user, group: as the package's systemd/sparkdiode.tmpfiles has them.
const DIRECTORIES: [(&str, u32, &str, &str); 7] = [
    ("/var/lib/sparkdiode", 0o755, "root", "root"),
    ("/var/lib/sparkdiode/journal", 0o2750, "sparkdiode-ot", "sparkdiode-it"),
    ("/var/lib/sparkdiode/ot", 0o750, "sparkdiode-ot", "sparkdiode-ot"),
    ("/var/lib/sparkdiode/it", 0o750, "sparkdiode-it", "sparkdiode-it"),
    ("/etc/sparkdiode/credentials", 0o700, "root", "root"),
    ("/etc/sparkdiode/credentials/ot", 0o700, "root", "root"),
    ("/etc/sparkdiode/credentials/it", 0o700, "root", "root"),
];

pub(super) fn make(arguments: &InitArgs) -> Result<String, Failure> {
    let is_root = Identity::current().uid == 0;
    let set_up = || set_up(Path::new("/"), is_root, identity);
    match Installed::find(Path::new("/")) {
        Some(installed) if installed.reads(&arguments.directory) => {
            complete(&installed, arguments, is_root, set_up)
        }
        // Those who run have theirs, to which nothing here belongs.
        Some(installed) => {
            let shown = write_files(arguments)?;
            Ok(format!(
                "{shown}\n{}: nothing reads what was made here.\n\nNext:\n  \
                 sparkdiode init --appliance /etc/sparkdiode\n\
                 says what is there, and what is left to do\n",
                installed.words()
            ))
        }
        None => {
            let mut text = write_files(arguments)?;
            let SetUp { made, to_do } = set_up()?;
            made.iter().for_each(|path| text.push_str(&format!("  {path}\n")));
            text.push_str(&next(&arguments.directory, &to_do));
            Ok(text)
        }
    }
}

/// Writes the files into a directory of their own, and lists them.
fn write_files(arguments: &InitArgs) -> Result<String, Failure> {
    let directory = &arguments.directory;
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
    let files = files(arguments, &absolute);
    if let Some(path) = existing(directory, &files) {
        let hint = format!(
            "nothing was written; what is missing says: sparkdiode doctor {}",
            both_in(directory)
        );
        return Err(Failure::new(Exit::Io, format!("file exists: `{}`", path.display()))
            .hint(hint)
            .hint("or choose another directory"));
    }
    write_all(directory, &files)?;
    Ok(listed(
        directory,
        &[
            ("ot.toml, it.toml", "configurations of both halves, with every key"),
            ("policies/first.toml", "a first policy, with its cases"),
        ],
    ))
}

/// What is left to do where no package is installed.
fn next(directory: &Path, to_do: &[String]) -> String {
    let mut text = String::new();
    if !to_do.is_empty() {
        text.push_str("\nAs root:\n");
        to_do.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    let both = both_in(directory);
    text.push_str(&format!(
        "\nNext:\n  \
         - put ca.pem, client.pem and client.key of each side into /etc/sparkdiode/credentials/ot and \
         it (root's, mode 0600)\n  \
         - set the addresses in ot.toml and it.toml, and the names in policies/first.toml\n  \
         - sparkdiode check {both}\n  \
         - sparkdiode doctor {both}\n"
    ));
    text
}

fn both_in(directory: &Path) -> String {
    let path = |name| shell_word(&directory.join(name).to_string_lossy());
    format!("{} {}", path("ot.toml"), path("it.toml"))
}

/// Makes the directories below `root` that aren't there, where this is root and the users are known.
fn set_up(
    root: &Path,
    is_root: bool,
    owner: impl Fn(&str, &str) -> Option<Identity>,
) -> Result<SetUp, Failure> {
    let (mut made, mut users, mut directories) = (Vec::new(), Vec::new(), Vec::new());
    for (name, mode, user, group) in DIRECTORIES {
        let path = root.join(name.trim_start_matches('/'));
        let is_there = match path.metadata() {
            Ok(found) => found.is_dir(),
            // Who may not look can't say that it is missing.
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        };
        if is_there {
            continue;
        }
        let owner = owner(user, group);
        match owner.filter(|_| is_root) {
            Some(owner) => {
                make_directory(&path, mode, owner)?;
                made.push(name);
            }
            None => {
                directories.push(format!("install -d -m {mode:04o} -o {user} -g {group} {name}"));
            }
        }
        if owner.is_none() {
            for one in [user, group] {
                let line = format!("useradd --system --user-group --shell /usr/sbin/nologin {one}");
                if !users.contains(&line) && one != "root" {
                    users.push(line);
                }
            }
        }
    }
    Ok(SetUp { made, to_do: [users, directories].concat() })
}

/// Numbers of a user and of a group, which need not be the user's.
fn identity(user: &str, group: &str) -> Option<Identity> {
    UserSpec { user: user.to_owned(), group: Some(group.to_owned()) }.resolve().ok()
}

fn make_directory(path: &Path, mode: u32, owner: Identity) -> Result<(), Failure> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .map_err(|error| failed("create", path, &error))?;
    chown(path, Some(owner.uid), Some(owner.gid))
        .map_err(|error| failed("give away", path, &error))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| failed("set the mode of", path, &error))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{IT, IT_BROKER, NAME, OT, OT_BROKER};
    use super::*;

    #[test]
    fn the_directories_are_those_of_the_package_and_the_samples_have_what_is_replaced() {
        let shipped = include_str!("../../../systemd/sparkdiode.tmpfiles");
        for (path, mode, user, group) in DIRECTORIES {
            let is_it = |line: &&str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words == ["d", path, &format!("{mode:04o}"), user, group, "-"]
            };
            assert!(shipped.lines().any(|line| is_it(&line)), "{path}");
        }
        let address = |broker: &str| format!("address = \"{broker}\"");
        assert!(OT.contains(&address(OT_BROKER)) && IT.contains(&address(IT_BROKER)));
        assert!(OT.contains(&format!("name = \"{NAME}\"")));
    }

    #[test]
    fn directories_are_made_where_that_can_be_and_else_the_commands_are_printed() {
        let root = tempfile::tempdir().unwrap();
        let me = Identity::current();
        let journal = "install -d -m 2750 -o sparkdiode-ot -g sparkdiode-it \
                       /var/lib/sparkdiode/journal";
        let users = ["ot", "it"].map(|half| {
            format!("useradd --system --user-group --shell /usr/sbin/nologin sparkdiode-{half}")
        });
        for (is_root, user, users) in [(false, Some(me), &[][..]), (true, None, &users)] {
            let SetUp { made, to_do } = set_up(root.path(), is_root, |_, _| user).unwrap();
            assert_eq!((made.len(), to_do.len()), (0, DIRECTORIES.len() + users.len()));
            assert!(to_do.starts_with(users), "{to_do:?}");
            assert!(to_do.contains(&journal.to_owned()), "{to_do:?}");
        }
        let SetUp { made, to_do } = set_up(root.path(), true, |_, _| Some(me)).unwrap();
        assert_eq!((made.len(), to_do.len()), (DIRECTORIES.len(), 0));
        let mode = |path: &str| root.path().join(path).metadata().unwrap().permissions().mode();
        assert_eq!(mode("var/lib/sparkdiode/journal") & 0o7777, 0o2750);
        assert_eq!(mode("etc/sparkdiode/credentials/ot") & 0o7777, 0o700);
        // What is there stays as it is.
        let SetUp { made, to_do } = set_up(root.path(), true, |_, _| Some(me)).unwrap();
        assert_eq!((made.len(), to_do.len()), (0, 0));
    }

    #[test]
    fn addresses_name_and_place_of_the_policies_are_filled_in() {
        let odd = "/srv/a \"b\" \\ 'c'";
        let arguments = InitArgs {
            directory: odd.into(),
            lab: false,
            appliance: true,
            two_boxes: false,
            name: Some("mine".to_owned()),
            group: "G".to_owned(),
            edge_node: "N".to_owned(),
            ot_broker: Some("10.1.2.3:8884".to_owned()),
            it_broker: Some("[fd00::1]:8885".to_owned()),
            ports: 0,
        };
        let [ot, it, _] = files(&arguments, Path::new(odd)).map(|file| file.content);
        assert!(ot.contains("address = \"10.1.2.3:8884\"") && ot.contains("name = \"mine\""));
        assert!(it.contains("address = \"[fd00::1]:8885\""));
        let parsed: toml::Table = ot.parse().unwrap();
        let paths = parsed["policies"]["paths"].as_array().unwrap();
        assert_eq!(paths[0].as_str(), Some(format!("{odd}/policies").as_str()));
        assert_eq!(both_in(Path::new("-x")), "./-x/ot.toml ./-x/it.toml");
    }
}
