//! A link key in its file: 32 bytes, as 64 hexadecimal digits or as Base64, alone on its line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diagnostic::SecretFile;
use diagnostic::file::FileError;
use link::LinkKey;

/// Hexadecimal digits of a key; letters of it in Base64, with and without the sign at its end.
const HEX: usize = 64;
const BASE64: usize = 44;
const BASE64_BARE: usize = 43;
/// So few different bytes come of no random: fewer than eight of 32 do once in 10^25 times.
const LEAST_DIFFERENT: usize = 8;

/// Why a file has no link key.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("no link key in `{}`: got {got} characters, wanted 64 hexadecimal digits, or 44 characters of Base64", path.display())]
    Length { path: std::path::PathBuf, got: usize },
    #[error("no link key in `{}`: {got} characters that aren't {wanted}", path.display())]
    Letters { path: std::path::PathBuf, got: usize, wanted: &'static str },
    #[error("the link key in `{}` isn't random: only {different} of its 32 bytes differ", path.display())]
    Weak { path: std::path::PathBuf, different: usize },
}

impl LinkKeyError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            LinkKeyError::File(error) if error.is_not_found() => {
                let make = format!("`sparkdiode link-key {}` makes one", error.path().display());
                error.hint().into_iter().chain([make]).collect()
            }
            LinkKeyError::File(error) => error.hint().into_iter().collect(),
            _ => vec![
                "`sparkdiode link-key FILE` makes one; both ends of the link have the same"
                    .to_owned(),
            ],
        }
    }
}

/// Reads the link key of a file that nobody but its owner and group may open.
///
/// # Errors
/// As [`SecretFile::read_line`]; and it isn't a key. No error has anything of what is in the file.
pub fn read_link_key(file: &SecretFile) -> Result<LinkKey, LinkKeyError> {
    let secret = file.read_line()?;
    let text = secret.expose().trim_matches([' ', '\t']);
    let path = file.path().to_owned();
    let got = text.chars().count();
    let (bytes, wanted) = match got {
        HEX => (from_hex(text), "hexadecimal digits"),
        BASE64 => (STANDARD.decode(text).ok(), "Base64 of 32 bytes"),
        BASE64_BARE => (STANDARD.decode(format!("{text}=")).ok(), "Base64 of 32 bytes"),
        got => return Err(LinkKeyError::Length { path, got }),
    };
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(key) = key else { return Err(LinkKeyError::Letters { path, got, wanted }) };
    let mut sorted = key;
    sorted.sort_unstable();
    let different = sorted.chunk_by(u8::eq).count();
    if different < LEAST_DIFFERENT {
        return Err(LinkKeyError::Weak { path, different });
    }
    Ok(LinkKey::new(&key))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &str, mode: u32) -> Result<u32, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let key = read_link_key(&SecretFile::new(&path));
        key.map(|key| key.id()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_of_a_key_are_the_same_key() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(bytes);
        let id = LinkKey::new(&bytes).id();
        for form in [&hex, &hex.to_uppercase(), &base64, &base64.trim_end_matches('=').to_owned()] {
            for end in ["", "\n", "\r\n"] {
                assert_eq!(read(&format!("{form}{end}"), 0o400), Ok(id), "{form}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let hex = "0123456789abcdef".repeat(4);
        for (content, wanted) in [
            ("", "empty secret file"),
            ("hunter2hunter2", "got 14 characters, wanted 64"),
            (&hex.replace('f', "g"), "64 characters that aren't hexadecimal digits"),
            (&"*".repeat(44), "44 characters that aren't Base64"),
            (&format!("{hex}\n{hex}\n"), "more than one line"),
            (&"0".repeat(64), "isn't random: only 1 of its 32 bytes differ"),
            (&"é".repeat(32), "got 32 characters"),
        ] {
            let said = read(content, 0o400).unwrap_err();
            assert!(said.contains(wanted), "{said}");
            assert!(content.is_empty() || !said.contains(content.trim()), "{said}");
        }
        assert_eq!(read(&hex, 0o640).map(|_| ()), Ok(()));
        let open = read(&hex, 0o644).unwrap_err();
        assert!(open.contains("secret open to everybody"), "{open}");
    }
}
