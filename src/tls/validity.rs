//! When an X.509 certificate is valid (RFC 5280 §4.1.2.5), so that an expired one is named before a
//! broker refuses it without a word. rustls doesn't show it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use text::unix_s;

use crate::der::element;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is valid; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Validity {
    /// The content of the field `validity`.
    pub(super) fn read(content: &[u8]) -> Option<Validity> {
        let (not_before, rest) = time(content)?;
        let (not_after, _) = time(rest)?;
        Some(Validity { not_before, not_after })
    }
}

/// `Time`: `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from 2050 on.
fn time(input: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (text, rest, year_digits) = match element(input, UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => {
            let (text, rest) = element(input, GENERALIZED_TIME)?;
            (text, rest, 4)
        }
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, fields) = text.split_at_checked(year_digits)?;
    let mut year: i32 = number(year)?;
    if year_digits == 2 {
        year = year.checked_add(if year < 50 { 2_000 } else { 1_900 })?;
    }
    if fields.len() != 10 {
        return None;
    }
    let field = |index: usize| number::<u8>(fields.get(index..index.checked_add(2)?)?);
    let date = (year, field(0)?, field(2)?);
    let seconds = unix_s(date, (field(4)?, field(6)?, field(8)?))?;
    // Before 1970 counts as 1970: what matters is that it is long ago.
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some((UNIX_EPOCH.checked_add(since)?, rest))
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use text::format_utc;

    use super::*;
    use crate::x509::X509;

    fn of(certificate: &[u8]) -> Option<Validity> {
        X509::read(certificate).map(|read| read.validity)
    }

    fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_dates_are_read_in_both_spellings_of_time() {
        let validity = of(&certificate((1970, 1, 1), (2024, 2, 29))).unwrap();
        assert_eq!(format_utc(validity.not_before), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_utc(validity.not_after), "2024-02-29T00:00:00.000Z");
        let validity = of(&certificate((2026, 12, 31), (2100, 3, 1))).unwrap();
        assert_eq!(format_utc(validity.not_before), "2026-12-31T00:00:00.000Z");
        assert_eq!(format_utc(validity.not_after), "2100-03-01T00:00:00.000Z");
    }
}
