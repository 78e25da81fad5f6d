//! The world around both halves: time, brokers, disks, kills, and what the plant does in it.

mod it_half;
mod ot_half;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clock::Now;
use policy::Policy;
use tempfile::TempDir;

pub use self::it_half::FOLDED;
use super::accounts::Dropped;
use super::faults::Fault;
use super::host::Host;
use super::host::Node as ShownNode;
use super::it_broker::ItBroker;
use super::journal::Journal;
use super::ot_broker::OtBroker;
use super::plan::{Config, Disk};
use super::plant::{Entity, MessageId, Node, Plant, Way};
use super::policies;
use super::random::Random;

/// Timers of both halves run at least this often.
const STEP: Duration = Duration::from_millis(100);

/// What doesn't hold.
pub type Violation = String;

/// Everything.
pub struct World {
    pub config: Config,
    pub fault: Option<Fault>,
    dir: TempDir,
    pub now: Now,
    pub first_wall_ms: u64,
    /// When the wall clock was set last.
    pub set_at: Option<Duration>,
    /// Messages that were refused unread and aren't counted yet.
    pub shed: u64,
    /// Nodes of which a message came too late, behind one that was sent after it.
    pub overtaken: BTreeSet<usize>,
    /// Nodes that were dead on IT, since nothing was heard of them, when data came that can't be read:
    /// it says that the birth that is known isn't theirs any more.
    pub speechless: BTreeSet<usize>,
    pub plant: Plant,
    pub ot_broker: OtBroker,
    pub it_broker: ItBroker,
    pub host: Host,
    pub ot: Option<ot::testing::Half>,
    pub it: Option<it::testing::Half>,
    policies: Vec<Option<Policy>>,
    pub ot_policy: usize,
    /// What the IT half's loader reads.
    it_policy: Arc<Mutex<Policy>>,
    /// Policies that were in force at any time.
    pub was_killed: bool,
    pub was_slow: bool,
    pub was_redacted: bool,
    pub was_reloaded: bool,
    back: BTreeMap<Back, Duration>,
    full_until: BTreeMap<Disk, Duration>,
    /// What the half took and its journal doesn't have yet, and whether the broker has it too.
    taken: Vec<Taken>,
    /// When the half stood still last, for its disk.
    pub stood_at: Duration,
    /// The message with which the OT half ends, and how often it has.
    poison: Option<Poison>,
    /// What it is set aside by: topic and payload.
    aside: Option<(Bytes, Bytes)>,
    /// The number that the half gives to the message that it took last.
    number: u64,
    /// Births and deaths that the journal has, and the stored plant doesn't yet.
    unstored: Vec<MessageId>,
    took: u64,
    connecting: Option<bool>,
    /// When the half heard that it had been away.
    pub returns: Vec<Return>,
    /// Messages that this start of the OT half was given.
    pub given: u64,
    /// Of them, those that have to be dropped for one reason.
    pub to_drop: BTreeMap<&'static str, u64>,
    pub dropped_on_ot: Dropped,
    pub dropped_on_it: Dropped,
    pub random: Random,
    /// What the journal has had, as far as that was read.
    pub journal: Journal,
    pub trace: bool,
}

/// A message that the half took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    id: MessageId,
    at: Duration,
    number: u64,
    /// The broker has it too.
    is_kept: bool,
}

/// A message with which the OT half ends whenever it works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// The next one at QoS 1.
    Next,
    /// This one, with which it has ended so often.
    Is(MessageId, u8),
}

/// The OT half is back at its broker.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    pub at: Duration,
    /// The broker kept the session.
    pub is_kept: bool,
}

/// What comes back after some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Back {
    Ot,
    OtLink,
    It,
    ItBroker,
    OtPolicy,
    ItPolicy,
}

