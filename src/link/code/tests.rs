//! Tests of `code`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use proptest::prelude::{Just, Strategy, any, proptest};

use super::{CodeError, Decoder, Encoder, MAX_REPAIR_SYMBOLS, MAX_SOURCE_SYMBOLS};

type Symbols = Vec<Vec<u8>>;

fn symbols() -> impl Strategy<Value = Symbols> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 1..40)
}

/// A block, how many repair symbols it gets, and which of all are lost.
fn blocks() -> impl Strategy<Value = (Symbols, usize, Vec<bool>)> {
    (symbols(), 1..40_usize).prop_flat_map(|(symbols, repair)| {
        let all = symbols.len() + repair;
        (Just(symbols), Just(repair), proptest::collection::vec(any::<bool>(), all))
    })
}

proptest! {
    #[test]
    fn any_k_of_n_are_enough_and_fewer_are_an_error(blocks in proptest::collection::vec(blocks(), 1..4)) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (symbols, repair, lost) in blocks {
            let repaired = encoder.encode(&symbols, repair).unwrap();
            assert_eq!(repaired.len(), repair);
            let source: Vec<Option<Vec<u8>>> = symbols
                .iter()
                .zip(&lost)
                .map(|(symbol, lost)| (!lost).then(|| symbol.clone()))
                .collect();
            let there: Vec<(u16, Vec<u8>)> = (0..)
                .zip(repaired)
                .zip(&lost[symbols.len()..])
                .filter(|(_, lost)| !**lost)
                .map(|(repair, _)| repair)
                .collect();
            let missing: Vec<(usize, Vec<u8>)> = symbols
                .into_iter()
                .enumerate()
                .filter(|(index, _)| source[*index].is_none())
                .collect();
            let wanted =
                if missing.len() <= there.len() { Ok(missing) } else { Err(CodeError) };
            assert_eq!(decoder.decode(&source, repair, &there), wanted);
        }
    }

    #[test]
    fn what_does_not_belong_together_is_an_error_or_other_bytes(
        source in proptest::collection::vec(
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)), 0..20),
        repair_count in 0..30_usize,
        repair in proptest::collection::vec(
            (0..40_u16, proptest::collection::vec(any::<u8>(), 0..12)), 0..20),
    ) {
        if let Ok(restored) = Decoder::default().decode(&source, repair_count, &repair) {
            for (index, bytes) in restored {
                assert!(source[index].is_none() && !bytes.is_empty());
            }
        }
    }
}

#[test]
fn nothing_above_the_caps_is_coded() {
    let many = vec![vec![1]; MAX_SOURCE_SYMBOLS + 1];
    assert_eq!(Encoder::default().encode(&many, 1), Err(CodeError));
    assert_eq!(Encoder::default().encode(&many[..2], MAX_REPAIR_SYMBOLS + 1), Err(CodeError));
    assert_eq!(Encoder::default().encode(&many[..0], 1), Err(CodeError));
    let source = vec![None::<Vec<u8>>; MAX_SOURCE_SYMBOLS + 1];
    assert_eq!(Decoder::default().decode(&source, 1, &[(0, vec![0; 4])]), Err(CodeError));
    let repair: Vec<(u16, Vec<u8>)> = vec![(0, vec![0; 4])];
    let one: [Option<Vec<u8>>; 2] = [None, Some(vec![1])];
    assert_eq!(Decoder::default().decode(&one, MAX_REPAIR_SYMBOLS + 1, &repair), Err(CodeError));
    let largest = Encoder::default().encode(&many[1..], 8).unwrap();
    assert_eq!(largest.len(), 8);
}

#[test]
fn a_decoder_goes_on_after_symbols_that_it_cannot_take() {
    // The crate's decoder is unusable, and panics, after a reset that failed.
    let mut decoder = Decoder::default();
    let symbols = vec![vec![1; 6], vec![2; 6]];
    let repair = Encoder::default().encode(&symbols, 2).unwrap();
    let source = [None, Some(symbols[1].clone())];
    let sound = [(1, repair[1].clone())];
    let wanted = Ok(vec![(0, symbols[0].clone())]);
    assert_eq!(decoder.decode(&source, 2, &sound), wanted);
    for bytes in [1, 0, 3] {
        assert_eq!(decoder.decode(&source, 2, &[(1, vec![0; bytes])]), Err(CodeError));
        assert_eq!(decoder.decode(&source, 2, &sound), wanted);
    }
    assert_eq!(decoder.decode(&source, 0, &sound), Err(CodeError), "it has none");
    assert_eq!(decoder.decode(&source, 2, &[(7, repair[1].clone())]), Err(CodeError));
    assert_eq!(decoder.decode(&source, 2, &sound), wanted);
}

#[test]
fn a_coded_symbol_has_one_form() {
    let decode =
        |coded: &[u8]| Decoder::default().decode(&[None::<Vec<u8>>], 1, &[(0, coded.to_vec())]);
    assert_eq!(decode(&[2, 0, 7, 8, 0, 0]), Ok(vec![(0, vec![7, 8])]));
    assert_eq!(decode(&[2, 0, 7, 8, 0, 1]), Err(CodeError), "something behind it");
    assert_eq!(decode(&[5, 0, 7, 8, 0, 0]), Err(CodeError), "longer than it is");
    assert_eq!(decode(&[0, 0, 0, 0]), Err(CodeError), "of nothing");
}
