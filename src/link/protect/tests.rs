//! Tests of `protect`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use super::{
    CounterExhausted, GENERATION_BITS, Keys, LinkKey, LinkName, MAX_COUNTER, Opener, Sealer,
};
use crate::datagram::{Body, Foreign, Heartbeat, MIN_BYTES, SessionId};

const HEARTBEAT: Body<'_> = Body::Heartbeat(Heartbeat {
    mono_ms: 1,
    wall_ms: 2,
    highest_frame: 3,
    symbols: 4,
    again_from: 5,
});

fn name() -> LinkName {
    LinkName::new("plant-to-office").unwrap()
}

fn key(number: u8) -> LinkKey {
    LinkKey::new(&[number; 32])
}

fn session(number: u64) -> SessionId {
    SessionId { number, random: [7; 8] }
}

fn sealer(number: u64) -> Sealer {
    Sealer::new(&name(), &key(1), session(number))
}

fn opener() -> Opener {
    Opener::new(&name(), Keys::new(key(1), None).unwrap())
}

fn sealed(sealer: &mut Sealer) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(&HEARTBEAT, &mut out).unwrap();
    out
}

#[test]
fn what_was_sealed_is_opened() {
    let (mut sealer, mut opener) = (sealer(5), opener());
    for counter in 0..10 {
        let mut datagram = sealed(&mut sealer);
        let (header, plain) = opener.open(&mut datagram).unwrap();
        assert_eq!((header.session, header.counter), (session(5), counter));
        assert_eq!(Body::decode(plain), Ok(HEARTBEAT));
    }
}

#[test]
fn nothing_is_readable_and_each_datagram_differs() {
    let mut sealer = sealer(5);
    let (first, second) = (sealed(&mut sealer), sealed(&mut sealer));
    let mut plain = Vec::new();
    HEARTBEAT.encode(&mut plain);
    assert!(!first[40..].windows(4).any(|window| plain.windows(4).any(|other| window == other)));
    assert_ne!(first[40..], second[40..]);
    // The same number and another random: a state that was copied.
    let mut copied = Sealer::new(&name(), &key(1), SessionId { number: 5, random: [8; 8] });
    assert_ne!(sealed(&mut copied)[40..], first[40..]);
}

#[test]
fn every_flipped_bit_is_found() {
    let datagram = sealed(&mut sealer(5));
    for bit in 0..datagram.len() * 8 {
        let mut flipped = datagram.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened = opener().open(&mut flipped).map(|(header, _)| header);
        let wanted = match bit / 8 {
            0..3 => Foreign::Magic,
            3 => Foreign::Version,
            4..12 => Foreign::Link,
            12..16 => Foreign::Key,
            _ => Foreign::Forged,
        };
        assert_eq!(opened, Err(wanted), "bit {bit}");
    }
    for length in 0..datagram.len() {
        let mut cut = datagram[..length].to_vec();
        let wanted = if length < MIN_BYTES { Foreign::Short } else { Foreign::Forged };
        assert_eq!(opener().open(&mut cut).map(|_| ()), Err(wanted));
    }
}

#[test]
fn another_key_and_another_link_are_told_apart() {
    let mut datagram = sealed(&mut sealer(5));
    let keys = Keys::new(key(2), None).unwrap();
    assert_eq!(Opener::new(&name(), keys).open(&mut datagram).map(|_| ()), Err(Foreign::Key));
    let other = LinkName::new("another").unwrap();
    let keys = Keys::new(key(1), None).unwrap();
    assert_eq!(Opener::new(&other, keys).open(&mut datagram).map(|_| ()), Err(Foreign::Link));
    // The id of a key says nothing of who has the key.
    let mut forged = key(2);
    forged.id = key(1).id;
    let mut sealer = Sealer::new(&name(), &forged, session(5));
    assert_eq!(opener().open(&mut sealed(&mut sealer)).map(|_| ()), Err(Foreign::Forged));
}

#[test]
fn two_keys_are_good_while_they_are_changed() {
    let keys = Keys::new(key(1), Some(key(2))).unwrap();
    let mut opener = Opener::new(&name(), keys);
    for number in [1, 2, 1, 2] {
        let mut sealer = Sealer::new(&name(), &key(number), session(u64::from(number)));
        let mut datagram = sealed(&mut sealer);
        assert_eq!(opener.open(&mut datagram).unwrap().0.key, key(number).id());
    }
    assert!(Keys::new(key(1), Some(key(1))).is_err());
}

#[test]
fn a_key_ends_with_its_generation_and_a_session_with_its_counter() {
    let (mut sealer, mut opener) = (sealer(5), opener());
    sealer.counter = (1 << GENERATION_BITS) - 2;
    let mut late = sealed(&mut sealer);
    for _ in 0..3 {
        let mut datagram = sealed(&mut sealer);
        assert!(opener.open(&mut datagram).is_ok());
    }
    assert_eq!(sealer.current.as_ref().unwrap().0, 1);
    assert!(opener.open(&mut late).is_ok(), "the key before is still good");
    sealer.counter = MAX_COUNTER - 1;
    let mut last = sealed(&mut sealer);
    assert!(opener.open(&mut last).is_ok());
    let mut out = vec![1];
    assert_eq!(sealer.seal(&HEARTBEAT, &mut out), Err(CounterExhausted));
    assert!(out.is_empty());
}

#[test]
fn what_is_not_authentic_costs_no_memory_and_no_key() {
    let (mut sealer, mut opener) = (sealer(5), opener());
    assert!(opener.open(&mut sealed(&mut sealer)).is_ok());
    for number in 0..100 {
        let mut forged = sealed(&mut sealer);
        forged[16..24].copy_from_slice(&u64::to_be_bytes(number + 6));
        assert_eq!(opener.open(&mut forged).map(|_| ()), Err(Foreign::Forged));
    }
    assert_eq!(opener.kept.len(), 1);
    for number in 6..100 {
        let mut sealer = Sealer::new(&name(), &key(1), session(number));
        assert!(opener.open(&mut sealed(&mut sealer)).is_ok());
    }
    assert_eq!(opener.kept.len(), super::KEPT_KEYS);
}

#[test]
fn names_have_a_length_and_keys_are_not_printed() {
    assert!(LinkName::new("").is_err());
    assert!(LinkName::new(&"x".repeat(65)).is_err());
    assert!(LinkName::new(&"x".repeat(64)).is_ok());
    let printed = format!("{:?}", key(0x41));
    assert_eq!(printed, format!("link key {:08x}", key(0x41).id()));
    assert_ne!(key(1).id(), key(2).id());
    let text = format!("{:?}{:?}", sealer(1), opener());
    assert!(!text.contains(&format!("{:?}", [1; 32])), "{text}");
}
