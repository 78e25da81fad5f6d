//! Deterministic pseudonyms for identifiers in texts: HMAC-SHA256 under a key that only the OT
//! half has, cut to 96 bits, with 32 bits more by which the half knows its own work again. So a
//! pseudonym stays what it is when a birth is forwarded again after a restart, and a text of the plant
//! that only looks like one is replaced.
//!
//! ```text
//!  body  = HMAC(key, 0x01 ‖ text)[0..12]          pn-BODY CHECK    24 + 8 hexadecimal digits
//!  check = HMAC(key, 0x02 ‖ body)[0..4]           or a UUID of version 8 of the same 16 bytes
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use aws_lc_rs::hmac;
use regex::Regex;
use sparkplug::DataType;

use super::texts::Pattern;

/// A key shorter than this can be guessed, and with it every identifier.
const MIN_KEY_BYTES: usize = 32;

/// What a pseudonym begins with, so that people see what it is.
const PREFIX: &str = "pn-";
const BODY_BYTES: usize = 12;
const TEXT: u8 = 1;
const BODY: u8 = 2;

/// Which part of a text is an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pseudonym {
    Whole,
    /// Every match of it.
    Matches(Pattern),
}

/// The key for pseudonyms. Its `Debug` doesn't show it.
#[derive(Clone)]
pub struct PseudonymKey(Arc<hmac::Key>);

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pseudonym key has at least {MIN_KEY_BYTES} bytes: {bytes}")]
pub struct KeyError {
    bytes: usize,
}

/// Whether pseudonyms are made, or only known by their form.
#[derive(Clone, Copy, Debug)]
pub enum Pseudonyms<'a> {
    Make(&'a PseudonymKey),
    /// Without the key: a text that has to be a pseudonym must look like one.
    Check,
}

impl PseudonymKey {
    /// Takes the content of a key file.
    ///
    /// # Errors
    /// It has less than [`MIN_KEY_BYTES`].
    pub fn new(secret: &[u8]) -> Result<PseudonymKey, KeyError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(KeyError { bytes: secret.len() });
        }
        Ok(PseudonymKey(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    fn sign<const N: usize>(&self, domain: u8, data: &[u8]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[domain]);
        context.update(data);
        let tag = context.sign();
        // A tag has 32 bytes, and no `N` here is more.
        tag.as_ref().first_chunk::<N>().copied().unwrap_or([0; N])
    }

    fn pseudonym(&self, datatype: DataType, text: &str) -> String {
        let mut body: [u8; BODY_BYTES] = self.sign(TEXT, text.as_bytes());
        if datatype == DataType::UUID {
            mark_uuid(&mut body);
        }
        show(datatype, &body, &self.sign(BODY, &body))
    }

    /// Whether there is a pseudonym in `text` that was made with this key.
    fn is_in(&self, text: &str) -> bool {
        text.match_indices(PREFIX).any(|(start, _)| {
            let shown = text.get(start..start.saturating_add(SHOWN_BYTES));
            shown.is_some_and(|shown| self.made(DataType::String, shown))
        })
    }

    /// Whether `text` is a pseudonym that was made with this key.
    fn made(&self, datatype: DataType, text: &str) -> bool {
        let Some((body, check)) = parse(datatype, text) else { return false };
        check == self.sign::<4>(BODY, &body)
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PseudonymKey(…)")
    }
}

impl Pseudonyms<'_> {
    /// Whether there is a pseudonym in the text that was made with the key at hand; without one none is
    /// known.
    pub fn are_in(&self, text: &str) -> bool {
        let Pseudonyms::Make(key) = self else { return false };
        key.made(DataType::UUID, text) || key.is_in(text)
    }
}

impl Pseudonym {
    /// Whether the text holds a pseudonym that was made with this key: it was forwarded before.
    pub(super) fn is_replaced(&self, datatype: DataType, text: &str, key: &PseudonymKey) -> bool {
        match self {
            Pseudonym::Whole => key.made(datatype, text),
            Pseudonym::Matches(_) => key.is_in(text),
        }
    }

