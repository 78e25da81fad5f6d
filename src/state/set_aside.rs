//! What was set aside, kept for whoever looks for the cause: a recording in the format of `sparkdiode
//! capture`, which the policy tools read.

use std::io::{self, Write};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{InWork, writable};

const NAME: &str = "set-aside.capture";
/// The largest message that can be configured fits, as Base64.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Something that was set aside.
#[derive(Clone, Copy, Debug)]
pub struct SetAside<'a> {
    /// Wall clock, in milliseconds since the epoch (UTC).
    pub at_ms: u64,
    /// What it was, for people.
    pub note: &'a str,
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
}

impl<'a> SetAside<'a> {
    /// A frame of the journal.
    pub fn frame(at_ms: u64, note: &'a str, topic: &'a str, payload: &'a [u8]) -> SetAside<'a> {
        SetAside { at_ms, note, topic, payload, qos: 0, retain: false, dup: false }
    }
}

impl InWork {
    /// Keeps something that was set aside; where that is, or why it isn't kept, for people.
    pub fn keep_told(&self, aside: &SetAside<'_>) -> String {
        match self.keep(aside) {
            Ok(path) => path.display().to_string(),
            Err(error) => format!("not kept: {error}"),
        }
    }

    /// Appends to the recording of what was set aside; its path.
    ///
    /// # Errors
    /// The operating system refuses, or the recording would become too large.
    pub fn keep(&self, aside: &SetAside<'_>) -> io::Result<PathBuf> {
        let path = self.directory().join(NAME);
        let mut file = writable().append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        let SetAside { at_ms, note, topic, payload, qos, retain, dup } = aside;
        let mut lines = String::new();
        if bytes == 0 {
            let made_by = concat!("sparkdiode ", env!("CARGO_PKG_VERSION"));
            lines.push_str(&format!(
                "{{\"sparkdiode-capture\":1,\"made-by\":\"{made_by}\",\"relay\":\"\",\
                 \"broker\":\"\",\"started_ms\":{at_ms},\"filters\":[],\"redacted\":false}}\n"
            ));
        }
        let (note, topic, payload) = (quoted(note), quoted(topic), STANDARD.encode(payload));
        lines.push_str(&format!(
            "{{\"at_ms\":{at_ms},\"note\":{note}}}\n{{\"at_ms\":{at_ms},\"topic\":{topic},\
             \"payload\":\"{payload}\",\"qos\":{qos},\"retain\":{retain},\"dup\":{dup}}}\n"
        ));
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if bytes.saturating_add(more) > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("`{}` is full: move it away", path.display()),
            ));
        }
        // In one piece: what is cut off by a kill is one line that readers refuse.
        file.write_all(lines.as_bytes())?;
        Ok(path)
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::StateDir;

    const ASIDE: SetAside<'_> = SetAside {
        at_ms: 5,
        note: "frame 7",
        topic: "spBv1.0/G/NDATA/\"E\\\u{1b}ü",
        payload: b"foobar",
        qos: 1,
        retain: false,
        dup: true,
    };

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(STANDARD.encode(bytes), text);
        }
        assert_eq!(STANDARD.encode([0xFB, 0xFF, 0xFE]), "+//+");
    }

    #[test]
    fn the_recording_grows_by_lines_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let in_work = state.in_work().unwrap();
        let path = in_work.keep(&ASIDE).unwrap();
        in_work.keep(&ASIDE).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("{\"sparkdiode-capture\":1,"), "{text}");
        assert_eq!(lines[1], r#"{"at_ms":5,"note":"frame 7"}"#);
        assert_eq!(
            lines[4],
            "{\"at_ms\":5,\"topic\":\"spBv1.0/G/NDATA/\\\"E\\\\\\u001bü\",\
             \"payload\":\"Zm9vYmFy\",\"qos\":1,\"retain\":false,\"dup\":true}"
        );
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_recording_takes_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        std::fs::File::create(&path).unwrap().set_len(MAX_BYTES - 10).unwrap();
        let error = state.in_work().unwrap().keep(&ASIDE).unwrap_err();
        assert!(error.to_string().ends_with("is full: move it away"), "{error}");
        assert_eq!(std::fs::metadata(path).unwrap().len(), MAX_BYTES - 10);
    }
}
