//! Topic aliases (MQTT 5 §3.3.2.3.4): a topic that is published to often goes once with its name and a number,
//! and then with the number alone. They are of one connection, and none is given to a second topic.

use std::collections::HashMap;
use std::sync::Mutex;

/// So many are used, whatever the broker offers: a name takes memory on both sides.
const MOST: u16 = 1_000;

#[derive(Debug)]
pub(super) struct Aliases {
    are_wanted: bool,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    /// So many topics may have one.
    most: u16,
    numbers: HashMap<String, u16>,
}

impl Aliases {
    pub(super) fn new(are_wanted: bool) -> Aliases {
        Aliases { are_wanted, given: Mutex::default() }
    }

    /// A connection begins, on which so many topics may have one; with 0: none stands.
    pub(super) fn allow(&self, topics: u16) {
        if let Ok(mut given) = self.given.lock() {
            let most = if self.are_wanted { topics.min(MOST) } else { 0 };
            *given = Given { most, numbers: HashMap::new() };
        }
    }

    /// What is written of a topic, and its number if it has one.
    pub(super) fn of<'a>(&self, topic: &'a str) -> (&'a str, Option<u16>) {
        let Ok(mut given) = self.given.lock() else { return (topic, None) };
        if given.most == 0 {
            return (topic, None);
        }
        if let Some(number) = given.numbers.get(topic) {
            return ("", Some(*number));
        }
        let next = u16::try_from(given.numbers.len()).ok().and_then(|count| count.checked_add(1));
        let Some(number) = next.filter(|number| *number <= given.most) else {
            return (topic, None);
        };
        given.numbers.insert(topic.to_owned(), number);
        (topic, Some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_goes_once_with_its_name_and_then_as_a_number() {
        let aliases = Aliases::new(true);
        assert_eq!(aliases.of("a"), ("a", None), "nothing is offered yet");
        aliases.allow(2);
        assert_eq!(aliases.of("a"), ("a", Some(1)));
        assert_eq!(aliases.of("b"), ("b", Some(2)));
        assert_eq!(aliases.of("c"), ("c", None), "no more are offered");
        assert_eq!(aliases.of("a"), ("", Some(1)));
        assert_eq!(aliases.of("b"), ("", Some(2)));
        // They don't outlive the connection.
        aliases.allow(1);
        assert_eq!(aliases.of("b"), ("b", Some(1)));
        aliases.allow(0);
        assert_eq!(aliases.of("b"), ("b", None));
    }

    #[test]
    fn where_they_are_not_wanted_every_name_goes_in_full() {
        let aliases = Aliases::new(false);
        aliases.allow(u16::MAX);
        assert_eq!(aliases.of("a"), ("a", None));
    }

    #[test]
    fn no_more_are_used_than_memory_is_meant_for() {
        let aliases = Aliases::new(true);
        aliases.allow(u16::MAX);
        let topics: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
        let with_one = topics.iter().filter(|topic| aliases.of(topic).1.is_some()).count();
        assert_eq!(with_one, usize::from(MOST));
    }
}
