//! Whether the IT half takes what the OT half may write, by the limits of both.

use sparkplug::{Cap, Caps};

/// What is wrong, and what helps.
pub(super) struct Finding {
    pub(super) title: String,
    pub(super) help: String,
}

/// Compares the limits of both halves.
pub(super) fn compare(ot: &Caps, it: &Caps) -> Vec<Finding> {
    let mut found = Vec::new();
    let (written, taken) = (ot.relayed_bytes(), it.payload_bytes);
    if taken < written {
        found.push(Finding {
            title: format!(
                "the IT half takes smaller payloads than the OT half may write: \
                 `max-packet-bytes` is {taken}"
            ),
            help: format!(
                "with `max-packet-bytes = {}` in `ot.toml` it needs {written}: a birth grows when \
                 aliases become names",
                ot.payload_bytes
            ),
        });
    }
    for cap in Cap::OF_BOTH {
        if let (Some(written), Some(taken)) = (ot.of(cap), it.of(cap))
            && taken < written
        {
            let key = cap.key_in_limits().unwrap_or_default();
            found.push(Finding {
                title: format!(
                    "the IT half refuses what the OT half lets through: `[limits] {key}` is {taken}"
                ),
                help: format!("`ot.toml` has {written}: give `it.toml` as many"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that both halves have, by `[limits]` key; a field that is new has to be entered here.
    fn fields(caps: &mut Caps) -> [(Option<&'static str>, &mut usize); 10] {
        let Caps {
            payload_bytes,
            inflated_bytes,
            metrics,
            members,
            depth,
            name_bytes,
            text_bytes,
            cells,
            properties,
            metric_properties,
        } = caps;
        [
            (None, payload_bytes),
            // Nothing in a journal is compressed.
            (None, inflated_bytes),
            (Some("metrics-per-payload"), metrics),
            (Some("members-per-template"), members),
            (Some("nesting"), depth),
            (Some("name-bytes"), name_bytes),
            (Some("text-bytes"), text_bytes),
            (Some("cells-per-payload"), cells),
            (Some("properties-per-payload"), properties),
            (Some("properties-per-metric"), metric_properties),
        ]
    }

    fn defaults() -> (Caps, Caps) {
        let ot = Caps::of_payloads(Caps::PAYLOAD_BYTES);
        (ot.clone(), Caps::of_journal(ot.relayed_bytes()))
    }

    #[test]
    fn the_defaults_of_both_files_fit() {
        let (ot, it) = defaults();
        assert!(compare(&ot, &it).is_empty());
        assert!(compare(&it, &it).iter().all(|one| one.title.contains("max-packet-bytes")));
    }

    #[test]
    fn every_limit_that_is_smaller_on_it_is_told_with_both_values_and_its_key() {
        let (ot, it) = defaults();
        for place in 0..fields(&mut it.clone()).len() {
            let (mut ot, mut it) = (ot.clone(), it.clone());
            let (key, to) = &mut fields(&mut it)[place];
            let Some(key) = *key else { continue };
            let from = &mut *fields(&mut ot)[place].1;
            (*from, **to) = (321, 320);
            let found = compare(&ot, &it);
            assert_eq!(found.len(), 1, "{key}");
            assert!(found[0].title.ends_with(&format!("`[limits] {key}` is 320")), "{key}");
            assert!(found[0].help.contains("`ot.toml` has 321"), "{key}");
            // What is larger on IT, or the same, is right.
            *fields(&mut it)[place].1 = 321;
            assert!(compare(&ot, &it).is_empty(), "{key}");
        }
    }

    #[test]
    fn all_of_them_at_once_are_all_told() {
        let (mut ot, mut it) = defaults();
        fields(&mut ot).into_iter().for_each(|(_, from)| *from = 400);
        fields(&mut it).into_iter().for_each(|(_, to)| *to = 399);
        assert_eq!(compare(&ot, &it).len(), Cap::OF_BOTH.len() + 1);
    }

    #[test]
    fn payloads_that_the_ot_half_may_write_and_the_it_half_refuses_are_told() {
        let (ot, it) = defaults();
        let small = Caps { payload_bytes: ot.relayed_bytes() - 1, ..it };
        let found = compare(&ot, &small);
        assert_eq!(found.len(), 1);
        assert!(found[0].title.contains(&format!("`max-packet-bytes` is {}", small.payload_bytes)));
        assert!(found[0].help.contains(&ot.relayed_bytes().to_string()));
    }
}
