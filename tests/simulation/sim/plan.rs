//! What a seed says: what the plant, the brokers and the halves are like, and what happens to them.

use std::time::Duration;

use it::mirror::Aliases;

use super::habits::Habits;
use super::random::Random;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// An edge node does something. `roll` decides the rest.
    Plant {
        node: usize,
        act: Act,
        roll: u64,
    },
    /// Time passes.
    Pass {
        ms: u64,
    },
    /// So many of the next publications at QoS 0 don't reach the OT broker.
    Lose {
        messages: u64,
    },
    /// For so long the OT broker delivers in any order, each message at most so much later.
    Shuffle {
        ms: u64,
        late_ms: u64,
        roll: u64,
    },
    /// So many of the next messages come twice.
    Copy {
        messages: u64,
    },
    /// The relay's connection to the OT broker breaks.
    OtLink {
        away_ms: u64,
    },
    /// The OT broker forgets all sessions.
    OtBroker {
        away_ms: u64,
    },
    /// The OT half is killed; `in_turn`: after it handled what came and before it is committed;
    /// `torn`: with half a write at the end of its journal.
    KillOt {
        away_ms: u64,
        in_turn: bool,
        torn: bool,
    },
    StopOt {
        away_ms: u64,
    },
    /// The OT half ends whenever it works on the next message at QoS 1.
    Poison,
    KillIt {
        away_ms: u64,
    },
    StopIt {
        away_ms: u64,
    },
    /// A disk takes nothing.
    Disk {
        what: Disk,
        ms: u64,
    },
    /// The IT broker is away; `cut`: hosts stay, and see the wills.
    ItBroker {
        away_ms: u64,
        cut: bool,
    },
    /// The session of a node breaks, after it swallowed for so long what was published on it.
    ItSession {
        node: usize,
        swallows_ms: u64,
    },
    /// A host asks for a rebirth.
    Rebirth {
        node: usize,
    },
    /// Another policy, first in one half and then in the other.
    Reload {
        policy: usize,
        ot_first: bool,
    },
    /// Both clocks are set.
    Clock {
        jump_ms: i64,
    },
    /// Something that is none of an edge node's messages.
    Junk {
        kind: Junk,
        node: usize,
    },
}

/// What an edge node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Data of the node or of a device.
    Data,
    /// So many messages in a row.
    Burst,
    /// All births again, in the same session.
    Rebirth,
    /// A new session; the old one ends with its will, if it is still there.
    Connect,
    /// The session ends by its will.
    Die,
    DeviceBirth,
    DeviceDeath,
    /// A device goes and comes again at once.
    DeviceAnew,
    /// Values that were true some time ago.
    History,
    /// Values that are null.
    Null,
    /// Data of which the relay can't read all.
    BadData,
    /// Births that the relay can't read.
    BadBirth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disk {
    Journal,
    Segment,
    Plant,
    Mirror,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    Command,
    DeviceCommand,
    State,
    OldState,
    Elsewhere,
    Malformed,
    UnknownType,
    TooLarge,
    Shed,
}

/// What holds for a whole run.
#[derive(Clone, Debug)]
pub struct Config {
    pub nodes: Vec<Habits>,
    pub segment_bytes: u64,
    /// The journal keeps no more than this.
    pub retain_bytes: Option<u64>,
    /// Messages that the OT broker has in flight at most.
    pub window: usize,
    pub policy: usize,
    /// The IT half has a copy of the policy.
    pub copy: bool,
    pub dies_on_gap: bool,
    pub assured_on_it: bool,
    pub aliases: Aliases,
    /// The plant's nodes are devices of one edge node on IT.
    pub folds: bool,
    /// Births are compressed on IT.
    pub compresses: bool,
    pub backfill: bool,
    pub first_newest: bool,
    pub reorder_timeout: Duration,
    pub keyframe_every: Duration,
    pub doubt_after: Duration,
    /// State is written in so many of a hundred steps.
    pub state_pace: u64,
    /// The first wall clock, within a day.
    pub wall_ms: u64,
}

/// Everything that a seed says.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub config: Config,
    pub ops: Vec<Op>,
}

/// How long runs are.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub least: u64,
    pub most: u64,
}

impl Length {
    pub const SHORT: Length = Length { least: 10, most: 40 };
    pub const FULL: Length = Length { least: 20, most: 120 };
}

impl Plan {
    pub fn of(seed: u64, length: Length) -> Plan {
        let mut random = Random::new(seed);
        let config = config(&mut random);
        let mut ops = Vec::new();
        for node in 0..config.nodes.len() {
            let roll = random.next();
            ops.push(Op::Plant { node, act: Act::Connect, roll });
        }
        // Runs have a temper: most things go wrong in some of them only.
        let temper = Temper::of(&mut random);
        for _ in 0..random.between(length.least, length.most) {
            ops.push(op(&mut random, &config, &temper));
        }
        Plan { seed, config, ops }
    }
}

/// How often each kind of thing happens in a run, of all things.
struct Temper {
    network: u64,
    kills: u64,
    disks: u64,
    it: u64,
    policies: u64,
    clock: u64,
    junk: u64,
    refusals: u64,
}

impl Temper {
    fn of(random: &mut Random) -> Temper {
        let mut some = |most: u64| if random.chance(50) { random.between(1, most) } else { 0 };
        Temper {
            network: some(20),
            kills: some(15),
            disks: some(4),
            it: some(12),
            policies: some(4),
            clock: some(3),
            junk: some(4),
            refusals: some(8),
        }
    }
}

