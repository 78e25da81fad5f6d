//! Both ends over a wire with faults: what the link promises, smaller than the benchmark has it.

use std::time::Duration;

use super::{Faults, Figures, Scenario, run};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn faults(lost: u64) -> Faults {
    Faults { lost, ..Faults::default() }
}

/// What holds whatever the wire does.
fn assert_sound(figures: &Figures) {
    assert_eq!(figures.wrong, 0);
    assert_eq!(figures.receiver.datagrams(), figures.arrived, "the account balances");
    let by = figures.receiver.foreign_by;
    assert_eq!(
        figures.receiver.foreign,
        by.length + by.protocol + by.version + by.link + by.key + by.forged
    );
    assert_eq!(figures.receiver.malformed, 0);
    assert_eq!(figures.receiver.symbols_malformed, 0);
}

fn assert_whole(figures: &Figures) {
    assert_sound(figures);
    assert_eq!((figures.lost, figures.told_missing, figures.twice), (0, 0, 0), "{figures:?}");
}

#[test]
fn a_wire_without_faults_costs_no_time() {
    // Below the rate where symbols linger.
    let scenario = Scenario { frames: 3_000, frames_per_s: 1_000, ..Scenario::default() };
    let figures = run(&scenario);
    assert_whole(&figures);
    assert_eq!((figures.in_order, figures.late), (3_000, 0));
    assert!(figures.delay_us(1.0) <= 300, "{}", figures.delay_us(1.0));
    assert!(figures.longest_silence <= ms(101));
    let figures = run(&Scenario::default());
    assert_whole(&figures);
    assert!(figures.delay_us(0.99) <= 1_000, "{}", figures.delay_us(0.99));
}

#[test]
fn random_loss_is_mended_within_its_overhead() {
    for (lost, overhead, at_most) in
        [(100, 39, 0.04), (500, 98, 0.1), (2_000, 395, 0.4), (4_000, 990, 1.0)]
    {
        let mut scenario = Scenario { faults: vec![faults(lost)], ..Scenario::default() };
        scenario.sender.blocks.overhead_permille = overhead;
        let figures = run(&scenario);
        assert_whole(&figures);
        assert!(figures.receiver.repaired > 0);
        assert!(figures.overhead() <= at_most, "{lost}: {}", figures.overhead());
    }
}

#[test]
fn bursts_are_mended() {
    for burst in [5, 20, 50] {
        let faults = Faults { burst: ms(burst), ..Faults::default() };
        let mut scenario = Scenario {
            frames_per_s: 10_000,
            frames: 50_000,
            faults: vec![faults],
            ..Scenario::default()
        };
        scenario.sender.blocks.overhead_permille = 470;
        let figures = run(&scenario);
        assert_whole(&figures);
        assert!(figures.receiver.repaired > 0);
        assert!(figures.overhead() <= 0.5, "{}", figures.overhead());
    }
}

#[test]
fn what_is_out_of_order_twice_and_damaged_comes_out_once_and_in_order() {
    let faults = Faults { reorder: 100, doubled: 100, flipped: 10, ..Faults::default() };
    let figures = run(&Scenario { faults: vec![faults], ..Scenario::default() });
    assert_whole(&figures);
    assert!(figures.flipped > 0);
    assert_eq!(figures.receiver.foreign, figures.flipped, "each flipped bit is counted");
    assert!(figures.receiver.duplicates > 0);
    assert_eq!((figures.in_order, figures.late), (20_000, 0));
}

#[test]
fn what_is_lost_for_good_is_counted() {
    let mut scenario = Scenario { faults: vec![faults(100)], ..Scenario::default() };
    scenario.sender.blocks.overhead_permille = 0;
    scenario.sender.blocks.min_repair = 0;
    let figures = run(&scenario);
    assert_sound(&figures);
    assert!(figures.lost > 50);
    // Those behind the last that came, nobody knows of.
    assert!((figures.told_missing..figures.told_missing + 20).contains(&figures.lost));
    assert_eq!(figures.in_order + figures.lost, 20_000);
    assert!(figures.receiver.symbols_lost > 0);
}

/// A link on which much of what is sent can go again.
fn with_second_pass() -> Scenario {
    let mut scenario = Scenario { frames: 20_000, frames_per_s: 2_000, ..Scenario::default() };
    scenario.sender.rates.bytes_per_s = 5_000_000;
    scenario.sender.second_pass.share_percent = 20;
    scenario.sender.second_pass.after = ms(4_000);
    // Twice, at an age of 4 and of 12 seconds.
    scenario.sender.second_pass.window = ms(14_000);
    scenario
}

