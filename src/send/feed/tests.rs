//! Tests of `feed`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use journal_read::{From, Position};
use link::{Rates, Sender, SenderOptions};

use super::Feed;
use crate::rig::{OtherEnd, journal, sender, write, writer};

fn fast() -> SenderOptions {
    let rates = Rates { bytes_per_s: 1 << 40, packets_per_s: 1 << 40 };
    let mut options = SenderOptions { rates, ..SenderOptions::default() };
    options.second_pass.after = Duration::from_secs(1);
    options.second_pass.window = Duration::from_secs(2);
    options
}

/// All that is due, but what is lost.
fn deliver(sender: &mut Sender, now: Duration, other: &mut OtherEnd, is_lost: bool) {
    let mut out = Vec::new();
    while sender.poll_datagram(now, 0, &mut out).unwrap() {
        if !is_lost {
            other.hear(now, 0, &mut out);
        }
    }
}

/// Until nothing is left to send.
fn finish(feed: &mut Feed, sender: &mut Sender, now: &mut Duration, other: &mut OtherEnd) {
    while !sender.is_idle() {
        *now = sender.next_due().max(*now);
        feed.read_again(*now, sender).unwrap();
        deliver(sender, *now, other, false);
    }
}

#[test]
fn what_the_journal_has_arrives_as_it_stands_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let mut feed = Feed::open(dir.path(), From::Oldest, 1 << 20).unwrap();
    let (mut sender, mut other) = (sender(fast()), OtherEnd::new());
    let mut now = Duration::ZERO;
    assert!(!feed.read_new(now, &mut sender).unwrap());
    for _ in 0..10 {
        write(&mut writer, 200);
        now += Duration::from_millis(10);
        // A reader of a journal that was empty looks for segments now and then.
        for _ in 0..64 {
            feed.read_new(now, &mut sender).unwrap();
            deliver(&mut sender, now, &mut other, false);
        }
        now += Duration::from_millis(10);
        deliver(&mut sender, now, &mut other, false);
    }
    let wanted = journal(dir.path());
    assert!(wanted.iter().map(|frame| frame.3).max().unwrap() > 1, "several segments");
    assert!(other.frames == wanted, "{} of {}", other.frames.len(), wanted.len());
    assert_eq!(feed.position(), Position { epoch: 7, seq: wanted.len() as u64 + 1 });
    assert_eq!(feed.counts(), super::FeedCounts::default());
}

#[test]
fn what_was_lost_on_the_way_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 1_500);
    let mut feed = Feed::open(dir.path(), From::Oldest, 1 << 20).unwrap();
    let (mut sender, mut other) = (sender(fast()), OtherEnd::new());
    let mut now = Duration::ZERO;
    let mut turn = 0;
    while feed.read_new(now, &mut sender).unwrap() {
        turn += 1;
        now += Duration::from_millis(400);
        deliver(&mut sender, now, &mut other, (2..5).contains(&turn));
    }
    let came = other.frames.len();
    assert!((200..1_400).contains(&came), "{came}");
    // Its turns are as large as the sender says, in and between segments.
    finish(&mut feed, &mut sender, &mut now, &mut other);
    assert_eq!(other.receiver().missing_frames(), 0);
    let mut all = other.frames;
    all.extend(other.late);
    all.sort_unstable();
    assert!(all == journal(dir.path()));
    assert_eq!(feed.counts().gone, 0);
}

#[test]
fn what_is_not_there_any_more_or_too_large_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 100);
    let mut options = fast();
    options.second_pass.share_percent = 0;
    let mut feed = Feed::open(dir.path(), From::Oldest, 3).unwrap();
    let (mut sender, mut other) = (sender(options), OtherEnd::new());
    let mut now = Duration::ZERO;
    assert!(feed.read_new(now, &mut sender).unwrap());
    let count = journal(dir.path()).len() as u64;
    assert_eq!(feed.counts().too_large, count);
    sender.resend(count..count + 10).unwrap();
    sender.resend(5..7).unwrap();
    finish(&mut feed, &mut sender, &mut now, &mut other);
    assert_eq!(feed.counts().gone, 9, "behind its end");
    assert_eq!(sender.account().frames_again, 0, "what is too large doesn't go again");
    assert_eq!(other.frames, []);
}
