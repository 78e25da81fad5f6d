//! The subscriptions of one session: to the commands for its node, and to its host's STATE. What the
//! broker refuses is asked for again, at growing pauses and when somebody asks for it. Sans-IO: time comes
//! in, requests go out.

use std::time::Duration;

use tokio::time::Instant;

/// What was refused is asked for again after this; the pause doubles …
const FIRST_AGAIN: Duration = Duration::from_secs(60);
/// … up to this.
const LAST_AGAIN: Duration = Duration::from_secs(3_600);

/// The filters of a session.
#[derive(Debug)]
pub(super) struct Commands {
    filters: Vec<String>,
    /// Of the request that has no answer.
    asked: Vec<String>,
    refused: Vec<String>,
    pause: Duration,
    /// When what is refused is asked for again.
    again: Option<Instant>,
}

/// What an answer says that wasn't known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) refused: Vec<String>,
    pub(super) granted: Vec<String>,
}

impl Commands {
    pub(super) fn new(filters: Vec<String>) -> Commands {
        let (asked, refused) = (Vec::new(), Vec::new());
        Commands { filters, asked, refused, pause: FIRST_AGAIN, again: None }
    }

    /// All of them, for people.
    pub(super) fn names(&self) -> String {
        self.filters.join(", ")
    }

    /// What is asked for first.
    pub(super) fn first(&mut self) -> &[String] {
        self.asked.clone_from(&self.filters);
        &self.asked
    }

    /// The broker has said that it takes no wildcards (MQTT 5 §3.2.2.3.11): filters that have some aren't asked
    /// for. Which they are.
    pub(super) fn leave_wildcards(&mut self) -> Vec<String> {
        let (left, kept) = std::mem::take(&mut self.filters)
            .into_iter()
            .partition(|filter: &String| filter.contains(['+', '#']));
        self.filters = kept;
        left
    }

    /// What is asked for again; nothing while an answer is to come.
    pub(super) fn again(&mut self) -> &[String] {
        self.again = None;
        if self.asked.is_empty() {
            self.asked.clone_from(&self.refused);
            return &self.asked;
        }
        &[]
    }

    /// When [`Commands::again`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    /// Somebody has changed something at the broker, perhaps.
    pub(super) fn hasten(&mut self, now: Instant) {
        if !self.refused.is_empty() {
            (self.pause, self.again) = (FIRST_AGAIN, Some(now));
        }
    }

    /// The broker grants or refuses what was asked for, one by one.
    pub(super) fn answered(&mut self, now: Instant, granted: &[bool]) -> Answer {
        let before = std::mem::take(&mut self.refused);
        let mut answer = Answer::default();
        for (filter, granted) in std::mem::take(&mut self.asked).into_iter().zip(granted) {
            match (granted, before.contains(&filter)) {
                (true, true) => answer.granted.push(filter),
                (true, false) => {}
                (false, was) => {
                    if !was {
                        answer.refused.push(filter.clone());
                    }
                    self.refused.push(filter);
                }
            }
        }
        self.again = None;
        if !self.refused.is_empty() {
            self.again = now.checked_add(self.pause);
            self.pause = self.pause.saturating_mul(2).min(LAST_AGAIN);
        }
        answer
    }

    /// They aren't asked for, since the broker ends sessions at it: as if it refused them, and only
    /// somebody who changes something has them asked for again.
    pub(super) fn forgone(&mut self) {
        (self.asked, self.again) = (Vec::new(), None);
        self.refused.clone_from(&self.filters);
    }

    /// Some are asked for, and there is no answer.
    pub(super) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Commands {
        Commands::new(vec!["n".to_owned(), "d".to_owned()])
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_granted_is_asked_for_once() {
        let (mut commands, now) = (commands(), Instant::now());
        assert_eq!(commands.first(), names(&["n", "d"]));
        assert_eq!(commands.answered(now, &[true, true]), Answer::default());
        assert!(commands.due().is_none() && !commands.is_refused());
        commands.hasten(now);
        assert!(commands.due().is_none());
    }

    #[test]
    fn filters_with_wildcards_are_left_where_the_broker_takes_none() {
        let mut commands = Commands::new(names(&["n", "d/+"]));
        assert_eq!(commands.leave_wildcards(), names(&["d/+"]));
        assert_eq!(commands.first(), names(&["n"]));
        assert_eq!(commands.answered(Instant::now(), &[true]), Answer::default());
    }

    #[test]
    fn what_is_forgone_is_asked_for_when_somebody_says_so_and_not_before() {
        let (mut commands, now) = (commands(), Instant::now());
        commands.forgone();
        assert!(commands.is_refused() && commands.due().is_none() && !commands.is_asking());
        commands.hasten(now);
        assert_eq!(commands.due(), Some(now));
        assert_eq!(commands.again(), names(&["n", "d"]));
        assert!(commands.is_asking());
        assert_eq!(commands.answered(now, &[true, true]).granted, names(&["n", "d"]));
        assert!(!commands.is_asking() && !commands.is_refused());
    }

    #[test]
    fn what_is_refused_is_asked_for_again_at_growing_pauses_and_told_once() {
        let (mut commands, mut now) = (commands(), Instant::now());
        commands.first();
        let answer = commands.answered(now, &[true, false]);
        assert_eq!(answer, Answer { refused: names(&["d"]), granted: Vec::new() });
        for pause in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert_eq!(commands.due(), Some(now + Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
            assert_eq!(commands.again(), names(&["d"]));
            assert!(commands.due().is_none(), "the answer is to come");
            assert_eq!(commands.answered(now, &[false]), Answer::default());
        }
        // Somebody says so: at once, and with short pauses again.
        commands.hasten(now);
        assert_eq!(commands.due(), Some(now));
        assert_eq!(commands.again(), names(&["d"]));
        commands.hasten(now);
        assert!(commands.again().is_empty(), "one request at a time");
        let answer = commands.answered(now, &[true]);
        assert_eq!(answer, Answer { refused: Vec::new(), granted: names(&["d"]) });
        assert!(commands.due().is_none() && !commands.is_refused());
    }
}
