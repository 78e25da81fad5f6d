//! The digest that names a policy in logs and in the journal.

use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};
use diagnostic::SourceFile;

/// First in what is hashed, so that the digest of a policy is never that of something else.
const DOMAIN: &[u8] = b"sparkdiode policy 1\n";

/// SHA-256 over the files in the given order: for each the length of its name and of its text
/// (u64, little endian) and both. The lengths keep a boundary from being moved.
pub(super) fn digest(sources: &[&SourceFile]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    for file in sources {
        let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
        for part in [name, file.text.as_bytes()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
    }
    context.finish().as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The digest of the policy in these files, in whatever order they come.
pub fn digest_of(sources: &[SourceFile]) -> String {
    digest(&in_order(sources))
}

/// In the order in which they count: that of the file names.
pub(super) fn in_order(sources: &[SourceFile]) -> Vec<&SourceFile> {
    let mut sources: Vec<&SourceFile> = sources.iter().collect();
    sources.sort_by(|left, right| {
        (left.path.file_name(), &left.path).cmp(&(right.path.file_name(), &right.path))
    });
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> String {
        let files: Vec<_> =
            files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
        digest_of(&files)
    }

    #[test]
    fn digest_depends_on_names_and_contents_but_not_on_directories() {
        let digest = of(&[("/etc/a.toml", "x"), ("/etc/b.toml", "y")]);
        assert_eq!(digest.len(), 64);
        assert!(digest.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(digest, of(&[("/srv/a.toml", "x"), ("/srv/b.toml", "y")]));
        for other in [
            &[("/etc/a.toml", "x"), ("/etc/b.toml", "z")][..],
            &[("/etc/a.toml", "x"), ("/etc/c.toml", "y")],
            &[("/etc/a.toml", "xy"), ("/etc/b.toml", "")],
            &[("/etc/a.toml", "x")],
            &[],
        ] {
            assert_ne!(digest, of(other), "{other:?}");
        }
    }

    #[test]
    fn digest_of_known_input_stays_the_same_across_versions() {
        // Computed by another implementation over the bytes that `digest` describes.
        assert_eq!(
            of(&[("/etc/a.toml", "x")]),
            "6e9c4f83010b3dc7f5d75138df470bb43ebe5f6a0803e9d5219706cb87c5f759"
        );
    }
}
