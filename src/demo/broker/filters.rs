//! Many filters as one.

/// The narrowest filter of the form `a/b/#` that takes in all of `filters`, or the only one.
pub(super) fn cover(filters: &[String]) -> String {
    let [first, others @ ..] = filters else { return "#".to_owned() };
    if others.is_empty() {
        return first.clone();
    }
    let mut common: Vec<&str> = first.split('/').filter(|level| *level != "#").collect();
    for other in others {
        let same = common.iter().zip(other.split('/')).take_while(|(one, two)| *one == two);
        common.truncate(same.count());
    }
    common.push("#");
    common.join("/")
}
