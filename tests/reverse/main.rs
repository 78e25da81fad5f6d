//! The reverse channel (promise P8): how many bits per second two colluding processes, one with
//! the rights of the IT half and one with those of the OT half, can signal from IT to OT through
//! everything that both can see.
//!
//! ```text
//! cargo bench --bench reverse            # as root: the ends take users of their own
//! cargo bench --bench reverse -- log     # only the channels of that name
//! cargo bench --bench reverse -- --prove # whether the disk's channel is gone between the ends of a link: 5 minutes
//! ```
//!
//! For every channel the sender modulates a random bit in each slot, the receiver measures one
//! number in each slot, and the two are compared with the best threshold afterwards. That
//! receiver is better than any real one: it knows the threshold in advance and shares a clock
//! with the sender. Five set-ups in interleaved rounds:
//!
//! | set-up | what the ends are |
//! |---|---|
//! | idle | two users; the sender does nothing: what the method reads out of noise, its floor |
//! | users | two users that own the journal and read it, and no other layer |
//! | sealed | the two halves as they run: own users, Landlock, seccomp; the journal is read-only for IT |
//! | link | the same with `send` and `receive` between them: IT's journal and state lie elsewhere, on a file system and a device of their own |
//! | ends | `receive` and `send` as they run, sealed, each in a network of its own with a cable (veth) between, and no file system in common |
//!
//! The figure is the mutual information between bit and threshold decision per slot, times the
//! slots per second: bits per second that a perfect code could carry by this one feature. It is
//! a lower bound of what an attacker with better features could do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark: a failure is a panic, and it drives real time"
)]

mod channel;
mod end;
mod estimate;
mod place;
mod proof;
mod report;

use std::time::Duration;

use channel::Channel;
use end::{Ending, Setup};

/// Slots in one run of a channel.
const SLOTS: usize = 200;
/// Interleaved rounds, of which the median is told.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(end) = end::Arguments::parse(&arguments) {
        return end::run(&end);
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: the ends take users of their own, which needs root");
        std::process::exit(77);
    }
    if let Some(why) = two_networks::is_missing() {
        eprintln!("SKIPPED: {why}");
        std::process::exit(77);
    }
    if arguments.iter().any(|argument| argument == "--prove") {
        std::process::exit(i32::from(!proof::run()));
    }
    let mut rows = Vec::new();
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(*word));
    for channel in Channel::ALL.iter().filter(|channel| wanted(channel.name())) {
        let mut measured = [const { Vec::new() }; 5];
        for round in 0..ROUNDS {
            for (setup, figures) in Setup::ALL.into_iter().zip(&mut measured) {
                figures.push(measure(*channel, setup, round as u64));
            }
        }
        let row = report::Row::new(channel, measured);
        println!("{}", row.progress());
        rows.push(row);
    }
    report::write(&rows, SLOTS, ROUNDS);
}

/// One run: what came across, or why nothing could.
fn measure(channel: Channel, setup: Setup, round: u64) -> report::Figure {
    let place = place::Place::new();
    let bits = estimate::bits(round, SLOTS);
    let ending = end::run_pair(channel, setup, &place, &bits);
    match ending {
        Ending::Samples(samples) => {
            let per_slot = estimate::information(&bits, &samples);
            let slots_per_s = 1.0 / channel.slot().as_secs_f64();
            report::Figure::Bits(per_slot * slots_per_s)
        }
        Ending::Refused(why) => report::Figure::Closed(why),
    }
}

/// Slots are counted on the monotonic clock, which both ends share.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
