//! The half by hand, for the simulation: driver, mirror and state as they run, without network and
//! threads. The clock shows what `clock::testing` is told.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use broker::{Addresses, Server, Servers};
use journal_read::Item;
use policy::Policy;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    BrokerWatch, Driver, DriverEvent, DriverSettings, Failover, FirstStart, ItError, ItState,
    Mirror, PolicyLoader, Qos, StateWriter,
};
use crate::mirror::{MirrorSettings, NameTaken, NodeId, Outgoing, SessionEvent, SessionSpec};
use crate::pool::Pool;
use crate::state::state_writer::Jobs;

/// No pace that a simulation would notice: its clock isn't the one that paces history.
const AT_ONCE: std::num::NonZeroU32 = std::num::NonZeroU32::new(1_000_000).unwrap();

/// What the half needs of [`Settings`](crate::Settings) besides network and people.
pub struct HalfSettings {
    pub journal_dir: PathBuf,
    pub state_dir: PathBuf,
    pub mirror: MirrorSettings,
    pub first_start: FirstStart,
    /// A copy of the policy to check frames against, and how to read it again.
    pub policy: Option<(Policy, PolicyLoader)>,
}

impl std::fmt::Debug for HalfSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HalfSettings").field("mirror", &self.mirror).finish_non_exhaustive()
    }
}

/// A half that does nothing by itself. Dropping it is a kill.
pub struct Half {
    driver: Driver<Desk>,
    events: UnboundedSender<DriverEvent>,
    desk: Arc<Mutex<Orders>>,
    jobs: Arc<Mutex<Jobs>>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Half").field("mirror", &self.driver.mirror).finish_non_exhaustive()
    }
}

/// What the half asked of the broker, and who has a session.
#[derive(Debug, Default)]
struct Orders {
    asked: VecDeque<Outgoing>,
    live: HashMap<NodeId, u64>,
    generation: u64,
}

/// The sessions, as the driver sees them.
#[derive(Clone, Debug, Default)]
struct Desk(Arc<Mutex<Orders>>);

impl Desk {
    fn ask(&mut self, outgoing: Outgoing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked.push_back(outgoing);
    }
}

/// The one server, which nobody dials.
fn only_server() -> Servers {
    let addresses = Arc::new(Addresses::fixed(Vec::new()));
    Servers::only(Server { host: "simulated".into(), port: 1, addresses, tls: None })
}

impl Pool for Desk {
    fn queued_bytes(&self) -> usize {
        0
    }

    fn taken_bytes(&self) -> u64 {
        0
    }

    fn queued_bytes_of_others(&self) -> usize {
        0
    }

    fn open(&mut self, node: NodeId, spec: SessionSpec) {
        {
            let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            orders.generation = orders.generation.wrapping_add(1);
            let generation = orders.generation;
            orders.live.insert(node, generation);
        }
        self.ask(Outgoing::Open { node, spec });
    }

    fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos) {
        self.ask(Outgoing::Publish { node, topic, payload, qos });
    }

    fn hurry(&mut self, _node: NodeId) {}

    fn barrier(&mut self, node: NodeId, _data_qos: Qos) {
        self.ask(Outgoing::Barrier { node });
    }

    fn close(&mut self, node: NodeId) {
        self.ask(Outgoing::Close { node });
    }

    fn leave_server(&mut self) {}

    fn has_left(&self, _node: NodeId) -> bool {
        false
    }

    fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.live.get(&node) != Some(&generation) {
            return false;
        }
        if ended {
            orders.live.remove(&node);
        }
        true
    }

    fn ask_again(&mut self) {}

    fn commands_taken(&self, _bytes: usize) {}

    fn abort(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).live.clear();
    }
}

