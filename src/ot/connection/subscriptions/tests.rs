//! What the broker can make of our subscriptions, on virtual time.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use super::*;

const WITHIN: Duration = Duration::from_secs(30);

struct Rig {
    subscriptions: Subscriptions,
    start: Instant,
}

impl Rig {
    fn new(filters: &[&str]) -> Rig {
        let filters = filters.iter().map(|filter| (*filter).to_owned());
        Rig { subscriptions: Subscriptions::new(filters, WITHIN), start: clock::steady() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn poll(&mut self, seconds: u64) -> Option<Request> {
        let at = self.at(seconds);
        self.subscriptions.poll(at)
    }

    fn answered(&mut self, seconds: u64, granted: &[bool]) -> Vec<Said> {
        let grant = |granted: &bool| if *granted { Grant::AtLeastOnce } else { Grant::Refused };
        let grants: Vec<Grant> = granted.iter().map(grant).collect();
        let at = self.at(seconds);
        self.subscriptions.answered(at, &grants)
    }
}

fn subscribe(filters: &[&str]) -> Option<Request> {
    Some(Request::Subscribe(names(filters)))
}

fn names(filters: &[&str]) -> Vec<String> {
    filters.iter().map(|filter| (*filter).to_owned()).collect()
}

const STORED: &str = "$sparkplug/certificates/#";

#[test]
fn one_request_is_out_at_a_time_and_the_stored_births_come_last() {
    let mut rig = Rig::new(&["a", "b"]);
    assert_eq!(rig.poll(0), None, "no connection");
    rig.subscriptions.connected(true);
    assert_eq!(rig.poll(0), subscribe(&["a", "b"]));
    assert_eq!(rig.poll(1), None);
    assert_eq!(rig.answered(1, &[true, true]), []);
    assert_eq!(rig.poll(1), subscribe(&[STORED]));
    assert_eq!(rig.poll(1), None);
    assert_eq!(rig.answered(2, &[true]), []);
    assert_eq!(rig.poll(10_000), None);
    assert_eq!(rig.subscriptions.trouble(), None);
    assert_eq!(rig.subscriptions.next_look(), None);
    assert_eq!(rig.subscriptions.ended(true), None);
    rig.subscriptions.connected(false);
    assert_eq!(rig.poll(10_000), subscribe(&["a", "b"]), "with every connection");
}

#[test]
fn what_is_refused_is_named_once_and_asked_for_again_alone_with_growing_pauses() {
    let mut rig = Rig::new(&["a", "b", "c"]);
    rig.subscriptions.connected(false);
    rig.poll(0);
    assert_eq!(rig.answered(0, &[true, false, true]), [Said::Refused(names(&["b"]))]);
    let trouble = rig.subscriptions.trouble().unwrap();
    assert_eq!(trouble.words, "the OT broker refuses 1 of 3 subscriptions: b");
    assert!(!trouble.critical);
    rig.poll(0);
    rig.answered(0, &[true]);
    let mut asked = Vec::new();
    for second in 1..3_000 {
        if let Some(request) = rig.poll(second) {
            assert_eq!(Some(request), subscribe(&["b"]));
            asked.push(second);
            assert_eq!(rig.answered(second, &[false]), []);
        }
    }
    assert_eq!(asked, [15, 45, 105, 225, 465, 945, 1545, 2145, 2745]);
    // SIGHUP.
    rig.subscriptions.refilter(names(&["a", "b", "c"]));
    assert_eq!(rig.poll(3_000), subscribe(&["b"]));
    assert_eq!(rig.answered(3_000, &[true]), [Said::Granted(names(&["b"]))]);
    assert_eq!(rig.subscriptions.trouble(), None);
}

#[test]
fn all_refused_is_critical() {
    let mut rig = Rig::new(&["a", "b"]);
    rig.subscriptions.connected(false);
    rig.poll(0);
    rig.answered(0, &[false, false]);
    assert!(rig.subscriptions.trouble().unwrap().critical);
}

#[test]
fn a_broker_without_stored_births_is_told_of_once() {
    let mut rig = Rig::new(&["a"]);
    for connection in 0..3 {
        rig.subscriptions.connected(false);
        assert_eq!(rig.poll(0), subscribe(&["a"]));
        rig.answered(0, &[true]);
        let request = rig.poll(0);
        if connection == 0 {
            assert_eq!(request, subscribe(&[STORED]));
            assert_eq!(rig.answered(0, &[false]), [Said::ExtraRefused(Extra::StoredBirths)]);
        } else {
            assert_eq!(request, None);
        }
        assert_eq!(rig.subscriptions.trouble(), None);
        assert_eq!(rig.subscriptions.ended(true), None);
    }
    rig.subscriptions.connected(false);
    rig.poll(20);
    rig.answered(20, &[true]);
    assert_eq!(rig.poll(20), subscribe(&[STORED]), "later it is asked for again");
}

#[test]
fn a_broker_that_ends_the_connection_at_the_stored_births_is_served_without_them() {
    let mut rig = Rig::new(&["a"]);
    for times in 1..=2 {
        rig.subscriptions.connected(true);
        rig.poll(0);
        rig.answered(0, &[true]);
        assert_eq!(rig.poll(0), subscribe(&[STORED]));
        let given_up = times == 2;
        let said = Said::ExtraEndsSession { extra: Extra::StoredBirths, times, given_up };
        assert_eq!(rig.subscriptions.ended(true), Some(said));
    }
    rig.subscriptions.connected(true);
    rig.poll(0);
    rig.answered(0, &[true]);
    assert_eq!(rig.poll(100_000), None);
    rig.subscriptions.refilter(names(&["a"]));
    assert_eq!(rig.poll(100_000), None);
    assert_eq!(rig.subscriptions.ended(true), None);
}

#[test]
fn a_broker_that_ends_the_connection_at_the_subscription_is_counted() {
    let mut rig = Rig::new(&["a"]);
    for times in 1..=5 {
        rig.subscriptions.connected(true);
        rig.poll(0);
        assert_eq!(rig.poll(0), None);
        let said = Said::EndsSession { filters: names(&["a"]), times };
        assert_eq!(rig.subscriptions.ended(true), Some(said));
        assert_eq!(rig.subscriptions.trouble().is_some(), times > 1);
    }
    rig.subscriptions.connected(true);
    rig.poll(0);
    rig.answered(0, &[true]);
    assert_eq!(rig.subscriptions.trouble(), None);
}

#[test]
fn a_request_without_an_answer_is_told_and_gives_the_connection_up_unless_messages_come() {
    let mut rig = Rig::new(&["a"]);
    rig.subscriptions.connected(true);
    rig.poll(0);
    assert_eq!(rig.subscriptions.next_look(), Some(rig.at(30)));
    assert_eq!(rig.subscriptions.overdue(rig.at(29)), (None, false));
    rig.subscriptions.heard(rig.at(20));
    let said = Said::Unanswered { filters: names(&["a"]), waited: WITHIN };
    assert_eq!(rig.subscriptions.overdue(rig.at(30)), (Some(said), false));
    assert!(rig.subscriptions.trouble().unwrap().critical);
    assert_eq!(rig.subscriptions.next_look(), Some(rig.at(50)));
    assert_eq!(rig.subscriptions.overdue(rig.at(49)), (None, false));
    assert_eq!(rig.subscriptions.overdue(rig.at(50)), (None, true));
    assert_eq!(rig.subscriptions.ended(false), None, "we ended it");
    rig.subscriptions.connected(true);
    rig.poll(60);
    rig.answered(61, &[true]);
    assert_eq!(rig.subscriptions.trouble(), None);
}

#[test]
fn what_a_policy_wants_no_more_is_unsubscribed_and_what_is_new_is_asked_for() {
    let mut rig = Rig::new(&["a", "b"]);
    rig.subscriptions.connected(true);
    rig.poll(0);
    rig.subscriptions.refilter(names(&["b", "c"]));
    assert_eq!(rig.poll(0), None, "an answer is owed");
    rig.answered(0, &[true, true]);
    assert_eq!(rig.poll(0), Some(Request::Unsubscribe(names(&["a"]))));
    assert_eq!(rig.poll(0), subscribe(&["c"]));
    rig.answered(0, &[true]);
    assert_eq!(rig.poll(0), subscribe(&[STORED]));
    rig.answered(0, &[true]);
    rig.subscriptions.refilter(names(&["a", "b", "c"]));
    assert_eq!(rig.poll(0), subscribe(&["a"]));
}

#[test]
fn what_hosts_say_is_asked_for_last_and_a_broker_may_keep_it() {
    const STATES: [&str; 2] = ["spBv1.0/STATE/+", "STATE/+"];
    let new = || {
        let mut rig = Rig::new(&["a"]);
        rig.subscriptions = Subscriptions::new(names(&["a"]), WITHIN).with_host_states();
        rig
    };
    let up_to_states = |rig: &mut Rig, seconds| {
        rig.subscriptions.connected(true);
        rig.poll(seconds);
        rig.answered(seconds, &[true]);
        assert_eq!(rig.poll(seconds), subscribe(&[STORED]));
        rig.answered(seconds, &[true]);
        rig.poll(seconds)
    };
    let mut rig = new();
    assert_eq!(up_to_states(&mut rig, 0), subscribe(&STATES));
    assert_eq!(rig.answered(0, &[true, false]), [], "those that are asked for are one of two");
    assert_eq!(rig.poll(100_000), None);

    let mut rig = new();
    up_to_states(&mut rig, 0);
    assert_eq!(rig.answered(0, &[false, false]), [Said::ExtraRefused(Extra::HostStates)]);
    assert_eq!(rig.subscriptions.trouble(), None, "nothing of the policy is missing");
    assert_eq!(rig.poll(15), subscribe(&STATES), "later it is asked for again");
    assert_eq!(rig.answered(15, &[false, false]), []);

    let mut rig = new();
    for times in 1..=2 {
        assert_eq!(up_to_states(&mut rig, 0), subscribe(&STATES));
        let (extra, given_up) = (Extra::HostStates, times == 2);
        let said = Said::ExtraEndsSession { extra, times, given_up };
        assert_eq!(rig.subscriptions.ended(true), Some(said));
    }
    assert_eq!(up_to_states(&mut rig, 0), None);
}

#[test]
fn filters_that_are_granted_at_qos_0_are_told_once_and_stay_a_trouble_until_they_are_not() {
    let mut rig = Rig::new(&["a", "b"]);
    let answer = |rig: &mut Rig, seconds, grants: &[Grant]| {
        rig.subscriptions.connected(true);
        assert_eq!(rig.poll(seconds), subscribe(&["a", "b"]));
        let at = rig.at(seconds);
        let said = rig.subscriptions.answered(at, grants);
        rig.subscriptions.ended(false);
        said
    };
    let weak = [Grant::AtLeastOnce, Grant::AtMostOnce];
    assert_eq!(answer(&mut rig, 1, &weak), [Said::Weaker(names(&["b"]))]);
    let trouble = rig.subscriptions.trouble().unwrap();
    assert!(!trouble.critical && trouble.words.contains("1 of 2"), "{}", trouble.words);
    assert_eq!(answer(&mut rig, 2, &weak), [], "told before");
    // What is refused is worse.
    let refused = [Grant::Refused, Grant::AtMostOnce];
    assert_eq!(answer(&mut rig, 3, &refused), [Said::Refused(names(&["a"]))]);
    assert!(rig.subscriptions.trouble().unwrap().words.contains("refuses 1 of 2"));
    let all = [Grant::AtLeastOnce, Grant::AtLeastOnce];
    assert_eq!(answer(&mut rig, 4, &all), [Said::Granted(names(&["a"]))]);
    assert_eq!(rig.subscriptions.trouble(), None);
    // A filter that isn't wanted any more is no trouble.
    answer(&mut rig, 5, &weak);
    rig.subscriptions.refilter(names(&["a"]));
    assert_eq!(rig.subscriptions.trouble(), None);
}

#[test]
fn filters_with_wildcards_are_not_asked_for_where_the_broker_takes_none() {
    let mut rig = Rig::new(&["a/#", "b"]);
    rig.subscriptions.connected(false);
    assert_eq!(rig.subscriptions.take_wildcards(false), Some(Said::Refused(names(&["a/#"]))));
    assert_eq!(rig.poll(0), subscribe(&["b"]));
    rig.answered(0, &[true]);
    let trouble = rig.subscriptions.trouble().unwrap();
    assert!(trouble.words.contains("refuses 1 of 2 subscriptions: a/#"), "{}", trouble.words);
    // Nor later, nor what the relay can do without.
    assert_eq!(rig.poll(100_000), None);
    rig.subscriptions.ended(true);
    rig.subscriptions.connected(false);
    assert_eq!(rig.subscriptions.take_wildcards(false), None, "told once");
    // The next broker at this address takes them.
    rig.subscriptions.ended(true);
    rig.subscriptions.connected(false);
    assert_eq!(rig.subscriptions.take_wildcards(true), None);
    assert_eq!(rig.poll(0), subscribe(&["a/#", "b"]));
    assert_eq!(rig.answered(0, &[true, true]), [Said::Granted(names(&["a/#"]))]);
}
