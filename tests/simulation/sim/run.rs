//! One run: what a seed says is carried out, and what has to hold is looked at all the while.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use account::Reason;
use prost::Message as _;
use sparkplug::{Metric, Payload, Value};

use super::accounts;
use super::faults::Fault;
use super::oracle;
use super::plan::{Act, Junk, Length, Op, Plan};
use super::plant::GROUP;
use super::random::Random;
use super::world::{Violation, World};

/// How a run is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    pub length: Length,
    pub fault: Option<Fault>,
    /// The plant's nodes are devices of one edge node on IT, whatever the seed says.
    pub folds: bool,
    /// Only these operations, by their places; all where there is none.
    pub only: Option<Vec<usize>>,
    pub trace: bool,
}

/// A run in which something didn't hold.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    /// The operations that were carried out, by their places.
    pub ops: Vec<usize>,
    pub why: String,
}

impl Failure {
    /// What kind of failure it is: its text without names and numbers.
    pub fn kind(&self) -> String {
        let is_word = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase());
        let words = self.why.split([' ', ':', ',']).filter(|word| !word.is_empty());
        words.filter(is_word).take(6).collect::<Vec<_>>().join(" ")
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub runs: u64,
    pub ops: usize,
    /// Messages of the plant.
    pub sent: usize,
    /// Messages that hosts got.
    pub shown: u64,
}

/// Carries out a seed.
pub fn run(seed: u64, options: &Options) -> Result<Done, Failure> {
    let mut plan = Plan::of(seed, options.length);
    plan.config.folds |= options.folds;
    let ops: Vec<usize> = match &options.only {
        Some(only) => only.iter().copied().filter(|place| *place < plan.ops.len()).collect(),
        None => (0..plan.ops.len()).collect(),
    };
    take_panics();
    PANIC.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| carry_out(&plan, &ops, options)));
    let panic = PANIC.take().unwrap_or_default();
    clock::testing::run_on();
    let why = match result {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(why)) => why,
        Err(_) => panic,
    };
    Err(Failure { seed, ops, why })
}

thread_local! {
    /// Where a run panicked; `None`: none is under way on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on panics of runs are failures of theirs, and not printed.
fn take_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_ours = PANIC.with_borrow_mut(|panic| {
                panic.as_mut().map(|panic| *panic = info.to_string()).is_some()
            });
            if !is_ours {
                before(info);
            }
        }));
    });
}

/// So long after it is back the relay takes what comes for a sign of life.
const QUEUED: Duration = Duration::from_secs(11);

fn carry_out(plan: &Plan, ops: &[usize], options: &Options) -> Result<Done, Violation> {
    let mut world = World::new(&plan.config, plan.seed, options.fault, options.trace);
    world.note(|| format!("{:#?}", plan.config));
    for place in ops {
        let op = &plan.ops[*place];
        world.note(|| format!("[{place}] {op:?}"));
        happen(&mut world, op)?;
    }
    rest(&mut world)?;
    Ok(Done { runs: 1, ops: ops.len(), sent: world.plant.sent.len(), shown: world.host.messages })
}

/// Everything works again; what was lost can be noticed; then everything is born anew.
fn rest(world: &mut World) -> Result<(), Violation> {
    world.note(|| "calm".into());
    world.calm();
    pass(world, Duration::from_secs(8))?;
    // What comes sooner may have been queued before, if the clock of its node doesn't say otherwise.
    let back = world.returns.last().map(|back| back.at).unwrap_or_default();
    pass(world, (back + QUEUED).saturating_sub(world.now.mono))?;
    for node in 0..world.plant.nodes.len() {
        for published in world.plant.say_something(node, world.now.wall_ms) {
            world.publish(published, false);
        }
    }
    let slow = if world.was_slow { 40 } else { 0 };
    drain(world)?;
    pass(world, Duration::from_secs(24 + slow))?;
    oracle::lives(world)?;
    world.note(|| "everything is born anew".into());
    for node in 0..world.plant.nodes.len() {
        for published in world.plant.rebirth(node, world.now.wall_ms) {
            world.publish(published, false);
        }
    }
    drain(world)?;
    pass(world, Duration::from_secs(12 + slow / 4))?;
    if let Some(half) = &world.ot {
        let drops: Vec<_> = half.pipeline().account().drops().collect();
        world.note(|| format!("dropped since the last start: {drops:?}"));
    }
    oracle::equal(world)?;
    accounts::balance(world)
}

/// Until the relay has taken everything: births wait for the state, and few are in flight.
fn drain(world: &mut World) -> Result<(), Violation> {
    for _ in 0..100 {
        if world.ot_broker.is_idle() {
            return Ok(());
        }
        pass(world, Duration::from_secs(1))?;
    }
    Err("the relay doesn't take what the broker has for it".into())
}

