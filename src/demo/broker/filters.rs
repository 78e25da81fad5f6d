//! Many filters as few that don't overlap.

/// The narrowest filters of the form `a/b/#`, one for each first level, that take in all of
/// `filters`; one that is alone stays as it is. No topic matches two of them: the router delivers a
/// message once for each.
pub(super) fn cover(filters: &[String]) -> Vec<String> {
    let mut trees: Vec<(&str, Vec<&str>)> = Vec::new();
    for filter in filters {
        let first = filter.split('/').next().unwrap_or_default();
        if matches!(first, "#" | "+") {
            return vec![tree(filters)];
        }
        match trees.iter_mut().find(|(level, _)| *level == first) {
            Some((_, tree)) => tree.push(filter),
            None => trees.push((first, vec![filter])),
        }
    }
    trees.iter().map(|(_, filters)| tree(filters)).collect()
}

fn tree<T: AsRef<str>>(filters: &[T]) -> String {
    let [first, others @ ..] = filters else { return "#".to_owned() };
    let first = first.as_ref();
    if others.is_empty() {
        return first.to_owned();
    }
    let mut common: Vec<&str> = first.split('/').filter(|level| *level != "#").collect();
    for other in others {
        let levels = common.iter().zip(other.as_ref().split('/'));
        let same = levels.take_while(|(one, two)| *one == two);
        common.truncate(same.count());
    }
    common.push("#");
    common.join("/")
}
