//! One mirrored edge node: what the plant says of it, and its session on the IT broker. What the
//! broker isn't known to hold is kept in [`delivery`](super::delivery).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use account::Origin;
use sparkplug::Entity;

use super::confirm::{Confirm, MissedRange};
use super::encode;
use super::layout::Layout;
use super::line::Line;
use super::membership::{DeviceTopics, FoldId, Membership};
use super::node_memory::NodeMemory;
use super::outgoing::{NodeId, SessionSpec};
use super::settings::OnGap;
use super::timers::{Timer, Timers};

/// An edge node as the mirror holds it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) group: String,
    pub(super) edge_node: String,
    pub(super) topics: Topics,
    pub(super) role: Role,
    /// Whose session carries it: its own, or that of its fold.
    pub(super) via: NodeId,
    life: Life,
    /// Outlasts the node's death: what a birth of the relay's own making repeats is no better
    /// than it was.
    pub(super) trust: Trust,
    /// The OT half's count of losses that was acted upon last: frames and keyframes report one
    /// loss more than once.
    pub(super) losses: u64,
    /// The OT half holds it for alive and has heard nothing of it since it was away: a session that
    /// ended isn't opened again for it.
    pub(super) unheard: bool,
    /// bdSeq of the plant's session; a change without a death means that the death was lost.
    pub(super) ot_bd_seq: Option<u8>,
    pub(super) layout: Arc<Layout>,
    pub(super) devices: BTreeMap<String, Device>,
    /// Devices that a birth of the relay's own making ended, until their births follow: what
    /// was stale of them still is.
    pub(super) former_devices: BTreeMap<String, Arc<Layout>>,
    pub(super) session: Session,
    /// bdSeq of the current session.
    pub(super) bd_seq: u8,
    /// bdSeq of the next CONNECT; on disk before that CONNECT.
    pub(super) bd_seq_next: u8,
    /// Of its own session; a member of a fold has none.
    pub(super) line: Line,
    /// Until when the births that single messages asked for have used up their turns.
    pub(super) born_anew: Duration,
    /// Sessions in a row that ended before they had lasted.
    pub(super) failures: u32,
    /// Those of them since the broker couldn't be reached at all: they are this node's affair.
    pub(super) own_failures: u32,
    /// Sessions in a row that ended with such births.
    pub(super) birth_ends: u32,
    pub(super) timers: Timers,
    pub(super) confirm: Confirm,
    /// Lowest frame that was not published when it came (session down or suspended).
    pub(super) missed_from: Option<u64>,
    /// Frame of the node's birth that is held and not published, if nothing newer changed it.
    pub(super) unpublished_birth: Option<u64>,
    /// Frames to read again and publish as historical.
    pub(super) ranges: Vec<MissedRange>,
    pub(super) memory: NodeMemory,
    /// How much of the news for all nodes it has heard.
    pub(super) heard: u64,
}

/// What a node is to the mirror.
#[derive(Debug)]
pub(super) enum Role {
    /// A node of the plant with a session of its own.
    Plant,
    /// The relay's own edge node, of which the journal knows nothing.
    Relay,
    /// A node of the plant that is a device of a folded edge node.
    Member(Box<Membership>),
    /// A folded edge node, of which the journal knows nothing either.
    Folded(FoldId),
}

/// Whether the plant's node lives, as far as the journal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// No birth is known, or a death came since.
    Dead,
    Alive,
    /// Alive, but frames were lost, and its death may have been among them. A keyframe resolves
    /// the doubt, or [`Timer::ConfirmBy`] does; the timer doesn't run yet where the doubt was
    /// restored from disk and no clock was seen since.
    Doubted,
}

/// How far the values of a node can be trusted: all three are possible in every [`Life`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    Certain,
    /// The OT half says that values may be out of date.
    Uncertain,
    /// As [`Trust::Uncertain`], and `on-gap = "death"` keeps the node dead on IT until its next
    /// real birth.
    Suspended,
}

/// A device of a node; it exists while it is alive.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) topics: DeviceTopics,
    pub(super) layout: Arc<Layout>,
    pub(super) announced: Announced,
    /// Frame of its birth that is held and not published, if nothing newer changed it.
    pub(super) unpublished_birth: Option<u64>,
    /// What of it its node has counted.
    pub(super) counted: usize,
}

/// Whether IT knows of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// The session of its node isn't born or wants to be born anew, or its birth waits for the
    /// definition of a template.
    Unborn,
    /// Its DBIRTH was published in the current session.
    Born,
}

/// Life of a node's session on the IT broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// There is none. [`Timer::Connect`] says from when on there may be one, if it runs.
    Closed,
    /// Asked for. `host_seen`: it has heard where the primary host stands.
    Opening { host_seen: bool },
    /// Connected; the births wait for the primary host.
    Waiting { host_seen: bool },
    /// The births are published, the last ones at `since`.
    Born { since: Duration },
    /// DISCONNECT was asked for.
    Closing,
}

