//! Limits hold back what comes too fast, and no birth.

use diagnostic::SourceFile;

use super::*;

const RULE: RuleId = RuleId(0);

fn limiter(rate: &str) -> Limiter {
    let text = format!(
        "[[rule]]\nname = \"limited\"\naction = \"forward\"\ngroup = \"*\"\n\
         [rule.rate]\n{rate}\n\
         [[rule]]\nname = \"unlimited\"\naction = \"forward\"\ngroup = \"*\"\n"
    );
    match Policy::parse(&[SourceFile::new("a.toml", text)]) {
        Ok((policy, _)) => Limiter::new(&policy),
        Err(problems) => panic!("{problems}"),
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Limiter {
    fn admit(&mut self, now: Duration, rule: RuleId, bytes: u32) -> bool {
        self.begin(now);
        self.ask_rule(rule, share(0, None, ""), bytes).is_ok()
    }
}

fn share<'a>(node: usize, device: Option<&'a str>, metric: &'a str) -> Share<'a> {
    Share { node, device, metric }
}

/// Who has used up a limit of one message, of those that ask for one each.
#[test]
fn a_limit_is_of_all_together_or_of_each() {
    let all = [
        share(0, None, "a"),
        share(0, None, "b"),
        share(0, Some("D"), "a"),
        share(0, Some("D"), "b"),
        share(0, Some("E"), "a"),
        share(1, None, "a"),
        share(1, Some("D"), "a"),
    ];
    for (per, passed) in [
        ("rule", [true, false, false, false, false, false, false]),
        ("edge-node", [true, false, false, false, false, true, false]),
        ("device", [true, false, true, false, true, true, true]),
        ("metric", [true; 7]),
    ] {
        let mut limiter = limiter(&format!("messages-per-s = 1\nper = \"{per}\""));
        for round in 0..3 {
            for (share, passes) in all.iter().zip(passed) {
                // The second and third of each have to wait for a second.
                limiter.begin(ms(10_000 + round * 400));
                let answer = limiter.ask_rule(RULE, *share, 10).is_ok();
                assert_eq!(answer, passes && round == 0, "{per} {share:?} {round}");
            }
        }
        limiter.begin(ms(11_001));
        assert!(limiter.ask_rule(RULE, all[0], 10).is_ok(), "{per}");
        limiter.give_back();
        limiter.begin(ms(11_001));
        assert!(limiter.ask_rule(RULE, all[0], 10).is_ok(), "{per}: what was given back is there");
        limiter.begin(ms(11_001));
        assert!(limiter.ask_rule(RULE, all[0], 10).is_err(), "{per}");
    }
}

#[test]
fn who_has_rested_takes_no_memory() {
    let mut limiter = limiter("messages-per-s = 10\nbytes-per-s = 2000\nper = \"metric\"");
    for round in 0..50_u64 {
        for metric in 0..500_u64 {
            let name = format!("{round}/{metric}");
            limiter.begin(ms(round * 2_000));
            assert!(limiter.ask_rule(RULE, share(0, None, &name), 100).is_ok());
        }
    }
    assert!(limiter.keyed.len() <= 2_048, "{}", limiter.keyed.len());
}

/// How many messages of `bytes` pass when `per_ms` of them come in each of `times`.
fn admitted(limiter: &mut Limiter, times: std::ops::Range<u64>, per_ms: u32, bytes: u32) -> u32 {
    times
        .map(|time| (0..per_ms).filter(|_| limiter.admit(ms(time), RULE, bytes)).count())
        .sum::<usize>() as u32
}

#[test]
fn burst_passes_at_once_and_then_the_rate() {
    let mut limiter = limiter("messages-per-s = 10\nburst-messages = 20");
    assert_eq!(admitted(&mut limiter, 5_000..5_001, 100, 1), 20);
    assert_eq!(admitted(&mut limiter, 5_001..10_001, 3, 1), 50);
    // A pause fills the bucket again, but never beyond the burst.
    assert_eq!(admitted(&mut limiter, 100_000..100_001, 100, 1), 20);
}

#[test]
fn burst_is_a_second_of_the_rate_if_not_given() {
    let mut limiter = limiter("messages-per-s = 2.5");
    assert_eq!(admitted(&mut limiter, 0..1, 100, 1), 3);
    assert_eq!(admitted(&mut limiter, 1..40_001, 1, 1), 100);
}

#[test]
fn less_than_one_message_per_second_is_a_rate_too() {
    let mut limiter = limiter("messages-per-s = 0.1");
    assert_eq!(admitted(&mut limiter, 0..1, 5, 1), 1);
    assert_eq!(admitted(&mut limiter, 1..10_000, 1, 1), 0);
    assert_eq!(admitted(&mut limiter, 10_000..10_001, 5, 1), 1);
}

#[test]
fn bytes_are_limited_by_their_number() {
    let mut limiter = limiter("bytes-per-s = 10000\nburst-bytes = 20000");
    assert_eq!(admitted(&mut limiter, 0..1, 100, 1_000), 20);
    assert_eq!(admitted(&mut limiter, 1..10_001, 1, 1_000), 100);
}

#[test]
fn message_larger_than_the_burst_passes_when_the_bucket_is_full() {
    let mut limiter = limiter("bytes-per-s = 1024\nburst-bytes = 2048");
    assert!(limiter.admit(ms(0), RULE, u32::MAX));
    assert!(!limiter.admit(ms(1_999), RULE, 1_000_000));
    assert!(limiter.admit(ms(2_001), RULE, 1_000_000));
    assert!(!limiter.admit(ms(2_001), RULE, 1_000_000));
    // It was not for free: even a small one has to wait now.
    assert!(!limiter.admit(ms(2_010), RULE, 1_000));
}

#[test]
fn refusal_by_one_limit_takes_nothing_from_the_other() {
    let both = "messages-per-s = 1\nburst-messages = 2\nbytes-per-s = 1024\nburst-bytes = 2048";
    let mut limiter = limiter(both);
    assert!(limiter.admit(ms(0), RULE, 2_048));
    // Refused for its bytes a hundred times; the second message of the burst is still there.
    assert_eq!(admitted(&mut limiter, 0..100, 1, 2_048), 0);
    assert!(limiter.admit(ms(100), RULE, 10));
    // Refused for the number of messages; the bytes are still there.
    assert_eq!(admitted(&mut limiter, 101..900, 1, 1), 0);
    assert!(limiter.admit(ms(1_101), RULE, 1_050));
}

#[test]
fn high_byte_rates_are_kept_within_a_thousandth() {
    for per_s in [30_000_000_u64, 700_000_000, 3_999_999_999] {
        let mut limiter = limiter(&format!("bytes-per-s = {per_s}\nburst-bytes = 1000000"));
        let message = 10_000;
        let passed = admitted(&mut limiter, 0..1_000, 1_000, message);
        let bytes = f64::from(passed) * f64::from(message);
        // Each tick can pass no more than the burst.
        let expected = (per_s as f64).min(1e9) + 1e6;
        let error = (bytes - expected).abs() / expected;
        assert!(error < 0.002, "{per_s}: {bytes} instead of {expected}");
    }
    assert_eq!(unit_and_period(30e6), Some((3, Duration::from_nanos(100))));
    assert_eq!(unit_and_period(1e6), Some((1, Duration::from_nanos(1_000))));
    assert!(unit_and_period(10e9).is_some());
}

#[test]
fn huge_times_neither_panic_nor_refill() {
    let mut limiter = limiter("messages-per-s = 1");
    assert!(limiter.admit(ms(10_000), RULE, 1));
    assert!(!limiter.admit(ms(10_500), RULE, 1));
    assert!(limiter.admit(Duration::MAX, RULE, 1));
    assert!(!limiter.admit(Duration::MAX, RULE, u32::MAX));
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut limiter = limiter("messages-per-s = 1\nburst-messages = 2");
    assert!(limiter.admit(ms(10_000), RULE, 1));
    // The second message of the burst, as if at 10 s.
    assert!(limiter.admit(ms(0), RULE, 1));
    assert!(!limiter.admit(ms(5_000), RULE, 1));
    assert!(limiter.admit(ms(11_000), RULE, 1));
}

#[test]
fn extreme_rates_that_the_language_allows_do_not_overflow() {
    for rate in [
        "messages-per-s = 0.001\nburst-messages = 86",
        "messages-per-s = 1000000\nburst-messages = 4294967295",
        "bytes-per-s = 1\nburst-bytes = 86400",
        "bytes-per-s = 10000000000\nburst-bytes = 4294967295",
    ] {
        let mut limiter = limiter(rate);
        for time in [Duration::ZERO, ms(1), Duration::from_secs(1 << 40), Duration::MAX] {
            for bytes in [0, 1, u32::MAX] {
                let _ = limiter.admit(time, RULE, bytes);
            }
        }
        assert!(matches!(&limiter.rules[0], Some(buckets)
            if buckets.1.messages.is_some() || buckets.1.bytes.is_some()));
    }
}

#[test]
fn rule_without_a_rate_is_never_limited() {
    let mut limiter = limiter("messages-per-s = 1");
    for _ in 0..1_000 {
        assert!(limiter.admit(ms(0), RuleId(1), u32::MAX));
        assert!(limiter.admit(ms(0), RuleId(99), u32::MAX));
    }
}

#[test]
fn what_a_later_limit_refuses_is_given_back_to_the_earlier_ones() {
    let text = "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"*\"\n\
                [rule.rate]\nmessages-per-s = 1\nburst-messages = 3\n\
                [limits.node]\nmessages-per-s = 1\nburst-messages = 2\non-excess = \"drop\"\n\
                [limits.link]\nmessages-per-s = 1\nburst-messages = 3\n";
    let (policy, _) = Policy::parse(&[SourceFile::new("a.toml", text)]).unwrap();
    let mut limiter = Limiter::new(&policy);
    let (one, other) = (limiter.node_buckets().unwrap(), limiter.node_buckets().unwrap());
    let ask = |limiter: &mut Limiter, node: &NodeBuckets| {
        limiter.begin(ms(0));
        let asked = limiter
            .ask_rule(RULE, share(0, None, ""), 1)
            .and_then(|()| limiter.ask_node(Some(node), 1, 1))
            .and_then(|()| limiter.ask_link(1, 1));
        if asked.is_err() {
            limiter.give_back();
        }
        asked
    };
    assert_eq!(ask(&mut limiter, &one), Ok(()));
    assert_eq!(ask(&mut limiter, &one), Ok(()));
    // The limit of the node; rule and link have one left each.
    assert_eq!(ask(&mut limiter, &one), Err(OnExcess::Drop));
    assert_eq!(ask(&mut limiter, &other), Ok(()));
    // The limit of the rule is the first to be asked.
    assert_eq!(ask(&mut limiter, &other), Err(OnExcess::Conflate));
    limiter.begin(ms(0));
    assert_eq!(limiter.ask_node(Some(&other), 1, 1), Ok(()), "it was given back");
}

#[test]
fn births_take_what_there_is_and_no_more() {
    let text = "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"*\"\n\
                [limits.link]\nbytes-per-s = 1000\nburst-bytes = 10000\n";
    let (policy, _) = Policy::parse(&[SourceFile::new("a.toml", text)]).unwrap();
    let mut limiter = Limiter::new(&policy);
    limiter.charge(ms(0), None, 9_000);
    limiter.begin(ms(0));
    assert!(limiter.ask_link(1, 1_001).is_err());
    assert!(limiter.ask_link(1, 1_000).is_ok());
    limiter.charge(ms(0), None, 1_000_000);
    // It is empty, not in debt.
    limiter.begin(ms(1_000));
    assert!(limiter.ask_link(1, 1_000).is_ok());
    assert!(limiter.ask_link(1, 1).is_err());
}