impl World {
    pub fn new(config: &Config, seed: u64, fault: Option<Fault>, trace: bool) -> World {
        let now = Now { mono: Duration::from_secs(1), wall_ms: config.wall_ms };
        clock::testing::show(now);
        let first = read_policy(config.policy, config.wall_ms, fault);
        let mut world = World {
            plant: Plant::new(&config.nodes),
            ot_broker: OtBroker::new(config.window),
            it_broker: ItBroker::default(),
            host: Host::new(config.folds.then_some(FOLDED)),
            ot: None,
            it: None,
            policies: (0..policies::COUNT).map(|_| None).collect(),
            ot_policy: config.policy,
            it_policy: Arc::new(Mutex::new(first)),
            was_killed: false,
            was_slow: policies::holds_back(config.policy),
            was_redacted: config.policy == 4,
            was_reloaded: config.policy == 3,
            back: BTreeMap::new(),
            full_until: BTreeMap::new(),
            taken: Vec::new(),
            stood_at: Duration::ZERO,
            poison: None,
            aside: None,
            number: 0,
            unstored: Vec::new(),
            took: 0,
            connecting: None,
            returns: Vec::new(),
            given: 0,
            to_drop: BTreeMap::new(),
            dropped_on_ot: Dropped::default(),
            dropped_on_it: Dropped::default(),
            random: Random::new(seed ^ 0xABCD),
            journal: Journal::new(trace),
            first_wall_ms: config.wall_ms,
            set_at: None,
            shed: 0,
            overtaken: BTreeSet::new(),
            speechless: BTreeSet::new(),
            config: config.clone(),
            fault,
            dir: directory(),
            now,
            trace,
        };
        world.start_ot();
        world.start_it();
        // The relay has a session before the plant says anything.
        world.step(STEP);
        world
    }

    pub fn journal_dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub fn policy(&mut self, number: usize) -> Policy {
        let (first_wall_ms, fault) = (self.first_wall_ms, self.fault);
        let made = || read_policy(number, first_wall_ms, fault);
        self.policies[number].get_or_insert_with(made).clone()
    }

