//! A simulated plant: edge nodes that publish Sparkplug B over MQTT as real ones do, on a thread
//! of their own.

mod edge_node;
mod layout;
mod signal;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Clock;
pub(super) use layout::{FORBIDDEN, GROUP, MORTAL, NodeSpec, SETPOINT, TARGET, Treatment, nodes};
pub(super) use signal::{COUNT, PUBLISHED};
use sparkplug::Value;
use tokio::sync::watch;

/// Begins the MQTT client identifiers of the plant's edge nodes.
pub(super) const CLIENT_PREFIX: &str = "plant-";

/// What the plant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All edge nodes live and publish.
    Running,
    /// [`MORTAL`] is dead: its connection broke.
    OneDead,
    /// All live and none publishes data, so that both sides can be compared.
    Quiet,
}

/// What one edge node has done so far.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeReport {
    pub(super) alive: bool,
    /// Data messages (NDATA, DDATA) published.
    pub(super) data: u64,
    /// All messages published, without wills.
    pub(super) messages: u64,
    /// Metrics in them.
    pub(super) metrics: u64,
    pub(super) seq: u8,
    pub(super) bd_seq: u8,
    /// Commands that arrived: one would be too many.
    pub(super) commands: u64,
    /// When its connection was broken last.
    pub(super) died_at: Option<Duration>,
    /// When its births were published last.
    pub(super) born_at: Option<Duration>,
    /// What it published last of every metric, once it is quiet.
    pub(super) values: Option<Arc<Values>>,
}

/// Values by device (`None`: the edge node itself) and metric.
pub(super) type Values = BTreeMap<(Option<&'static str>, String), Value>;

/// Reports by edge node.
pub(super) type Reports = BTreeMap<&'static str, NodeReport>;

/// The running plant.
#[derive(Debug)]
pub(super) struct Plant {
    nodes: Arc<Vec<NodeSpec>>,
    phase: watch::Sender<Phase>,
    reports: Arc<Mutex<Reports>>,
}

impl Plant {
    /// Connects every edge node to the broker at `address`.
    ///
    /// # Errors
    /// The operating system refuses the thread.
    pub(super) fn start(address: SocketAddr, clock: Clock) -> io::Result<Plant> {
        let nodes = Arc::new(nodes());
        let (phase, phases) = watch::channel(Phase::Running);
        let reports: Arc<Mutex<Reports>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let plant = Plant { nodes: Arc::clone(&nodes), phase, reports: Arc::clone(&reports) };
        std::thread::Builder::new().name("plant".into()).spawn(move || {
            runtime.block_on(async move {
                let mut tasks = tokio::task::JoinSet::new();
                for (index, spec) in nodes.iter().cloned().enumerate() {
                    let site = edge_node::Site {
                        address,
                        clock,
                        phases: phases.clone(),
                        reports: Arc::clone(&reports),
                    };
                    tasks.spawn(edge_node::run(spec, index, site));
                }
                while tasks.join_next().await.is_some() {}
            });
        })?;
        Ok(plant)
    }

    pub(super) fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// What every edge node has done so far.
    pub(super) fn reports(&self) -> Reports {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
