//! `sparkdiode link-key`: makes the key that both ends of a link share, or says which one a file has.

use std::path::{Path, PathBuf};

use clap::Args;
use config::{LinkKeyError, read_link_key};
use diagnostic::SecretFile;

use super::new_files::{NewFile, write_all};
use super::{Exit, Failure, report};

/// Make the key of a link between two boxes, or say which key a file has.
///
/// FILE gets 32 random bytes as 64 hexadecimal digits, and mode 0400; nothing is overwritten. What is
/// printed is the key's id, which says which key it is and nothing of what it is: both ends, and
/// `status`, print the same. The key itself is shown nowhere. It is made on one box and carried to the
/// other one by hand: `sparkdiode help link` has the ceremony.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode link-key /etc/sparkdiode/credentials/send/link.key\n  \
                        sparkdiode link-key --id /etc/sparkdiode/credentials/receive/link.key"
)]
pub(super) struct LinkKeyArgs {
    /// File for the key.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file has a key: say which one.
    #[arg(long)]
    id: bool,
}

pub(super) fn run(arguments: &LinkKeyArgs) -> Result<Exit, Failure> {
    let path = &arguments.file;
    if !arguments.id {
        make(path)?;
    }
    let key = read_link_key(&SecretFile::new(path)).map_err(|error| failed(&error))?;
    report::output(&format!("{:08x}\n", key.id()))?;
    Ok(Exit::Ok)
}

fn make(path: &Path) -> Result<(), Failure> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_| Failure::new(Exit::Io, "the system gives no random bytes"))?;
    let mut content: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    content.push('\n');
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        let message = format!("not a file that can be made: `{}`", path.display());
        return Err(Failure::new(Exit::Usage, message));
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    write_all(directory, &[NewFile { name: name.to_owned(), content, mode: 0o400 }])
}

fn failed(error: &LinkKeyError) -> Failure {
    let is_os = matches!(error, LinkKeyError::File(error) if error.is_os_error());
    let exit = if is_os { Exit::Io } else { Exit::Config };
    error.hints().into_iter().fold(Failure::new(exit, error.to_string()), Failure::hint)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn link_key(file: &Path, id: bool) -> Result<Exit, Failure> {
        run(&LinkKeyArgs { file: file.to_owned(), id })
    }

    #[test]
    fn a_key_is_new_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("a/one.key"), directory.path().join("two.key"));
        for path in [&one, &two] {
            assert_eq!(link_key(path, false).unwrap(), Exit::Ok);
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o400);
            assert_eq!(link_key(path, true).unwrap(), Exit::Ok);
        }
        let before = fs::read(&one).unwrap();
        assert_eq!(before.len(), 65);
        assert_ne!(before, fs::read(&two).unwrap());
        assert_eq!(link_key(&one, false).unwrap_err().exit(), Exit::Io);
        assert_eq!(fs::read(&one).unwrap(), before);
    }

    #[test]
    fn a_file_without_a_key_is_said_to_be_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        assert_eq!(link_key(&path, true).unwrap_err().exit(), Exit::Io);
        fs::write(&path, "hunter2").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let failure = link_key(&path, true).unwrap_err();
        assert_eq!(failure.exit(), Exit::Config);
        assert!(failure.words().0.contains("got 7 characters"), "{failure:?}");
        assert_eq!(link_key(Path::new("/"), false).unwrap_err().exit(), Exit::Usage);
    }
}
