//! Where the service manager takes a half's credentials from: `LoadCredential=` of its unit and of drop-ins.
//! For a person who checks a file; a half finds them where the service manager put them.

use std::fs;
use std::path::{Path, PathBuf};

use super::half::Half;

/// Where units are, the more important ones first.
pub(super) const UNIT_DIRS: [&str; 3] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// The file that becomes the credential `name` of a half; `None` where no unit names it.
pub(super) fn source(dirs: &[PathBuf], half: Half, name: &str) -> Option<PathBuf> {
    let unit = format!("sparkdiode-{}.service", half.command());
    // Later lines replace earlier ones of the same name; drop-ins come behind the unit.
    let own = dirs.iter().map(|dir| dir.join(&unit)).find(|file| file.is_file());
    let drop_ins = dirs.iter().rev().flat_map(|dir| drop_ins(&dir.join(format!("{unit}.d"))));
    let mut found = None;
    for file in own.into_iter().chain(drop_ins) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let values = text.lines().filter_map(|line| line.trim().strip_prefix("LoadCredential="));
        for value in values {
            match value.split_once(':') {
                Some((id, path)) => {
                    found = file_of(id.trim(), Path::new(path.trim()), name).or(found);
                }
                // An empty line takes all before it back.
                None if value.trim().is_empty() => found = None,
                None => {}
            }
        }
    }
    found
}

/// Files of a directory become `ID_FILE`, a file becomes `ID`.
fn file_of(id: &str, path: &Path, name: &str) -> Option<PathBuf> {
    if name == id {
        return Some(path.to_owned());
    }
    let file = name.strip_prefix(id)?.strip_prefix('_')?;
    (!file.is_empty() && !path.is_file()).then(|| path.join(file))
}

fn drop_ins(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|file| file.extension().is_some_and(|ending| ending == "conf")).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_as_the_units_name_them() {
        let root = tempfile::tempdir().unwrap();
        let (etc, usr) = (root.path().join("etc"), root.path().join("usr"));
        let secrets = root.path().join("ot");
        fs::create_dir_all(etc.join("sparkdiode-ot.service.d")).unwrap();
        fs::create_dir_all(&usr).unwrap();
        fs::create_dir_all(&secrets).unwrap();
        let unit = format!("[Service]\nLoadCredential=ot:{}\n", secrets.display());
        fs::write(usr.join("sparkdiode-ot.service"), unit).unwrap();
        let dirs = [etc.clone(), usr];
        let of = |half, name| source(&dirs, half, name);
        assert_eq!(of(Half::Ot, "ot_client.key"), Some(secrets.join("client.key")));
        assert_eq!(of(Half::It, "ot_client.key"), None);
        assert_eq!(of(Half::Ot, "other"), None);
        assert_eq!(of(Half::Ot, "ot_"), None);
        let drop_in = "[Service]\nLoadCredential=log-ca.pem:/a/ca.pem\nLoadCredential=ot:/b\n";
        fs::write(etc.join("sparkdiode-ot.service.d/a.conf"), drop_in).unwrap();
        assert_eq!(of(Half::Ot, "log-ca.pem"), Some(PathBuf::from("/a/ca.pem")));
        assert_eq!(of(Half::Ot, "ot_ca.pem"), Some(PathBuf::from("/b/ca.pem")));
        fs::write(etc.join("sparkdiode-ot.service.d/b.conf"), "LoadCredential=\n").unwrap();
        assert_eq!(of(Half::Ot, "ot_ca.pem"), None);
    }
}
