//! Places of names in long lists: a list that is searched for name after name is read once, and not
//! once for each name.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::{PropertySet, Template, steps};

/// Lists of so many names are searched as they are.
const FEW: usize = 16;

/// Where names are in one list. The list may grow at its end; whoever changes it otherwise
/// begins with new places.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Of several with the same name the first one counts.
    by_name: BTreeMap<Box<str>, usize>,
    /// So many names of the list were read.
    read: usize,
}

impl Places {
    /// The place of `name` in a list of `length` names, of which `name_at` tells each.
    pub fn find<'n>(
        &mut self,
        name: &str,
        length: usize,
        name_at: impl Fn(usize) -> Option<&'n str>,
    ) -> Option<usize> {
        if length <= FEW {
            steps::take(length);
            return (0..length).find(|place| name_at(*place) == Some(name));
        }
        if self.read > length {
            *self = Places::default();
        }
        steps::take(length.saturating_sub(self.read).saturating_add(1));
        for place in self.read..length {
            if let Some(name) = name_at(place) {
                self.by_name.entry(name.into()).or_insert(place);
            }
        }
        self.read = length;
        self.by_name.get(name).copied()
    }

    /// The place of a property.
    pub fn property(&mut self, set: &PropertySet, key: &str) -> Option<usize> {
        self.find(key, set.keys.len(), |place| set.keys.get(place).map(String::as_str))
    }
}

/// Where the members and parameters of one template are, and of those within it. A nameless one
/// goes by the empty name.
#[derive(Clone, Debug, Default)]
pub struct TemplatePlaces {
    members: Places,
    parameters: Places,
    within: BTreeMap<usize, TemplatePlaces>,
}

impl TemplatePlaces {
    /// The place of a member.
    pub fn member(&mut self, template: &Template, name: &str) -> Option<usize> {
        let all = &template.metrics;
        let name_at =
            |place: usize| all.get(place).map(|one| one.name.as_deref().unwrap_or_default());
        self.members.find(name, all.len(), name_at)
    }

    /// The place of a parameter.
    pub fn parameter(&mut self, template: &Template, name: &str) -> Option<usize> {
        let all = &template.parameters;
        let name_at =
            |place: usize| all.get(place).map(|one| one.name.as_deref().unwrap_or_default());
        self.parameters.find(name, all.len(), name_at)
    }

    /// Those of the template that is the value of the member at this place.
    pub fn within(&mut self, place: usize) -> &mut TemplatePlaces {
        self.within.entry(place).or_default()
    }

    /// The member at this place has another value.
    pub fn forget(&mut self, place: usize) {
        if !self.within.is_empty() {
            self.within.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    fn list(length: usize) -> Vec<String> {
        (0..length).map(|number| format!("n{number}")).collect()
    }

    fn find(places: &mut Places, list: &[String], name: &str) -> Option<usize> {
        places.find(name, list.len(), |place| list.get(place).map(String::as_str))
    }

    #[test]
    fn names_are_found_in_short_and_long_lists() {
        for length in [0, 1, FEW, FEW + 1, 1000] {
            let (list, mut places) = (list(length), Places::default());
            for (place, name) in list.iter().enumerate() {
                assert_eq!(find(&mut places, &list, name), Some(place));
            }
            assert_eq!(find(&mut places, &list, "absent"), None);
        }
    }

    #[test]
    fn a_list_is_read_once_and_its_growth_once() {
        let (mut list, mut places) = (list(1000), Places::default());
        let before = steps::taken();
        for name in &list {
            find(&mut places, &list, name);
        }
        assert_eq!(steps::taken().wrapping_sub(before), 2000);
        list.push("late".into());
        let before = steps::taken();
        assert_eq!(find(&mut places, &list, "late"), Some(1000));
        assert_eq!(steps::taken().wrapping_sub(before), 2);
        list.truncate(500);
        assert_eq!(find(&mut places, &list, "late"), None);
        assert_eq!(find(&mut places, &list, "n499"), Some(499));
    }

    #[test]
    fn the_first_of_two_counts() {
        let (mut list, mut places) = (list(100), Places::default());
        list.push("n7".into());
        assert_eq!(find(&mut places, &list, "n7"), Some(7));
    }
}
