//! Elements of DER (X.690), as far as certificates and keys need them to be told apart.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// One element, and what comes after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// With tag and length.
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// Splits one element off.
pub(crate) fn next(input: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = input.split_first()?;
    let (&length, mut rest) = rest.split_first()?;
    let mut content_bytes = usize::from(length);
    if length >= 0x80 {
        content_bytes = 0;
        // At most four bytes of length: no certificate file has more than 4 GiB.
        for _ in 0..usize::from(length & 0x7f).min(5) {
            let (&byte, after) = rest.split_first()?;
            content_bytes = content_bytes.checked_mul(256)?.checked_add(usize::from(byte))?;
            rest = after;
        }
        if !(1..=4).contains(&(length & 0x7f)) {
            return None;
        }
    }
    let (content, rest) = rest.split_at_checked(content_bytes)?;
    let whole = input.get(..input.len().checked_sub(rest.len())?)?;
    Some(Element { tag, whole, content, rest })
}

/// Splits one element of type `tag` off: its content, and what comes after it.
pub(crate) fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let element = next(input).filter(|element| element.tag == tag)?;
    Some((element.content, element.rest))
}

/// The elements one after the other, as far as they can be read.
pub(crate) fn elements(mut input: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let element = next(input)?;
        input = element.rest;
        Some(element)
    })
}

/// An object identifier as people write it: `2.5.29.17`.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for byte in oid {
        arc = arc.checked_mul(128).unwrap_or(0).saturating_add(u64::from(byte & 0x7f));
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                // The first two are in one number: 40 × the first + the second.
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc = arc.saturating_sub(first.saturating_mul(40));
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_are_written_with_dots() {
        assert_eq!(dotted(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5]), "1.2.840.113549.1.1.5");
        assert_eq!(dotted(&[0x88, 0x37, 3]), "2.999.3");
        assert_eq!(dotted(&[]), "");
        let _ = dotted(&[0xff; 40]);
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_element() {
        let whole = next(&[0x30, 0x02, 1, 2, 9]).unwrap();
        assert_eq!((whole.whole.len(), whole.content, whole.rest), (4, &[1, 2][..], &[9][..]));
        assert!(next(&[0x30]).is_none() && next(&[0x30, 0x02, 1]).is_none());
        assert!(next(&[0x30, 0x80, 0, 0]).is_none(), "no indefinite length");
        assert!(next(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(next(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]).is_none());
    }
}