    /// The text with pseudonyms; `None` where it has them already, and nothing is to do. Without
    /// the key an identifier in it is an error.
    pub(super) fn replace(
        &self,
        datatype: DataType,
        text: &str,
        how: Pseudonyms<'_>,
    ) -> Result<Option<String>, StillThere> {
        // Only a whole text can be a UUID.
        let of_part = DataType::String;
        match (self, how) {
            (Pseudonym::Whole, Pseudonyms::Make(key)) if key.made(datatype, text) => Ok(None),
            (Pseudonym::Whole, Pseudonyms::Make(key)) => Ok(Some(key.pseudonym(datatype, text))),
            (Pseudonym::Whole, Pseudonyms::Check) => match parse(datatype, text) {
                Some(_) => Ok(None),
                None => Err(StillThere),
            },
            (Pseudonym::Matches(pattern), Pseudonyms::Make(key)) => {
                let made = |part: &str| key.made(of_part, part);
                Ok(outside(text, made, |rest| {
                    replace_all(pattern.regex(), rest, |found| key.pseudonym(of_part, found))
                }))
            }
            (Pseudonym::Matches(pattern), Pseudonyms::Check) => {
                let looks_made = |part: &str| parse(of_part, part).is_some();
                let mut found = false;
                let _ = outside(text, looks_made, |rest| {
                    found |= pattern.regex().find_iter(rest).any(|found| !found.is_empty());
                    Cow::Borrowed(rest)
                });
                if found { Err(StillThere) } else { Ok(None) }
            }
        }
    }
}

/// An identifier that should have been replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StillThere;

/// Length of a pseudonym in a text.
const SHOWN_BYTES: usize = PREFIX.len() + 32;

/// Changes what of `text` isn't a pseudonym; `None` if nothing of it changes.
fn outside<'t>(
    text: &'t str,
    is_made: impl Fn(&str) -> bool,
    mut change: impl FnMut(&'t str) -> Cow<'t, str>,
) -> Option<String> {
    let mut changed = String::new();
    let mut any = false;
    let mut rest = text;
    let mut from = 0;
    let mut add = |part: &'t str, changed: &mut String| {
        let part = change(part);
        any |= matches!(part, Cow::Owned(_));
        changed.push_str(&part);
    };
    // Ends: every turn goes on behind the place that was found.
    while let Some(found) = rest.get(from..).and_then(|tail| tail.find(PREFIX)) {
        let start = from.saturating_add(found);
        let end = start.saturating_add(SHOWN_BYTES);
        let (Some(before), Some(shown), Some(after)) =
            (rest.get(..start), rest.get(start..end), rest.get(end..))
        else {
            from = start.saturating_add(PREFIX.len());
            continue;
        };
        if is_made(shown) {
            add(before, &mut changed);
            changed.push_str(shown);
            rest = after;
            from = 0;
        } else {
            from = start.saturating_add(PREFIX.len());
        }
    }
    add(rest, &mut changed);
    any.then_some(changed)
}

/// Empty matches are no identifiers.
fn replace_all<'t>(regex: &Regex, text: &'t str, by: impl Fn(&str) -> String) -> Cow<'t, str> {
    let mut changed = String::new();
    let mut copied = 0;
    for found in regex.find_iter(text).filter(|found| !found.is_empty()) {
        changed.push_str(text.get(copied..found.start()).unwrap_or_default());
        changed.push_str(&by(found.as_str()));
        copied = found.end();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    changed.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(changed)
}

/// Version 8 and variant (RFC 9562 §5.8).
fn mark_uuid(body: &mut [u8; BODY_BYTES]) {
    let [_, _, _, _, _, _, version, _, variant, ..] = body;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
}