#[test]
fn an_outage_is_filled_by_the_second_pass() {
    let cut = vec![(ms(2_000), ms(5_000))];
    let mut scenario =
        Scenario { faults: vec![Faults { cut, ..Faults::default() }], ..with_second_pass() };
    let figures = run(&scenario);
    assert_whole(&figures);
    // Three seconds, less what the block that was open still mended.
    assert!((5_000..7_000).contains(&figures.late), "{}", figures.late);
    assert!((20_000..=40_000).contains(&figures.sender.frames_again));
    assert!(figures.receiver.frames_known > 0, "and what was there already doesn't come out");
    assert!(figures.longest_silence >= ms(3_000));
    // And without it, it isn't.
    scenario.sender.second_pass.share_percent = 0;
    assert!(run(&scenario).lost > 5_000);
}

#[test]
fn one_of_two_paths_may_be_cut_and_come_back() {
    let cut: Vec<_> = (1..50).map(|step| (ms(step * 40), ms(step * 40 + 20))).collect();
    let paths = vec![
        Faults { cut, ..Faults::default() },
        Faults { slower: ms(30), doubled: 10, ..Faults::default() },
    ];
    let mut scenario = Scenario { frames: 40_000, faults: paths, ..Scenario::default() };
    // Nothing but the other path mends it.
    scenario.sender.blocks.overhead_permille = 0;
    scenario.sender.blocks.min_repair = 0;
    let figures = run(&scenario);
    assert_whole(&figures);
    assert_eq!(figures.late, 0);
    assert!(figures.receiver.other_path > 0);
    assert!(figures.receiver.duplicates < 50, "the other path's copies are none");
    assert_eq!(figures.paths_down, [false, false]);
}

#[test]
fn a_path_that_brings_nothing_is_told() {
    let cut = vec![(ms(500), ms(60_000))];
    let paths = vec![Faults::default(), Faults { cut, ..Faults::default() }];
    let figures = run(&Scenario { faults: paths, frames: 5_000, ..Scenario::default() });
    assert_whole(&figures);
    assert_eq!(figures.paths_down, [false, true]);
}

#[test]
fn whoever_is_killed_nothing_is_lost_that_the_second_pass_can_bring() {
    let kills: Vec<Duration> = (1..12).map(|step| ms(step * 777)).collect();
    let receiver = Scenario { receiver_killed: kills.clone(), ..with_second_pass() };
    let figures = run(&receiver);
    assert_sound_but_for_restarts(&figures);
    assert_eq!((figures.lost, figures.twice), (0, 0));
    let sender = Scenario { sender_killed: kills.clone(), ..with_second_pass() };
    let figures = run(&sender);
    assert_sound(&figures);
    assert_eq!((figures.lost, figures.twice), (0, 0));
    assert_eq!(figures.receiver.sessions, 12);
    let both = Scenario {
        sender_killed: kills.clone(),
        receiver_killed: kills.iter().map(|at| *at + ms(100)).collect(),
        faults: vec![faults(100)],
        ..with_second_pass()
    };
    let figures = run(&both);
    assert_eq!((figures.lost, figures.twice, figures.wrong), (0, 0, 0));
}

/// Counts begin anew with each receiver.
fn assert_sound_but_for_restarts(figures: &Figures) {
    assert_eq!((figures.wrong, figures.receiver.malformed), (0, 0));
}

#[test]
fn a_link_that_is_too_narrow_delays_and_loses_nothing() {
    let mut scenario = Scenario { faults: vec![faults(100)], ..Scenario::default() };
    // 6 MB/s come.
    scenario.sender.rates.bytes_per_s = 2_000_000;
    let figures = run(&scenario);
    assert_whole(&figures);
    assert_eq!(figures.in_order, 20_000);
    let wanted = 6_400_000.0 * 1.25 / 2_000_000.0;
    let took = figures.took.as_secs_f64() - 1.5;
    assert!((wanted * 0.95..wanted * 1.15).contains(&took), "{took} for {wanted}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let scenario =
        |seed| Scenario { seed, frames: 3_000, faults: vec![faults(500)], ..Scenario::default() };
    let figures = |seed| {
        let figures = run(&scenario(seed));
        (figures.arrived, figures.receiver, figures.delays_us)
    };
    assert_eq!(figures(7), figures(7));
    assert_ne!(figures(7), figures(8));
}
