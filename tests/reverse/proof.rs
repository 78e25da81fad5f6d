//! Whether what sealed halves on one disk can signal by it is gone between `receive` and `send`: both
//! set-ups in turn, in runs that are long enough to tell a weak signal from none, and what decides.
//!
//! A figure is compared with what the same samples give for bits that nobody sent: the 99th percentile of
//! so many shuffles of the sent ones. Above it something crossed; below it nothing that the method can
//! see, and the percentile is the bound. Where the halves on one disk aren't far above theirs the run proves
//! nothing.

use crate::channel::Channel;
use crate::end::{Ending, Setup, run_pair};
use crate::estimate;
use crate::place::Place;

/// Slots in one run: 20 s of the disk's.
const SLOTS: usize = 1_000;
const ROUNDS: usize = 3;
const SHUFFLES: u64 = 1_000;
/// So far above its own noise the signal of halves on one disk has to be.
const FAR: f64 = 5.0;
/// Of the disk, with the processors shared and without: what is left in the first is theirs.
const CHANNELS: [Channel; 2] = [Channel::Disk, Channel::DiskApart];
const SETUPS: [Setup; 2] = [Setup::Sealed, Setup::Ends];

/// Bits per second of one run.
#[derive(Clone, Copy, Debug)]
struct Told {
    carried: f64,
    /// What noise gives at most, but for one run in a hundred.
    noise: f64,
}

/// Prints figures and verdict; whether it is proved.
pub(crate) fn run() -> bool {
    let mut is_proved = true;
    println!(
        "bits per second from IT to OT by the disk; {ROUNDS} rounds of {SLOTS} slots, in turn\n"
    );
    for channel in CHANNELS {
        let mut told = [const { Vec::new() }; 2];
        for round in 0..ROUNDS {
            for (setup, told) in SETUPS.into_iter().zip(&mut told) {
                match measure(channel, setup, round as u64) {
                    Ok(figures) => {
                        let Told { carried, noise } = figures;
                        let name = format!("{}, {setup:?}", channel.name());
                        println!("{name:24} {carried:6.2} carried, noise up to {noise:.2}");
                        told.push(figures);
                    }
                    Err(why) => {
                        println!("{}, {setup:?}: closed ({why})", channel.name());
                        return false;
                    }
                }
            }
        }
        let [one_disk, ends] = told.map(|told| middle(&told));
        let (verdict, holds) = verdict(one_disk, ends);
        println!(
            "{}: halves on one disk {:.2} (noise up to {:.2}), `receive` to `send` {:.2} (noise up to {:.2}): \
             {verdict}\n",
            channel.name(),
            one_disk.carried,
            one_disk.noise,
            ends.carried,
            ends.noise
        );
        // Who shares processors can signal by them; with each on one of its own only the disk is left.
        is_proved &= holds || channel == Channel::Disk;
    }
    println!("the disk's channel is {}", if is_proved { "gone" } else { "NOT proved to be gone" });
    is_proved
}

fn verdict(one_disk: Told, ends: Told) -> (&'static str, bool) {
    if one_disk.carried < FAR * one_disk.noise {
        ("the disk carries nothing here to begin with: nothing is proved", false)
    } else if ends.carried > ends.noise {
        ("something crosses between the ends", false)
    } else {
        ("gone", true)
    }
}

fn measure(channel: Channel, setup: Setup, round: u64) -> Result<Told, String> {
    let (place, bits) = (Place::new(), estimate::bits(round, SLOTS));
    match run_pair(channel, setup, &place, &bits) {
        Ending::Samples(samples) => {
            let slots_per_s = 1.0 / channel.slot().as_secs_f64();
            let carried = estimate::information(&bits, &samples) * slots_per_s;
            Ok(Told { carried, noise: noise(&samples) * slots_per_s })
        }
        Ending::Refused(why) => Err(why),
    }
}

/// The 99th percentile of what these samples say about bits that nobody sent.
fn noise(samples: &[f64]) -> f64 {
    let of = |shuffle| {
        // Other seeds than those of the rounds.
        let bits = estimate::bits(1_000_000 + shuffle, samples.len());
        estimate::information(&bits, samples)
    };
    let mut all: Vec<f64> = (0..SHUFFLES).map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() * 99 / 100]
}

/// Of each figure the median.
fn middle(told: &[Told]) -> Told {
    let of = |figure: fn(&Told) -> f64| {
        let mut figures: Vec<f64> = told.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Told { carried: of(|told| told.carried), noise: of(|told| told.noise) }
}