fn show(datatype: DataType, body: &[u8; BODY_BYTES], check: &[u8; 4]) -> String {
    let is_uuid = datatype == DataType::UUID;
    let mut text = String::from(if is_uuid { "" } else { PREFIX });
    for (index, byte) in body.iter().chain(check).enumerate() {
        if is_uuid && matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a `String` can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Takes a text apart that has the form of a pseudonym.
fn parse(datatype: DataType, text: &str) -> Option<([u8; BODY_BYTES], [u8; 4])> {
    let is_uuid = datatype == DataType::UUID;
    let digits = if is_uuid { text } else { text.strip_prefix(PREFIX)? };
    let mut nibbles = Vec::with_capacity(32);
    for (index, character) in digits.chars().enumerate() {
        match character {
            '-' if is_uuid && matches!(index, 8 | 13 | 18 | 23) => {}
            '0'..='9' | 'a'..='f' => {
                nibbles.push(u8::try_from(character.to_digit(16)?).ok()?);
            }
            _ => return None,
        }
        if nibbles.len() > 32 {
            return None;
        }
    }
    if is_uuid && digits.len() != 36 {
        return None;
    }
    let bytes: Vec<u8> = nibbles
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, nibble| (byte << 4) | nibble))
        .collect();
    if nibbles.len() != 32 {
        return None;
    }
    let (body, check) = bytes.split_first_chunk::<BODY_BYTES>()?;
    let mut marked = *body;
    mark_uuid(&mut marked);
    if is_uuid && marked != *body {
        return None;
    }
    Some((*body, *check.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PseudonymKey {
        PseudonymKey::new(&[byte; MIN_KEY_BYTES]).unwrap()
    }

    fn replaced(of: &Pseudonym, datatype: DataType, text: &str, key: &PseudonymKey) -> String {
        let new = of.replace(datatype, text, Pseudonyms::Make(key)).unwrap();
        new.unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn pseudonyms_are_stable_keyed_and_their_own_pseudonyms() {
        for datatype in [DataType::String, DataType::Text, DataType::UUID] {
            let text = "6f1c3d9e-0000-4000-8000-badbadbadbad";
            let one = replaced(&Pseudonym::Whole, datatype, text, &key(1));
            assert_eq!(one, replaced(&Pseudonym::Whole, datatype, text, &key(1)));
            assert_eq!(one, replaced(&Pseudonym::Whole, datatype, &one, &key(1)), "not again");
            assert_ne!(one, replaced(&Pseudonym::Whole, datatype, text, &key(2)));
            assert_ne!(one, replaced(&Pseudonym::Whole, datatype, "other", &key(1)));
            // What another key made is a text like any other.
            assert_ne!(one, replaced(&Pseudonym::Whole, datatype, &one, &key(2)));
            assert_eq!(Pseudonym::Whole.replace(datatype, &one, Pseudonyms::Check), Ok(None));
            let raw = Pseudonym::Whole.replace(datatype, "Miller", Pseudonyms::Check);
            assert_eq!(raw, Err(StillThere));
        }
        let shown = replaced(&Pseudonym::Whole, DataType::String, "Miller", &key(1));
        assert_eq!(shown.len(), SHOWN_BYTES);
        let uuid = replaced(&Pseudonym::Whole, DataType::UUID, "x", &key(1));
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"), "{uuid}");
    }

    #[test]
    fn known_answer_computed_with_another_implementation() {
        // python3 -c 'import hmac; k = bytes([1]) * 32
        // b = hmac.digest(k, b"\x01Miller", "sha256")[:12]
        // print((b + hmac.digest(k, b"\x02" + b, "sha256")[:4]).hex())'
        let shown = replaced(&Pseudonym::Whole, DataType::String, "Miller", &key(1));
        assert_eq!(shown, "pn-b77450f36af2740847229d1fdd9c416c");
    }

    #[test]
    fn only_matches_of_a_pattern_are_replaced() {
        let badges = Pseudonym::Matches(Pattern::anywhere(r"B\d+|").unwrap());
        let text = "shift 3, badges B17 and B9999";
        let first = replaced(&badges, DataType::String, text, &key(1));
        assert!(first.starts_with("shift 3, badges pn-") && !first.contains("B17"), "{first}");
        assert_eq!(first, replaced(&badges, DataType::String, &first, &key(1)), "not again");
        assert_eq!(badges.replace(DataType::String, &first, Pseudonyms::Check), Ok(None));
        assert_eq!(badges.replace(DataType::String, text, Pseudonyms::Check), Err(StillThere));
        // Digits match in pseudonyms too.
        let digits = Pseudonym::Matches(Pattern::anywhere("[0-9a-f]+").unwrap());
        let first = replaced(&digits, DataType::String, "pn-17 pn-é", &key(1));
        assert_eq!(first, replaced(&digits, DataType::String, &first, &key(1)));
        assert_eq!(digits.replace(DataType::String, &first, Pseudonyms::Check), Ok(None));
    }

    #[test]
    fn short_keys_are_refused_and_keys_do_not_show() {
        assert_eq!(PseudonymKey::new(&[1; 31]).unwrap_err(), KeyError { bytes: 31 });
        assert_eq!(format!("{:?}", key(7)), "PseudonymKey(…)");
    }
}
