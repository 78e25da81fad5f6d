//! `[mirror]`: aliases, and births that are compressed.

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