fn config(random: &mut Random) -> Config {
    let mut more = Random::new(random.clone().next() ^ 0x0E7A);
    let count = random.between(1, 3) as usize;
    let mut config = Config {
        nodes: (0..count).map(|_| Habits::of(random)).collect(),
        segment_bytes: random.between(2, 40) * 1_024,
        window: random.pick(&[1, 2, 5, 20]),
        policy: random.weighted(&[(6, 0), (1, 1), (1, 2), (1, 3), (1, 4)]),
        copy: random.chance(40),
        dies_on_gap: random.chance(15),
        assured_on_it: random.chance(20),
        folds: Random::new(more.clone().next() ^ 0xF01D).chance(35),
        compresses: Random::new(more.clone().next() ^ 0xDEF1).chance(30),
        aliases: Random::new(more.clone().next() ^ 0xA11A5).pick(&[
            Aliases::Never,
            Aliases::AsPlant,
            Aliases::Always,
        ]),
        backfill: random.chance(80),
        first_newest: random.chance(20),
        reorder_timeout: Duration::from_millis(random.pick(&[500, 1_000, 2_000])),
        keyframe_every: Duration::from_secs(random.pick(&[5, 7, 10])),
        doubt_after: Duration::from_secs(random.pick(&[15, 60, 300])),
        state_pace: random.pick(&[100, 100, 50, 10]),
        wall_ms: 1_790_000_000_000 + random.below(86_400_000) as u64,
        retain_bytes: None,
    };
    if more.chance(20) {
        // A segment is a quarter of that at most.
        config.retain_bytes = Some(config.segment_bytes * more.between(4, 12));
    }
    config.policy = another_policy(&mut more, config.policy);
    config
}

/// Now and then another one of all.
fn another_policy(random: &mut Random, policy: usize) -> usize {
    match random.chance(25) {
        true => random.between(6, super::policies::COUNT as u64 - 1) as usize,
        false => policy,
    }
}

fn op(random: &mut Random, config: &Config, temper: &Temper) -> Op {
    #[derive(Clone, Copy)]
    enum Of {
        Plant,
        Pass,
        Network,
        Kills,
        Disks,
        It,
        Policies,
        Clock,
        Junk,
        Refusals,
    }
    let of = random.weighted(&[
        (40, Of::Plant),
        (12, Of::Pass),
        (temper.network, Of::Network),
        (temper.kills, Of::Kills),
        (temper.disks, Of::Disks),
        (temper.it, Of::It),
        (temper.policies, Of::Policies),
        (temper.clock, Of::Clock),
        (temper.junk, Of::Junk),
        (temper.refusals, Of::Refusals),
    ]);
    let node = random.below(config.nodes.len());
    let roll = random.next();
    let away_ms = random.weighted(&[
        (6, random.clone().between(0, 1_500)),
        (3, random.clone().between(1_500, 8_000)),
        (1, random.clone().between(8_000, 40_000)),
    ]);
    match of {
        Of::Plant => {
            let act = random.weighted(&[
                (30, Act::Data),
                (4, Act::Burst),
                (3, Act::Rebirth),
                (4, Act::Connect),
                (2, Act::Die),
                (3, Act::DeviceBirth),
                (3, Act::DeviceDeath),
                (2, Act::DeviceAnew),
                (2, Act::History),
                (2, Act::Null),
            ]);
            Op::Plant { node, act, roll }
        }
        Of::Pass => Op::Pass { ms: random.pick(&[100, 300, 1_000, 3_000, 6_000, 12_000]) },
        Of::Network => match random.below(6) {
            0 => Op::Lose { messages: random.between(1, 5) },
            1 | 2 => {
                let late_ms = random.pick(&[100, 300, 450, 900, 3_000]);
                Op::Shuffle { ms: random.between(200, 4_000), late_ms, roll }
            }
            1..=3 => Op::Copy { messages: random.between(1, 4) },
            4 => Op::OtLink { away_ms },
            _ => Op::OtBroker { away_ms },
        },
        Of::Kills if roll.is_multiple_of(12) => Op::Poison,
        Of::Kills => match random.below(10) {
            0..=5 => Op::KillOt { away_ms, in_turn: random.chance(40), torn: random.chance(30) },
            6 => Op::StopOt { away_ms },
            7 | 8 => Op::KillIt { away_ms },
            _ => Op::StopIt { away_ms },
        },
        Of::Disks => {
            let what = random.pick(&[Disk::Journal, Disk::Segment, Disk::Plant, Disk::Mirror]);
            Op::Disk { what, ms: random.between(200, 20_000) }
        }
        Of::It => match random.below(4) {
            0 => Op::ItBroker { away_ms, cut: random.chance(50) },
            1 | 2 => Op::ItSession { node, swallows_ms: random.pick(&[0, 0, 300, 3_000]) },
            _ => Op::Rebirth { node },
        },
        Of::Policies => {
            let policy = another_policy(&mut Random::new(roll), random.below(6));
            Op::Reload { policy, ot_first: random.chance(50) }
        }
        Of::Clock => {
            let jump_ms: i64 = random.pick(&[-3_600_000, -20_000, -500, 500, 20_000, 3_600_000]);
            Op::Clock { jump_ms }
        }
        Of::Junk => {
            let kind = random.pick(&[
                Junk::Command,
                Junk::DeviceCommand,
                Junk::State,
                Junk::OldState,
                Junk::Elsewhere,
                Junk::Malformed,
                Junk::UnknownType,
                Junk::TooLarge,
                Junk::Shed,
            ]);
            Op::Junk { kind, node }
        }
        Of::Refusals => {
            let act = random.weighted(&[(3, Act::BadData), (1, Act::BadBirth)]);
            Op::Plant { node, act, roll }
        }
    }
}
