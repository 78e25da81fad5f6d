//! `[mirror]`: aliases, births that are compressed, folded groups.

use super::*;
use crate::Aliases;

#[test]
fn aliases_and_compression_are_asked_for() {
    let with = |lines: &str| {
        let mirror = IT.replacen("[mirror]\n", &format!("[mirror]\n{lines}\n"), 1);
        if mirror == IT { format!("{IT}\n[mirror]\n{lines}\n") } else { mirror }
    };
    let of = |lines: &str| {
        let mirror = it(&with(lines)).unwrap().0.mirror;
        (mirror.aliases, mirror.compress_births_above)
    };
    assert_eq!(of(""), (Aliases::Never, None));
    assert_eq!(of("aliases = \"never\"\ncompress-births-above-bytes = 0"), (Aliases::Never, None));
    assert_eq!(of("aliases = \"as-plant\""), (Aliases::AsPlant, None));
    assert_eq!(
        of("aliases = \"always\"\ncompress-births-above-bytes = 4096"),
        (Aliases::Always, Some(4096))
    );
    let plain = "neither encrypted nor authenticated";
    let wrong = it(&with("aliases = \"sometimes\"")).unwrap_err();
    assert_all(&wrong, &[plain, "unknown value of `aliases`: `sometimes`"]);
    let wrong = it(&with("compress-births-above-bytes = 67108865")).unwrap_err();
    assert_all(&wrong, &[plain, "`compress-births-above-bytes` is out of range: 67108865"]);
}

#[test]
fn groups_are_folded_where_that_is_asked_for_and_under_a_name_of_their_own() {
    let with = |lines: &str| {
        let mirror = IT.replacen("[mirror]\n", &format!("[mirror]\n{lines}\n"), 1);
        if mirror == IT { format!("{IT}\n[mirror]\n{lines}\n") } else { mirror }
    };
    let of = |lines: &str| it(&with(lines)).unwrap().0.mirror.fold;
    assert_eq!(of(""), None);
    assert_eq!(of("fold = \"none\""), None);
    assert_eq!(of("fold = \"group\"").as_deref(), Some("plant"));
    assert_eq!(of("fold = \"group\"\nfold-edge-node = \"Site 1\"").as_deref(), Some("Site 1"));
    let plain = "neither encrypted nor authenticated";
    for (lines, title) in [
        ("fold = \"node\"", "unknown value of `fold`: `node`"),
        ("fold-edge-node = \"a\"", "`fold-edge-node` without `fold = \"group\"`"),
    ] {
        assert_all(&it(&with(lines)).unwrap_err(), &[plain, title]);
    }
    let own = with("fold = \"group\"\nfold-edge-node = \"RELAY\"");
    let own = format!("{}\n[health]\nedge-node = \"relay\"\n", without_health(&own));
    let title = "the folded edge nodes and the relay's own have one name: `RELAY`";
    assert_all(&it(&own).unwrap_err(), &[plain, title]);
    let wrong = it(&with("fold = \"group\"\nfold-edge-node = \"a/b\"")).unwrap_err();
    assert!(wrong.to_string().contains("without `+`, `#`, `/`"), "{wrong}");
}

/// The file without what it says of `[health]`.
fn without_health(text: &str) -> String {
    let (before, from) = text.split_once("[health]").expect("the table");
    let after = from.find("\n[").map_or("", |at| &from[at..]);
    format!("{before}{after}")
}
