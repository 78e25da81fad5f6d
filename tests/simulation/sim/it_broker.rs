//! The IT broker: sessions, wills, and what a network does to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use it::mirror::{NodeId, Outgoing, SessionEvent, SessionSpec};

use super::host::Host;

/// A session of a mirrored node.
#[derive(Debug)]
struct Session {
    spec: SessionSpec,
    /// From then on it is gone, and until then nothing on it arrives.
    swallows_until: Option<Duration>,
}

#[derive(Debug, Default)]
pub struct ItBroker {
    pub is_away: bool,
    sessions: BTreeMap<NodeId, Session>,
    /// What the half hears next.
    events: VecDeque<(NodeId, SessionEvent)>,
    /// Nodes whose last session didn't end in order: the half may not know how far it was.
    cut: BTreeMap<String, bool>,
}

impl ItBroker {
    /// Carries out what the half asks.
    pub fn carry_out(&mut self, outgoing: Outgoing, host: &mut Host, wall_ms: u64) {
        match outgoing {
            Outgoing::Open { node, spec } => self.open(node, spec, host),
            Outgoing::Publish { node, topic, payload, .. } => {
                if self.sessions.get(&node).is_some_and(|one| one.swallows_until.is_none()) {
                    host.received(&topic, &payload, wall_ms);
                }
            }
            Outgoing::Hurry { .. } => {}
            Outgoing::Barrier { node } => {
                if self.sessions.get(&node).is_some_and(|one| one.swallows_until.is_none()) {
                    self.events.push_back((node, SessionEvent::Confirmed));
                }
            }
            Outgoing::Close { node } => match self.sessions.remove(&node) {
                Some(session) if session.swallows_until.is_some() => {
                    host.will(&session.spec.edge_node);
                    self.events.push_back((node, SessionEvent::Lost { connect_sent: true }));
                }
                Some(_) => self.events.push_back((node, SessionEvent::Closed)),
                // Its end is among the events already.
                None => {}
            },
        }
    }

    fn open(&mut self, node: NodeId, spec: SessionSpec, host: &mut Host) {
        if self.is_away {
            self.events.push_back((node, SessionEvent::Lost { connect_sent: false }));
            return;
        }
        let is_sure = !self.cut.remove(&spec.edge_node).unwrap_or(false);
        host.session(&spec.edge_node, spec.bd_seq.into(), is_sure);
        assert!(
            self.sessions.insert(node, Session { spec, swallows_until: None }).is_none(),
            "two sessions of one node"
        );
        self.events.push_back((node, SessionEvent::Ready));
    }

    /// The session of an edge node swallows what is published, and breaks at `until`.
    pub fn swallow(&mut self, edge_node: &str, until: Duration) {
        for session in self.sessions.values_mut() {
            if session.spec.edge_node == edge_node {
                session.swallows_until.get_or_insert(until);
            }
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Duration, host: &mut Host) {
        let due = |session: &Session| session.swallows_until.is_some_and(|until| until <= now);
        let broken: Vec<NodeId> = self
            .sessions
            .iter()
            .filter_map(|(node, session)| due(session).then_some(*node))
            .collect();
        for node in broken {
            self.lose(node, host);
        }
    }

    fn lose(&mut self, node: NodeId, host: &mut Host) {
        let Some(session) = self.sessions.remove(&node) else { return };
        host.will(&session.spec.edge_node);
        self.cut.insert(session.spec.edge_node, true);
        self.events.push_back((node, SessionEvent::Lost { connect_sent: true }));
    }

    /// All sessions break.
    pub fn lose_all(&mut self, host: &mut Host) {
        let nodes: Vec<NodeId> = self.sessions.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.lose(node, host));
    }

    /// The half is gone: so are its sessions, and nobody hears of it.
    pub fn half_gone(&mut self, host: &mut Host) {
        self.lose_all(host);
        self.events.clear();
        // It may have taken a number and never asked for the session.
        let folded = host.folded.iter().map(|(name, _)| name);
        let all = host.nodes.keys().chain(folded);
        self.cut.extend(all.map(|node| (node.clone(), true)));
    }

    /// A host asks a node for a rebirth.
    pub fn ask_for_rebirth(&mut self, edge_node: &str, topic: String, payload: Vec<u8>) {
        let of_node = |session: &Session| session.spec.edge_node == edge_node;
        let asked = self.sessions.iter().find(|(_, session)| of_node(session));
        if let Some((node, _)) = asked {
            let payload = payload.into();
            let event = SessionEvent::Received { topic, payload, retain: false };
            self.events.push_back((*node, event));
        }
    }

    /// What the half hears.
    pub fn take_events(&mut self) -> VecDeque<(NodeId, SessionEvent)> {
        std::mem::take(&mut self.events)
    }
}