    pub fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10.3} {}", self.now.mono.as_secs_f64(), what());
        }
    }

    pub fn reload(&mut self, policy: usize, ot_first: bool) {
        self.ot_policy = policy;
        self.was_slow |= policies::holds_back(policy);
        self.was_redacted |= policy == 4;
        self.was_reloaded = true;
        let own = self.policy(policy);
        *self.it_policy.lock().expect("the policy") = own;
        let (first, second) = match ot_first {
            true => (Back::OtPolicy, Back::ItPolicy),
            false => (Back::ItPolicy, Back::OtPolicy),
        };
        self.come_back(first, 0);
        self.come_back(second, 700);
    }

    fn take_policies(&mut self) {
        if self.is_back(Back::OtPolicy) {
            let policy = self.policy(self.ot_policy).into();
            if let Some(half) = &mut self.ot
                && self.fault != Some(Fault::IgnoresReload)
            {
                half.reload(policy);
            }
        }
        if self.is_back(Back::ItPolicy)
            && let Some(half) = &mut self.it
        {
            half.reload();
        }
    }

    pub fn set_clock(&mut self, jump_ms: i64) {
        self.now.wall_ms = self.now.wall_ms.saturating_add_signed(jump_ms);
        self.set_at = Some(self.now.mono);
        clock::testing::show(self.now);
    }

    pub fn fill_disk(&mut self, what: Disk, ms: u64) {
        self.full_until.insert(what, self.now.mono + Duration::from_millis(ms));
        for path in self.blocked(what) {
            let _ = std::fs::create_dir_all(path);
        }
    }

    fn is_full(&self, what: Disk) -> bool {
        self.full_until.contains_key(&what)
    }

    fn clear_disk(&mut self, what: Disk) {
        self.full_until.remove(&what);
        for path in self.blocked(what) {
            let _ = std::fs::remove_dir(path);
        }
        if what == Disk::Segment
            && let Ok(entries) = std::fs::read_dir(self.journal_dir())
        {
            for entry in entries.flatten() {
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }

    /// Directories that stand where files would be made.
    fn blocked(&self, what: Disk) -> Vec<PathBuf> {
        let dir = self.dir.path();
        match what {
            Disk::Journal | Disk::Segment => Vec::new(),
            Disk::Plant => vec![dir.join("ot/plant.state.new")],
            Disk::Mirror => vec![dir.join("it/mirror.state.new"), dir.join("it/bdseq.state.new")],
        }
    }

    fn block_segments(&self) {
        let Some(half) = &self.ot else { return };
        for number in half.next_seq()..half.next_seq() + 100 {
            let _ = std::fs::create_dir(self.journal_dir().join(format!("{number:020}.new")));
        }
    }

    fn come_back(&mut self, what: Back, ms: u64) {
        self.back.insert(what, self.now.mono + Duration::from_millis(ms));
    }

    /// Whether it comes back now.
    fn is_back(&mut self, what: Back) -> bool {
        let is_due = self.back.get(&what).is_some_and(|at| *at <= self.now.mono);
        is_due && self.back.remove(&what).is_some()
    }

    /// Name on IT of an edge node, under the policy in force.
    pub fn name_on_it(&self, node: &str) -> String {
        policies::node_on_it(self.ot_policy, node)
    }

    /// The edge node on IT whose session an edge node of the plant has.
    pub fn session_on_it(&self, node: usize) -> String {
        match self.config.folds {
            true => FOLDED.to_owned(),
            false => self.name_on_it(&self.plant.nodes[node].name),
        }
    }

    /// Name on IT of a device, or nothing for the edge node itself.
    pub fn device_on_it(&self, node: &Node, entity: &Entity) -> String {
        let name = entity.name.as_deref().unwrap_or_default();
        policies::device_on_it(self.ot_policy, &node.name, name)
    }

    /// The edge node as IT shows it, if that is alive there.
    pub fn shown(&self, node: &str) -> Option<&ShownNode> {
        self.host.nodes.get(&self.name_on_it(node)).filter(|node| node.is_online)
    }

    /// Since when the oldest message waits that the OT half took, if one does.
    pub fn oldest_taken(&self) -> Option<(Duration, MessageId)> {
        self.taken.iter().map(|taken| (taken.at, taken.id)).min()
    }

    /// Lets time pass, without the plant.
    pub fn step(&mut self, by: Duration) {
        self.now.mono += by;
        self.now.wall_ms += by.as_millis() as u64;
        clock::testing::show(self.now);
        let now = self.now.mono;
        let free: Vec<Disk> =
            self.full_until.iter().filter(|(_, at)| **at <= now).map(|(what, _)| *what).collect();
        free.into_iter().for_each(|what| self.clear_disk(what));
        if self.ot.is_none() && self.is_back(Back::Ot) {
            self.start_ot();
        }
        if self.is_back(Back::ItBroker) {
            self.it_broker.is_away = false;
        }
        if self.it.is_none() && self.is_back(Back::It) {
            self.start_it();
        }
        self.take_policies();
        self.ot_turn();
        self.it_turn();
        if self.config.retain_bytes.is_some() || self.trace {
            self.journal.read(&self.journal_dir());
        }
        for id in self.ot_broker.take_lost() {
            let sent = &mut self.plant.sent[id];
            if sent.way == Way::Waiting {
                sent.way = Way::Lost(now);
                let sent = format!("{sent:?}");
                self.note(|| format!("lost {sent}"));
            }
        }
    }

    /// Everything works from now on, and everybody is there.
    pub fn calm(&mut self) {
        self.ot_broker.calm();
        // What it has not ended with often enough to be set aside is taken like any other.
        self.poison = self.poison.filter(|poison| matches!(poison, Poison::Is(_, ot_half::ENDS)));
        let disks: Vec<Disk> = self.full_until.keys().copied().collect();
        disks.into_iter().for_each(|what| self.clear_disk(what));
        for at in self.back.values_mut() {
            *at = (*at).min(self.now.mono + Duration::from_secs(6));
        }
    }
}

fn read_policy(number: usize, first_wall_ms: u64, fault: Option<Fault>) -> Policy {
    let text = policies::text(number, first_wall_ms);
    policies::policy(&fault.map_or(text.clone(), |fault| fault.on_policy(text)))
}

/// A new directory, in memory if there is one there.
pub fn directory() -> TempDir {
    let shm = Path::new("/dev/shm");
    let dir = match shm.is_dir() {
        true => tempfile::tempdir_in(shm),
        false => tempfile::tempdir(),
    };
    dir.expect("a directory")
}

/// A payload for people.
pub fn show(payload: &[u8]) -> String {
    use prost::Message as _;
    let Ok(payload) = sparkplug::Payload::decode(payload) else {
        return format!("<{} bytes>", payload.len());
    };
    let metric = |metric: &sparkplug::Metric| {
        let name = match (&metric.name, metric.alias) {
            (Some(name), None) => name.clone(),
            (Some(name), Some(alias)) => format!("{name}#{alias}"),
            (None, alias) => format!("#{}", alias.unwrap_or(0)),
        };
        let numbers = metric.value.as_ref().map(super::plant::Shape::numbers).unwrap_or_default();
        let value = if numbers.is_empty() { "-".to_owned() } else { format!("{numbers:?}") };
        let quality = if metric.properties.is_some() { "!" } else { "" };
        let history = if metric.is_historical == Some(true) { "~" } else { "" };
        format!("{name}={value}{quality}{history}")
    };
    let metrics: Vec<String> = payload.metrics.iter().take(8).map(metric).collect();
    format!("seq {:?} {}", payload.seq, metrics.join(" "))
}
