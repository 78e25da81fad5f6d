//! The hash never changes, and every edge node is of exactly one shard.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::{prop_assert_eq, proptest};

use super::*;

/// Group, edge node, hash, and the shard of 2, 3, 4, 8 and 256.
#[rustfmt::skip]
const VECTORS: [(&str, &str, u64, [u32; 5]); 7] = [
    ("Plant1", "Line4", 0xe3b8_8306_da5a_1fe1, [2, 3, 2, 2, 226]),
    ("Plant1", "Line5", 0xc1a3_2770_2d6c_745b, [2, 1, 4, 4, 92]),
    ("Plant", "E", 0x39a1_0713_4af4_5a64, [1, 3, 1, 5, 101]),
    ("G", "E", 0xd5c1_6536_a9b5_467f, [2, 2, 4, 8, 128]),
    ("Werk Süd", "Ofen 3", 0xa004_b893_57ae_145a, [1, 3, 3, 3, 91]),
    ("a", "b", 0xf2a5_b2f6_0b00_6aec, [1, 3, 1, 5, 237]),
    ("STATE", "edge", 0x5b70_07d4_ecc5_89c6, [1, 3, 3, 7, 199]),
];

fn shard(text: &str) -> Shard {
    Shard::parse(text).unwrap()
}

#[test]
fn the_hash_is_the_one_that_is_documented() {
    for (group, edge_node, wanted, of) in VECTORS {
        assert_eq!(hash(group, edge_node), wanted, "{group}/{edge_node}");
        for (count, index) in [2, 3, 4, 8, 256].into_iter().zip(of) {
            assert_eq!(
                Shard::of_node(group, edge_node, count),
                index,
                "{group}/{edge_node} {count}"
            );
            assert!(Shard::new(index, count).unwrap().has(group, edge_node));
        }
        assert!(shard("1/1").has(group, edge_node));
    }
}

#[test]
fn names_that_differ_in_a_digit_are_spread_evenly() {
    for count in [2, 3, 4, 8] {
        for form in ["Line#", "Gateway-0000#", "#/cell", "node #0"] {
            let mut of = vec![0_u32; usize::try_from(count).unwrap()];
            for number in 0..1_000 {
                let name = form.replace('#', &number.to_string());
                let index = Shard::of_node("Plant", &name, count);
                of[usize::try_from(index).unwrap() - 1] += 1;
            }
            let fair = 1_000 / count;
            assert!(
                of.iter().all(|nodes| nodes.abs_diff(fair) < fair / 4),
                "{count} {form} {of:?}"
            );
        }
    }
}

#[test]
fn what_is_no_shard_is_told() {
    for text in [
        "",
        "2",
        "/",
        "1/",
        "/4",
        "0/4",
        "5/4",
        "01/4",
        "+1/4",
        "1/04",
        "1/4/2",
        " 1/4",
        "1 / 4",
        "-1/4",
        "1/0",
        "1/257",
        "1/99999999999",
    ] {
        assert!(Shard::parse(text).is_err(), "{text}");
    }
    for text in ["1/1", "1/4", "4/4", "256/256"] {
        assert_eq!(shard(text).to_string(), text);
    }
    let all: Vec<String> = shard("2/3").all().map(|one| one.to_string()).collect();
    assert_eq!(all, ["1/3", "2/3", "3/3"]);
}

#[test]
fn devices_births_that_are_stored_and_whatever_names_the_node_go_with_it() {
    let topics = |group: &str, edge_node: &str| {
        [
            format!("spBv1.0/{group}/NBIRTH/{edge_node}"),
            format!("spBv1.0/{group}/NDEATH/{edge_node}"),
            format!("spBv1.0/{group}/NCMD/{edge_node}"),
            format!("spBv1.0/{group}/DDATA/{edge_node}/device"),
            format!("spBv1.0/{group}/DCMD/{edge_node}/device"),
            format!("spBv1.0/{group}/NRECORD/{edge_node}"),
            format!("spBv1.0/{group}/DRECORD/{edge_node}/device"),
            format!("$sparkplug/certificates/spBv1.0/{group}/NBIRTH/{edge_node}"),
            format!("$sparkplug/certificates/spBv1.0/{group}/DBIRTH/{edge_node}/device"),
        ]
    };
    for (group, edge_node, _, of) in VECTORS {
        for topic in topics(group, edge_node) {
            for one in shard("1/4").all() {
                assert_eq!(one.is_of_another(&topic), one.index() != of[2], "{topic} {one}");
            }
        }
    }
}

#[test]
fn what_names_no_edge_node_is_of_no_other_shard() {
    for topic in [
        "spBv1.0/STATE/host",
        "STATE/host",
        "spBv1.0/Plant/STATE/host",
        "spBv1.0/Plant/NDATA",
        "spBv1.0/Plant/NDATA/E/D",
        "spBv1.0/Plant/DDATA/E",
        "spBv1.0/Plant/NDATA/",
        "spBv1.0//NDATA/E",
        "spBv1.0/Plant/NDATA/E+",
        "spBv1.0/Plant/NDATA/E\0",
        "$sparkplug/certificates/spBv1.0/Plant/NDATA/E",
        "spAv1.0/Plant/NDATA/E",
        "factory/line",
        "",
    ] {
        for one in shard("1/4").all() {
            assert!(!one.is_of_another(topic), "{topic:?} {one}");
        }
    }
}

proptest! {
    #[test]
    fn exactly_one_shard_has_an_edge_node(
        group in "[^/+#\0]{1,20}",
        edge_node in "[^/+#\0]{1,20}",
        count in 1_u32..=Shard::MOST,
    ) {
        let first = Shard::new(1, count).unwrap();
        prop_assert_eq!(first.all().filter(|one| one.has(&group, &edge_node)).count(), 1);
        let topic = format!("spBv1.0/{group}/DDATA/{edge_node}/device");
        let others = first.all().filter(|one| one.is_of_another(&topic)).count();
        prop_assert_eq!(others.checked_add(1), usize::try_from(count).ok());
    }
}