/// Lets time pass.
fn pass(world: &mut World, time: Duration) -> Result<(), Violation> {
    let end = world.now.mono + time;
    let mut steps = 0;
    while world.now.mono < end {
        let step = Duration::from_millis(100).min(end - world.now.mono);
        world.step(step);
        oracle::at_every_step(world)?;
        steps += 1;
        if steps % 8 == 0 {
            oracle::no_false_good(world)?;
        }
    }
    oracle::no_false_good(world)
}

fn happen(world: &mut World, op: &Op) -> Result<(), Violation> {
    match *op {
        Op::Plant { node, act, roll } => {
            let is_will = act == Act::Die;
            for published in world.plant.act(node, act, roll, world.now.wall_ms) {
                let is_will = is_will || published.topic.contains("/NDEATH/");
                world.publish(published, is_will);
            }
            let ms = Random::new(roll ^ 1).between(0, 60);
            return pass(world, Duration::from_millis(ms));
        }
        Op::Pass { ms } => return pass(world, Duration::from_millis(ms)),
        Op::Lose { messages } => world.ot_broker.lose(messages),
        Op::Shuffle { ms, late_ms, roll } => {
            let until = world.now.mono + Duration::from_millis(ms);
            world.ot_broker.shuffle(until, late_ms, roll);
        }
        Op::Copy { messages } => world.ot_broker.copy(messages),
        Op::OtLink { away_ms } => world.break_ot_link(away_ms),
        Op::OtBroker { away_ms } => world.restart_ot_broker(away_ms),
        Op::KillOt { away_ms, in_turn, torn } => world.kill_ot(away_ms, in_turn, torn),
        Op::StopOt { away_ms } => world.stop_ot(away_ms),
        Op::Poison => world.poison(),
        Op::KillIt { away_ms } => world.kill_it(away_ms),
        Op::StopIt { away_ms } => world.stop_it(away_ms),
        Op::Disk { what, ms } => world.fill_disk(what, ms),
        Op::ItBroker { away_ms, cut } => world.break_it_broker(away_ms, cut),
        Op::ItSession { node, swallows_ms } => {
            let until = world.now.mono + Duration::from_millis(swallows_ms);
            let name = world.session_on_it(node);
            world.it_broker.swallow(&name, until);
        }
        Op::Rebirth { node } => ask_for_rebirth(world, node),
        Op::Reload { policy, ot_first } => world.reload(policy, ot_first),
        Op::Clock { jump_ms } => world.set_clock(jump_ms),
        Op::Junk { kind, node } => junk(world, kind, node),
    }
    Ok(())
}

fn ask_for_rebirth(world: &mut World, node: usize) {
    let metric = Metric {
        name: Some(strict_host::REBIRTH.into()),
        datatype: Some(11),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    };
    let payload = Payload { metrics: vec![metric], ..Payload::default() };
    let name = world.session_on_it(node);
    let topic = format!("spBv1.0/{GROUP}/NCMD/{name}");
    world.it_broker.ask_for_rebirth(&name, topic, payload.encode_to_vec());
}

fn junk(world: &mut World, kind: Junk, node: usize) {
    let name = world.plant.nodes[node].name.clone();
    let (topic, reason) = match kind {
        Junk::Command => (format!("spBv1.0/{GROUP}/NCMD/{name}"), Reason::Command),
        Junk::DeviceCommand => (format!("spBv1.0/{GROUP}/DCMD/{name}/D0"), Reason::Command),
        Junk::State => ("spBv1.0/STATE/host".into(), Reason::State),
        Junk::OldState => ("STATE/host".into(), Reason::State),
        Junk::Elsewhere => ("line4/temperature".into(), Reason::NotSparkplug),
        Junk::Malformed => (format!("spBv1.0/{GROUP}/NDATA"), Reason::MalformedTopic),
        Junk::UnknownType => (format!("spBv1.0/{GROUP}/NRECORD/{name}"), Reason::UnknownType),
        Junk::TooLarge | Junk::Shed => {
            let roll = world.random.next();
            for published in world.plant.act(node, Act::Data, roll, world.now.wall_ms) {
                if kind == Junk::Shed {
                    world.shed(published);
                } else if let Some(id) = published.id {
                    world.plant.sent[id].is_bad = true;
                    let (topic, payload) = (published.topic, published.payload);
                    let reason = Reason::TooLarge;
                    world.ot_broker.publish_junk(&topic, &payload, reason, Some(id));
                }
            }
            return;
        }
    };
    world.ot_broker.publish_junk(&topic, b"junk", reason, None);
}
