//! PEM (RFC 7468) as openssl reads it: everything between the sections is comment in whatever
//! encoding, lines end in any way, and a byte order mark is none of the text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// In the headers of a section (RFC 1421): its content is encrypted.
const PROC_TYPE: &[u8] = b"Proc-Type:";
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// What is between BEGIN and END.
pub(crate) struct PemSection {
    /// `CERTIFICATE`, `EC PRIVATE KEY`.
    pub(crate) label: String,
    pub(crate) is_encrypted: bool,
    /// `Err`: what is wrong with it.
    pub(crate) content: Result<Vec<u8>, &'static str>,
}

/// All sections of a file, in their order. The content isn't in any error: it may be a key's.
///
/// # Errors
/// A section without an end.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<PemSection>, &'static str> {
    let mut sections = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n' || *byte == b'\r').map(plain);
    while let Some(line) = lines.next() {
        let Some(begun) = line.strip_prefix(BEGIN) else { continue };
        let label = begun.strip_suffix(DASHES).ok_or("a section has a malformed first line")?;
        let mut is_encrypted = false;
        let mut text = Vec::new();
        loop {
            let line = lines.next().ok_or("a section has no end")?;
            if let Some(ended) = line.strip_prefix(END) {
                if ended.strip_suffix(DASHES) != Some(label) {
                    return Err("a section ends with another's last line");
                }
                break;
            }
            if line.starts_with(BEGIN) {
                return Err("a section has no end");
            }
            if line.contains(&b':') {
                is_encrypted |= line.starts_with(PROC_TYPE)
                    && line.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
                continue;
            }
            text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        sections.push(PemSection {
            label: String::from_utf8_lossy(label).into_owned(),
            is_encrypted,
            // Encrypted content may have headers that go on in lines without a colon.
            content: match is_encrypted {
                true => Ok(Vec::new()),
                false => STANDARD.decode(text).map_err(|_| "a section is not base64"),
            },
        });
    }
    Ok(sections)
}

/// A line without what isn't its text.
fn plain(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shown = (String, bool, Result<Vec<u8>, &'static str>);

    fn labels(bytes: &[u8]) -> Vec<Shown> {
        let sections = sections(bytes).unwrap();
        sections.into_iter().map(|one| (one.label, one.is_encrypted, one.content)).collect()
    }

    #[test]
    fn what_is_between_sections_is_comment_and_lines_end_in_any_way() {
        let text = b"\xef\xbb\xbf-----BEGIN A-----\r\nAQ ID\r\n-----END A-----\r\n# Gr\xf6\xdfe: 1\n\
                     subject=CN = x\n\xef\xbb\xbf-----BEGIN B C-----  \nAQ\nID\n\n-----END B C-----";
        let ok = |label: &str| (label.to_owned(), false, Ok(vec![1, 2, 3]));
        assert_eq!(labels(text), [ok("A"), ok("B C")]);
        assert_eq!(labels(b"-----BEGIN A-----\rAQID\r-----END A-----\r"), [ok("A")], "old Mac");
        assert_eq!(labels(b"no PEM"), []);
    }

    #[test]
    fn headers_are_no_content_and_say_that_it_is_encrypted() {
        let text = b"-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n\
                     AQID\n-----END K-----\n-----BEGIN K-----\nComment: x\n\nAQID\n-----END K-----";
        assert_eq!(
            labels(text),
            [("K".to_owned(), true, Ok(vec![])), ("K".to_owned(), false, Ok(vec![1, 2, 3]))]
        );
    }

    #[test]
    fn a_damaged_section_is_told_without_its_content() {
        assert_eq!(labels(b"-----BEGIN A-----\n\xa7\xa7\n-----END A-----").len(), 1);
        assert!(labels(b"-----BEGIN A-----\nA\n-----END A-----")[0].2.is_err());
        for (text, wanted) in [
            (&b"-----BEGIN A-----\nAQID\n"[..], "no end"),
            (b"-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----", "no end"),
            (b"-----BEGIN A-----\n-----END B-----", "another's last line"),
            (b"-----BEGIN A\nAQID\n", "malformed first line"),
        ] {
            let error = sections(text).err().unwrap();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
