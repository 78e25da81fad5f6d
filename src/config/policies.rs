//! Finds and reads policy files. Their language is none of this module's business.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use diagnostic::file::{self, FileError};
use diagnostic::{Diagnostic, Diagnostics, SourceFile};

use super::code;
use super::reader::file_diagnostic;

/// Policy files of one relay.
const MAX_FILES: usize = 10_000;

/// Reads the policies that `paths` name: files as they are, and of a directory every `*.toml`
/// in the order of their names. Hidden files (`.name`) of a directory are left out, since
/// editors and configuration tools keep unfinished work in them.
///
/// # Errors
/// Every path that can't be read, is writable by everybody, or has no policy in it.
pub fn load_sources(paths: &[PathBuf]) -> Result<Vec<SourceFile>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            match files_of(path) {
                Ok(found) => files.extend(found),
                Err(found) => problems.extend(found),
            }
        } else {
            files.push(path.clone());
        }
    }
    if let Some(first) = paths.first().filter(|_| files.len() > MAX_FILES) {
        let title = format!("too many policy files: {}, at most {MAX_FILES}", files.len());
        return Err(Diagnostic::file_error(code::FILE, first, title).into());
    }
    let mut sources = Vec::new();
    for path in files {
        match file::read_text(&path) {
            Ok(text) => sources.push(SourceFile::new(path, text)),
            Err(error) => problems.push(file_diagnostic(&path, &error)),
        }
    }
    if problems.has_errors() { Err(problems) } else { Ok(sources) }
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    let os = |source: io::Error| {
        let error = FileError::Os { verb: "read", path: directory.to_owned(), source };
        Diagnostics::from(file_diagnostic(directory, &error))
    };
    let metadata = directory.metadata().map_err(os)?;
    if file::is_writable_by_others(&metadata) {
        let title = "writable by everybody: anybody could add a policy to this directory";
        return Err(Diagnostic::file_error(code::PERMISSIONS, directory, title)
            .help(format!("chmod o-w {}", directory.display()))
            .into());
    }
    let mut files = Vec::new();
    for entry in directory.read_dir().map_err(os)? {
        let path = entry.map_err(os)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension() == Some(OsStr::new("toml")) && !hidden {
            files.push(path);
        }
    }
    if files.is_empty() {
        let title = format!("no policy (`*.toml`) in directory `{}`", directory.display());
        return Err(Diagnostic::file_error(code::FILE, directory, title)
            .help("without a policy nothing crosses")
            .into());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_read_in_the_order_of_names_without_hidden_and_other_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".a.toml", "README.md", "c.toml.bak"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let single = directory.path().join("c.toml.bak");
        let sources = load_sources(&[single, directory.path().to_owned()]).unwrap();
        let texts: Vec<_> = sources.iter().map(|source| &*source.text).collect();
        assert_eq!(texts, ["c.toml.bak", "a.toml", "b.toml"]);
    }

    #[test]
    fn every_unusable_path_is_reported_in_one_run() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::write(open.join("a.toml"), "").unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let empty = directory.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let missing = directory.path().join("missing.toml");
        let problems = load_sources(&[open, empty, missing]).unwrap_err().to_string();
        for wanted in ["anybody could add a policy", "no policy (`*.toml`)", "cannot open"] {
            assert!(problems.contains(wanted), "{problems}");
        }
    }
}
