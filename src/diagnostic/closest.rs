//! "Did you mean": which of a few words was probably meant.

/// The candidate that `word` was probably meant to be: the same but for case and for `-`
/// against `_`, or at most a third of its letters away.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longer = candidate.chars().count().max(wanted.chars().count());
            *distance <= longer.div_ceil(3) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_forgives_case_underscores_and_a_third_of_the_letters() {
        let keys = ["edge-node", "device", "deny-metrics"];
        assert_eq!(closest("edge_node", keys), Some("edge-node"));
        assert_eq!(closest("Device", keys), Some("device"));
        assert_eq!(closest("deny-metric", keys), Some("deny-metrics"));
        assert_eq!(closest("colour", keys), None);
        assert_eq!(closest("x", ["y"]), None);
    }
}