impl Half {
    /// Claims the state and finds the place in the journal.
    ///
    /// # Errors
    /// As of a start.
    pub fn start(settings: HalfSettings) -> Result<Half, ItError> {
        let HalfSettings { journal_dir, state_dir, mirror, first_start, policy } = settings;
        let state = ItState::open(&state_dir)?;
        let (events, taken) = tokio::sync::mpsc::unbounded_channel();
        let desk = Desk::default();
        let (policy, policy_loader) = policy.unzip();
        let driver_settings = DriverSettings {
            journal_dir,
            first_start,
            data_qos: mirror.data_qos,
            connects_per_s: None,
            bytes_per_s: None,
            backfill_per_s: AT_ONCE,
            gather: Some(std::time::Duration::ZERO),
            most_frame_bytes: usize::MAX,
            most_layout_bytes: usize::MAX,
            policy_loader,
            reloads_else: false,
        };
        let mut by_hand = None;
        let to_driver = events.clone();
        let make_writer = |state| {
            let (writer, jobs) = StateWriter::by_hand(state, to_driver);
            by_hand = Some(jobs);
            Ok(writer)
        };
        let driver = Driver::new(
            driver_settings,
            Mirror::new(mirror, policy.map(Arc::new)),
            desk.clone(),
            (state, make_writer),
            taken,
            (BrokerWatch::new("simulated".into()), Failover::new(Arc::new(only_server()))),
            |_| Ok(None),
        )?;
        let missing = || ItError::Start(std::io::Error::other("no writer was asked for"));
        let jobs = by_hand.ok_or_else(missing)?;
        Ok(Half { driver, events, desk: desk.0, jobs })
    }

    /// Something happened on the session that the node has now.
    pub fn happened(&mut self, node: NodeId, event: SessionEvent) {
        let orders = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(generation) = orders.live.get(&node).copied() else { return };
        let _ = self.events.send(DriverEvent::Session { node, generation, event });
    }

    /// The policy is to be read again.
    pub fn reload(&mut self) {
        let _ = self.events.send(DriverEvent::Reload);
    }

    /// A stop is asked for; turns go on until one is the last.
    pub fn ask_to_stop(&mut self) {
        let _ = self.events.send(DriverEvent::Stop);
    }

    /// Goes on in the journal behind so many frames.
    pub fn skip(&mut self, frames: u64) {
        for _ in 0..frames {
            let _ = self.driver.reader.next();
        }
    }

    /// A kill while the last frame of the journal is in work; false: there is none.
    pub fn killed_with_last(mut self) -> bool {
        let mut is_any = false;
        while let Some(item) =
            self.driver.read_ahead.pop_front().or_else(|| self.driver.reader.next().ok()?)
        {
            if let Item::Frame(frame) | Item::Late(frame) = item {
                let _ = self.driver.begin_again(&frame);
                is_any = true;
            }
        }
        is_any
    }

    /// Takes the relay's own edge node in.
    ///
    /// # Errors
    /// A mirrored node has the name.
    pub fn add_relay_node(&mut self, group: &str, edge_node: &str) -> Result<(), NameTaken> {
        let now = self.driver.clock.now();
        self.driver.mirror.add_relay_node(now, group, edge_node, Vec::new())
    }

    /// One turn. Whether it was the last one: [`Half::finish`] follows.
    pub fn turn(&mut self) -> bool {
        self.driver.turn().is_last
    }

    /// What was asked of the broker since this was asked last, in order.
    pub fn asked(&mut self) -> VecDeque<Outgoing> {
        let mut orders = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut orders.asked)
    }

    /// The state's writer does its next job; false: it has none.
    pub fn write_state(&mut self) -> bool {
        self.jobs.lock().is_ok_and(|mut jobs| jobs.do_one())
    }

    /// What it shows of the plant.
    pub fn mirror(&self) -> &Mirror {
        &self.driver.mirror
    }

    /// Ends after its last turn.
    ///
    /// # Errors
    /// The state can't be written.
    pub fn finish(self) -> Result<(), ItError> {
        self.driver.finish()
    }
}
