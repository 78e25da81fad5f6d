//! Inflating compared with the readers of the library that deflates, whatever the bytes.
#![expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]

use alloc::string::String;
use alloc::vec::Vec;
use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::{Compression, GzBuilder};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What the library's own reader makes of it.
fn reference(body: &[u8], algorithm: Algorithm, cap: usize) -> Result<Vec<u8>, InflateError> {
    let limit = cap as u64 + 1;
    let mut inflated = Vec::new();
    let result = match algorithm {
        Algorithm::Deflate => ZlibDecoder::new(body).take(limit).read_to_end(&mut inflated),
        Algorithm::Gzip => GzDecoder::new(body).take(limit).read_to_end(&mut inflated),
    };
    result.map_err(|_| InflateError::Damaged)?;
    if inflated.len() > cap { Err(InflateError::OverCap) } else { Ok(inflated) }
}

fn ours(body: &[u8], algorithm: Algorithm, cap: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflated = b"left over".to_vec();
    let result = inflate(body, algorithm, cap, &mut inflated);
    assert!(inflated.len() <= cap + 1);
    result.map(|()| inflated)
}

/// Parts of a header: extra field, name, comment, and whether it has a checksum of its own.
type Header = (Option<Vec<u8>>, Option<String>, Option<String>, bool);

fn header() -> impl Strategy<Value = Header> {
    (of(vec(any::<u8>(), 0..20)), of("[a-z]{0,9}"), of("[a-z]{0,9}"), any::<bool>())
}

fn deflated(plain: &[u8], algorithm: Algorithm, header: &Header, level: u32) -> Vec<u8> {
    let mut body = Vec::new();
    let level = Compression::new(level);
    match algorithm {
        Algorithm::Deflate => {
            flate2::bufread::ZlibEncoder::new(plain, level).read_to_end(&mut body).unwrap();
        }
        Algorithm::Gzip => {
            let (extra, name, comment, checksum) = header.clone();
            let mut builder = GzBuilder::new();
            if let Some(extra) = extra {
                builder = builder.extra(extra);
            }
            if let Some(name) = name {
                builder = builder.filename(name);
            }
            if let Some(comment) = comment {
                builder = builder.comment(comment);
            }
            builder.buf_read(plain, level).read_to_end(&mut body).unwrap();
            if checksum {
                let after = body.len() - gzip_data(&body).unwrap().len();
                body[3] |= 1 << 1;
                let mut crc = Crc::new();
                crc.update(&body[..after]);
                let crc = crc.sum().to_le_bytes();
                body.splice(after..after, [crc[0], crc[1]]);
            }
        }
    }
    body
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(Algorithm::Deflate), Just(Algorithm::Gzip)]
}

/// Bytes that repeat themselves here and there, up to several windows of output.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    vec((vec(any::<u8>(), 0..40), 0..600_usize), 0..8)
        .prop_map(|parts| parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect())
}

proptest! {
    #[test]
    fn what_was_deflated_is_inflated_up_to_the_cap(
        plain in plain(), algorithm in algorithm(), header in header(), level in 0..=9_u32,
        less in 0..3_usize, more in vec(any::<u8>(), 0..9),
    ) {
        let mut body = deflated(&plain, algorithm, &header, level);
        prop_assert_eq!(ours(&body, algorithm, plain.len()), Ok(plain.clone()));
        let cap = plain.len().saturating_sub(less);
        prop_assert_eq!(ours(&body, algorithm, cap), reference(&body, algorithm, cap));
        body.extend(more);
        prop_assert_eq!(ours(&body, algorithm, plain.len()), Ok(plain));
    }

    #[test]
    fn damaged_and_cut_bodies_come_to_what_the_library_says(
        plain in plain(), algorithm in algorithm(), header in header(), level in 0..=9_u32,
        cap in 0..30_000_usize, flips in vec((any::<Index>(), any::<u8>()), 0..3), cut in of(any::<Index>()),
    ) {
        let mut body = deflated(&plain, algorithm, &header, level);
        for (at, flip) in flips {
            let at = at.index(body.len());
            body[at] ^= flip;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        prop_assert_eq!(ours(&body, algorithm, cap), reference(&body, algorithm, cap));
    }

    #[test]
    fn damage_in_a_gzip_header_comes_to_what_the_library_says(
        algorithm in Just(Algorithm::Gzip), header in header(), at in 0..40_usize, flip in any::<u8>(),
    ) {
        let mut body = deflated(b"plain", algorithm, &header, 6);
        let at = at % body.len();
        body[at] ^= flip;
        prop_assert_eq!(ours(&body, algorithm, 99), reference(&body, algorithm, 99));
    }
}

#[test]
fn long_names_in_a_header_are_refused() {
    for (length, good) in [(MAX_HEADER_TEXT_BYTES, true), (MAX_HEADER_TEXT_BYTES + 1, false)] {
        let name = Some("x".repeat(length));
        let body = deflated(b"plain", Algorithm::Gzip, &(None, name, None, false), 6);
        assert_eq!(ours(&body, Algorithm::Gzip, 5).is_ok(), good);
        assert_eq!(ours(&body, Algorithm::Gzip, 5), reference(&body, Algorithm::Gzip, 5));
    }
}