#[derive(Debug)]
pub(super) struct Topics {
    pub(super) birth: Arc<str>,
    pub(super) death: Arc<str>,
    pub(super) data: Arc<str>,
    pub(super) command: String,
    device_commands: String,
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        group: &str,
        edge_node: &str,
        bd_seq_next: u8,
        role: Role,
    ) -> Node {
        let topic = |kind: &str| Arc::from(format!("spBv1.0/{group}/{kind}/{edge_node}"));
        Node {
            id,
            group: group.to_owned(),
            edge_node: edge_node.to_owned(),
            topics: Topics {
                birth: topic("NBIRTH"),
                death: topic("NDEATH"),
                data: topic("NDATA"),
                command: format!("spBv1.0/{group}/NCMD/{edge_node}"),
                device_commands: format!("spBv1.0/{group}/DCMD/{edge_node}/+"),
            },
            role,
            via: id,
            life: Life::Dead,
            trust: Trust::Certain,
            losses: 0,
            unheard: false,
            ot_bd_seq: None,
            layout: Arc::default(),
            devices: BTreeMap::new(),
            former_devices: BTreeMap::new(),
            session: Session::Closed,
            bd_seq: bd_seq_next,
            bd_seq_next,
            line: Line::default(),
            born_anew: Duration::ZERO,
            failures: 0,
            own_failures: 0,
            birth_ends: 0,
            timers: Timers::default(),
            confirm: Confirm::default(),
            missed_from: None,
            unpublished_birth: None,
            ranges: Vec::new(),
            memory: NodeMemory::default(),
            heard: 0,
        }
    }

    /// A node of the plant as a device of a folded edge node, whose session `via` is.
    pub(super) fn new_member(
        id: NodeId,
        group: &str,
        edge_node: &str,
        via: NodeId,
        membership: Membership,
    ) -> Node {
        let topics = membership.topics(group, None);
        let mut node = Node::new(id, group, edge_node, 0, Role::Member(Box::new(membership)));
        node.topics =
            Topics { birth: topics.birth, death: topics.death, data: topics.data, ..node.topics };
        node.via = via;
        node
    }

    /// The relay's own edge node.
    pub(super) fn is_relay(&self) -> bool {
        matches!(self.role, Role::Relay)
    }

    /// Its place in a folded edge node, if it has one.
    pub(super) fn membership(&self) -> Option<&Membership> {
        match &self.role {
            Role::Member(membership) => Some(membership),
            Role::Plant | Role::Relay | Role::Folded(_) => None,
        }
    }

    pub(super) fn membership_mut(&mut self) -> Option<&mut Membership> {
        match &mut self.role {
            Role::Member(membership) => Some(membership),
            Role::Plant | Role::Relay | Role::Folded(_) => None,
        }
    }

    /// `group/edge_node`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.group, self.edge_node)
    }

    /// Metrics of the node and of all its devices.
    pub(super) fn metrics(&self) -> usize {
        let devices = self.devices.values().map(|device| device.layout.len());
        devices.fold(self.layout.len(), usize::saturating_add)
    }

    /// The node or a device of it, for the account.
    pub(super) fn origin<'a>(&'a self, device: Option<&'a str>) -> Origin<'a> {
        let Node { id, group, edge_node, .. } = self;
        Origin { entity: Some(Entity { group, edge_node, device }), node: Some((*id).into()) }
    }

    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// The plant's node is alive: its birth is known and no death came since.
    pub(super) fn is_alive(&self) -> bool {
        self.life != Life::Dead
    }

    /// A birth came, or a keyframe: whatever was doubted before is resolved.
    pub(super) fn set_alive(&mut self) {
        self.life = Life::Alive;
        self.timers.stop(Timer::ConfirmBy);
    }

    pub(super) fn set_dead(&mut self) {
        self.life = Life::Dead;
        self.timers.stop(Timer::ConfirmBy);
    }

    /// The node is dead unless a keyframe confirms it; `by`: until then, `None` where no clock was
    /// seen yet.
    pub(super) fn set_doubted(&mut self, by: Option<Duration>) {
        self.life = Life::Doubted;
        if let Some(by) = by {
            self.timers.set(Timer::ConfirmBy, by);
        }
    }

    /// IT may see the node: it is alive, no gap keeps it dead, and somebody has heard of it, or IT
    /// sees it already.
    pub(super) fn is_presentable(&self) -> bool {
        self.is_alive() && self.trust != Trust::Suspended && (!self.unheard || self.is_born())
    }

    pub(super) fn is_born(&self) -> bool {
        matches!(self.session, Session::Born { .. })
    }

    /// Births are published and data may follow.
    pub(super) fn publishes(&self) -> bool {
        self.is_born() && !self.timers.is_set(Timer::RebirthDue)
    }

    /// A new device with this layout, of which IT doesn't know.
    pub(super) fn new_device(&self, name: &str, layout: Arc<Layout>) -> Device {
        let topics = match self.membership() {
            Some(membership) => membership.topics(&self.group, Some(name)),
            None => DeviceTopics::new(&self.group, &self.edge_node, name),
        };
        Device { topics, layout, announced: Announced::Unborn, unpublished_birth: None, counted: 0 }
    }

    /// The metrics of the node or of a device that it has.
    pub(super) fn layout_of(&self, device: Option<&str>) -> Option<&Layout> {
        match device {
            None => Some(&self.layout),
            Some(name) => self.devices.get(name).map(|device| &*device.layout),
        }
    }

    /// The name of the metric, of the node or of a device, that IT knows by this alias.
    pub(super) fn by_alias(&self, alias: u64) -> Option<&str> {
        let devices = self.devices.values().filter(|device| device.is_born());
        let mut layouts = devices.map(|device| &device.layout).chain([&self.layout]);
        layouts.find_map(|layout| layout.by_alias(alias))
    }

    pub(super) fn layout_of_mut(&mut self, device: Option<&str>) -> Option<&mut Arc<Layout>> {
        match device {
            None => Some(&mut self.layout),
            Some(name) => self.devices.get_mut(name).map(|device| &mut device.layout),
        }
    }

    /// Whether the values of this device are doubted for themselves, also where a birth of the
    /// relay's own making ended it for the moment.
    pub(super) fn doubts_device(&self, name: &str) -> bool {
        let former = self.former_devices.get(name).map(|layout| &**layout);
        let layout = self.layout_of(Some(name)).or(former);
        layout.is_some_and(|layout| layout.doubts > 0)
    }

    /// Where data of the node or of a device goes; `None`: IT doesn't know of the device.
    pub(super) fn data_topic(&self, device: Option<&str>) -> Option<Arc<str>> {
        match device {
            None => Some(&self.topics.data),
            Some(name) => {
                let device = self.devices.get(name).filter(|device| device.is_born());
                device.map(|device| &device.topics.data)
            }
        }
        .map(Arc::clone)
    }

    /// Whether a device's birth has to wait: frames were lost, and the definition of a template
    /// that it has an instance of may have been among them. The node's next birth or keyframe
    /// brings it, or shows that the plant has none. Or the device is doubted for itself, and `on_gap`
    /// keeps it dead until its next birth.
    pub(super) fn withholds(&self, layout: &Layout, on_gap: OnGap) -> bool {
        (self.life == Life::Doubted && !layout.is_defined_by(&self.layout))
            || layout.is_suspended(on_gap)
    }

    /// IT knows of no device any more: the session ended, or ends.
    pub(super) fn unannounce_devices(&mut self) {
        self.devices.values_mut().for_each(|device| device.announced = Announced::Unborn);
    }

    /// Dead, with its session closed and nothing to be published again.
    pub(super) fn is_spent(&self) -> bool {
        !self.is_alive()
            && self.session == Session::Closed
            && self.ranges.is_empty()
            && self.unconfirmed_from().is_none()
    }

    /// Will and subscriptions of the next session, with `bd_seq`.
    pub(super) fn session_spec(&self, wall_ms: u64, host_topic: Option<String>) -> SessionSpec {
        let mut subscriptions =
            vec![self.topics.command.clone(), self.topics.device_commands.clone()];
        subscriptions.extend(host_topic);
        SessionSpec {
            group: self.group.clone(),
            edge_node: self.edge_node.clone(),
            will_topic: Arc::clone(&self.topics.death),
            will_payload: encode::node_death(self.bd_seq, wall_ms),
            bd_seq: self.bd_seq,
            birth_bytes: self.birth_bytes(),
            subscriptions,
        }
    }

    /// What the births of the node and its devices take, in bytes, roughly.
    pub(super) fn birth_bytes(&self) -> usize {
        let devices = self.devices.values().map(|device| encode::birth_bytes(&device.layout));
        devices.fold(encode::birth_bytes(&self.layout), usize::saturating_add)
    }
}

impl Device {
    pub(super) fn is_born(&self) -> bool {
        self.announced == Announced::Born
    }

    /// Its birth waits for nothing but what [`Node::withholds`] it for, and may be published as soon
    /// as that is resolved.
    pub(super) fn is_withheld(&self, on_gap: OnGap) -> bool {
        !self.is_born() && !self.layout.is_suspended(on_gap)
    }
}
