//! Tests of `packing`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{Item, MAX_ITEM_BYTES, NONE, Packer, TooLarge, Unpacked, Unpacker};
use crate::datagram::Malformed;

fn item(unpacked: &Unpacked) -> Item<'_> {
    match unpacked {
        Unpacked::Note(bytes) => Item::Note(bytes),
        Unpacked::Frame { number, tag, bytes } => Item::Frame { number: *number, tag: *tag, bytes },
    }
}

/// Packs, with a flush behind those items that say so.
fn packed(symbol_bytes: usize, items: &[(Unpacked, bool)]) -> Vec<Vec<u8>> {
    let mut packer = Packer::new(symbol_bytes);
    let mut symbols = Vec::new();
    for (unpacked, flush) in items {
        packer.push(item(unpacked), |symbol| symbols.push(symbol)).unwrap();
        if *flush {
            symbols.extend(packer.flush());
        }
    }
    symbols.extend(packer.flush());
    assert!(packer.is_empty());
    assert!(symbols.iter().all(|symbol| symbol.len() <= symbol_bytes && symbol.len() > 2));
    symbols
}

fn unpacked(unpacker: &mut Unpacker, symbol: &[u8]) -> Vec<Unpacked> {
    let mut out = Vec::new();
    unpacker.symbol(symbol, |item| out.push(item)).unwrap();
    out
}

fn frame(number: u64, bytes: usize) -> Unpacked {
    Unpacked::Frame { number, tag: 77, bytes: vec![number as u8; bytes] }
}

fn items() -> impl Strategy<Value = Vec<(Unpacked, bool)>> {
    let bytes = || {
        let length = prop_oneof![0..4_usize, 0..40_usize, 0..400_usize];
        length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
    };
    let number = prop_oneof![0..200_u64, any::<u64>()];
    let one = prop_oneof![
        bytes().prop_map(Unpacked::Note),
        (number, any::<u32>(), bytes()).prop_map(|(number, tag, bytes)| Unpacked::Frame {
            number,
            tag,
            bytes
        }),
    ];
    proptest::collection::vec((one, any::<bool>()), 1..40)
}

#[test]
fn an_item_above_the_cap_is_refused_before_it_is_packed() {
    let mut packer = Packer::new(100);
    let bytes = vec![0; MAX_ITEM_BYTES + 1];
    let refused = packer.push(Item::Note(&bytes), |_| panic!("packed"));
    assert_eq!(refused, Err(TooLarge { bytes: MAX_ITEM_BYTES + 1 }));
    assert!(packer.is_empty());
}

#[test]
fn what_is_too_large_for_the_reader_is_passed_over() {
    let items = [(frame(1, 10), false), (frame(2, 500), false), (frame(3, 10), false)];
    let mut unpacker = Unpacker::new(100);
    let mut out = Vec::new();
    for symbol in packed(50, &items) {
        out.extend(unpacked(&mut unpacker, &symbol));
        assert!(unpacker.held_bytes() <= 100);
    }
    assert_eq!(out, [frame(1, 10), frame(3, 10)]);
    assert_eq!(unpacker.too_large(), 1);
}

#[test]
fn a_length_takes_no_memory() {
    let mut unpacker = Unpacker::new(MAX_ITEM_BYTES);
    // A frame of 128 MiB, of which one byte comes.
    let mut symbol = vec![0, 0, 1];
    super::put_varint(128 << 20, &mut symbol);
    symbol.extend([5, 0, 0, 0, 9, 0xaa]);
    assert_eq!(unpacked(&mut unpacker, &symbol), []);
    assert_eq!(unpacker.held_bytes(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_and_passed_over() {
    let good = packed(50, &[(frame(7, 10), false)]).remove(0);
    let endless = [&[0, 0, 1][..], &[0xff; 11]].concat();
    let too_long = [0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1];
    for bad in [&[][..], &[0], &[0, 5, 1], &[0, 0], &[0, 0, 2, 1, 1], &endless, &too_long] {
        let mut unpacker = Unpacker::new(1_000);
        assert_eq!(unpacker.symbol(bad, |_| ()), Err(Malformed), "{bad:?}");
        assert_eq!(unpacked(&mut unpacker, &good), [frame(7, 10)], "{bad:?}");
    }
    // An item that begins where none should: in the middle of another, or behind what was said.
    let symbols = packed(20, &[(frame(1, 40), false), (frame(2, 3), false)]);
    let mut unpacker = Unpacker::new(1_000);
    unpacked(&mut unpacker, &symbols[0]);
    let mut other = symbols[1].clone();
    other[..2].copy_from_slice(&3_u16.to_be_bytes());
    assert_eq!(unpacker.symbol(&other, |_| ()), Err(Malformed));
    let mut unpacker = Unpacker::new(1_000);
    unpacked(&mut unpacker, &symbols[0]);
    unpacked(&mut unpacker, &symbols[1]);
    let mut other = symbols[2].clone();
    other[..2].copy_from_slice(&NONE.to_be_bytes());
    assert_eq!(unpacker.symbol(&other, |_| ()), Err(Malformed));
}

proptest! {
    #[test]
    fn items_come_out_as_they_went_in(symbol_bytes in 3..200_usize, items in items()) {
        let mut unpacker = Unpacker::new(1_000);
        let mut out = Vec::new();
        for symbol in packed(symbol_bytes, &items) {
            out.extend(unpacked(&mut unpacker, &symbol));
        }
        let wanted: Vec<Unpacked> = items.into_iter().map(|(item, _)| item).collect();
        assert_eq!(out, wanted);
    }

    #[test]
    fn after_a_gap_only_whole_items_come_out_in_order(
        symbol_bytes in 3..60_usize,
        items in items(),
        lost in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut unpacker = Unpacker::new(1_000);
        let mut out = Vec::new();
        for (symbol, lost) in packed(symbol_bytes, &items).iter().zip(lost.iter().cycle()) {
            if *lost {
                unpacker.gap();
            } else {
                out.extend(unpacked(&mut unpacker, symbol));
            }
        }
        let mut all = items.into_iter().map(|(item, _)| item);
        assert!(out.iter().all(|item| all.any(|other| other == *item)), "{out:?}");
    }

    #[test]
    fn any_bytes_are_unpacked_without_harm(
        symbols in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..60), 1..20),
    ) {
        let mut unpacker = Unpacker::new(100);
        let mut taken = 0;
        let mut made = 0;
        for symbol in &symbols {
            taken += symbol.len();
            let _ = unpacker.symbol(symbol, |item| made += match item {
                Unpacked::Note(bytes) | Unpacked::Frame { bytes, .. } => bytes.len() + 2,
            });
            assert!(unpacker.held_bytes() <= 100);
            assert!(made <= taken, "more came out than went in");
        }
    }
}
