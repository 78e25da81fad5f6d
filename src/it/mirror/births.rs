//! Births and deaths of the plant: what lives, and what it looks like.

use std::sync::Arc;

use account::Reason;
use journal_format::Relayed;
use sparkplug::{Metric, Payload, names};

use super::layout::Layout;
use super::node::{Announced, Node, Trust};
use super::nodes::Nodes;
use super::notice::{Notice, count};
use super::settings::OnGap;
use super::step::StepContext;

/// What the values of a birth are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The plant says them.
    Good,
    /// They are repeated, and that makes no value good; what is new beside them was brought by data.
    Repeated,
    /// The same, but what is new was hidden until now, and may be out of date.
    Doubted,
}

/// Why a node is dead, by the frame of its death. The OT half chooses the word.
pub(super) fn why_dead(death: &Relayed) -> &'static str {
    match death.withdrawn.as_str() {
        "no_rule" => "no rule lets it cross any more: a window closed, or the policy changed",
        "over_limit" => "it is over a limit of the OT half",
        "unheard" => "nothing was heard of it on OT since the relay was away",
        "other_shard" => "another relay has it: its shard isn't this relay's any more",
        "refused" => "the OT half refused what it sent, and doesn't know it any more",
        "" if death.synthetic => "the OT half shows it no more",
        _ => "it died on OT",
    }
}

impl Worth {
    /// Of a birth that is `repeated`; `outdated`: what is new was hidden.
    pub(super) fn of(repeated: bool, outdated: bool) -> Worth {
        match (repeated, outdated) {
            (false, _) => Worth::Good,
            (true, false) => Worth::Repeated,
            (true, true) => Worth::Doubted,
        }
    }
}

impl StepContext<'_> {
    /// The node that a birth is of; one that isn't known is taken in.
    ///
    /// # Errors
    /// It has the name of the relay's own edge node, or there are too many.
    pub(super) fn born_node<'n>(
        &mut self,
        nodes: &'n mut Nodes,
        group: &str,
        edge_node: &str,
    ) -> Result<&'n mut Node, Reason> {
        if nodes.is_relay_node(group, self.folds.seen_as(edge_node)) {
            self.notify(Notice::OwnNameUsed { node: format!("{group}/{edge_node}") });
            return Err(Reason::NameTaken);
        }
        self.check_topic(group, edge_node, None)?;
        let known = nodes.id_of(group, edge_node);
        self.room = nodes.room(known, self.settings.budget);
        if known.is_none() {
            self.check_new(group, edge_node)?;
        }
        match nodes.find_or_add(group, edge_node, self.settings.max_nodes, self.folds) {
            Some((node, false)) => Ok(node),
            Some((node, true)) => {
                if let Some((from, to)) = self.first_stretch.filter(|_| self.settings.backfill) {
                    node.add_range(from, to);
                }
                self.ledger.open_node(node.id.into());
                Ok(node)
            }
            None => {
                self.notify(Notice::OverCapacity { what: "mirror.max-nodes" });
                Err(Reason::OverCapacity)
            }
        }
    }

    pub(super) fn node_birth(
        &mut self,
        node: &mut Node,
        seq: u64,
        payload: Payload,
        date: u64,
        worth: Worth,
    ) -> Result<(), Reason> {
        let synthetic = worth != Worth::Good;
        let ot_bd_seq = names::bd_seq(&payload);
        let mut layout = self.layout(node, None, payload, date);
        if let Err(reason) = self.check_born(node, layout.bytes()) {
            // What it looks like isn't known: for hosts it is dead.
            self.refuse_node(node);
            return Err(reason);
        }
        let same_session = node.is_alive() && node.ot_bd_seq == ot_bd_seq;
        node.former_devices.clear();
        if synthetic && same_session {
            // The relay repeats what it held: that makes no value good. Its DBIRTHs follow.
            // What is new was hidden until now.
            let is_doubted = worth == Worth::Doubted && self.is_doubted(node, None);
            layout.keep_stale_marks_of(&node.layout, is_doubted);
            let devices = node.devices.iter_mut();
            node.former_devices = devices
                .map(|(name, device)| (name.clone(), std::mem::take(&mut device.layout)))
                .collect();
        } else if synthetic && node.trust >= Trust::Uncertain && self.settings.on_gap == OnGap::Mark
        {
            layout.mark_stale();
        }
        node.set_alive();
        if !synthetic {
            node.trust = Trust::Certain;
        }
        node.ot_bd_seq = ot_bd_seq;
        layout.keep_numbers_of(&node.layout);
        node.layout = Arc::new(layout);
        // An NBIRTH ends every device until its next DBIRTH (Sparkplug 3.0 §6.4.19).
        node.forget_devices();
        node.count_all();
        if node.publishes() && same_session {
            self.publish_births(node);
            return Ok(());
        }
        node.miss_birth(None, seq);
        if !same_session && node.is_born() && node.membership().is_some() {
            // As a device it needs no session of its own to die and be born in.
            self.publish_births(node);
        } else if !same_session && node.is_born() {
            // The death of the earlier session was lost: end ours too.
            self.kill(node, "its session on OT is a new one");
        }
        self.reconcile(node, "");
        Ok(())
    }

    /// Nothing of a birth is remembered: the node is dead until its next one.
    fn refuse_node(&mut self, node: &mut Node) {
        self.forget_node(node, "more than may be remembered");
    }

    /// Nothing of a node is remembered any more: it is dead until its next birth.
    pub(super) fn forget_node(&mut self, node: &mut Node, why: &'static str) {
        node.set_dead();
        node.forget_devices();
        node.former_devices.clear();
        node.layout = Arc::default();
        node.count_all();
        self.reconcile(node, why);
    }

    pub(super) fn node_death(&mut self, node: &mut Node, why: &'static str) {
        node.set_dead();
        if node.trust == Trust::Suspended {
            node.trust = Trust::Uncertain;
        }
        node.unannounce_devices();
        self.reconcile(node, why);
    }

    /// A device's birth.
    pub(super) fn device_birth(
        &mut self,
        node: &mut Node,
        name: &str,
        seq: u64,
        payload: Payload,
        date: u64,
        worth: Worth,
    ) -> Result<(), Reason> {
        self.check_topic(&node.group, &node.edge_node, Some(name))?;
        let repeats = worth != Worth::Good;
        let mut layout = self.layout(node, Some(name), payload, date);
        let known = node.devices.get(name);
        if known.is_none() && node.devices.len() >= self.settings.max_devices_per_node {
            self.notify(Notice::OverCapacity { what: "mirror.max-devices-per-node" });
            return Err(Reason::OverCapacity);
        }
        let is_known_as_born = known.is_some_and(|device| device.is_born());
        let former = node.take_former_device(name);
        if let Err(reason) = self.check_layout(node, Some(name), layout.bytes()) {
            // What it looks like isn't known: for hosts it is dead.
            let _ = self.device_death(node, name, seq);
            return Err(reason);
        }
        if is_known_as_born {
            // A second DBIRTH without a DDEATH would be a violation: publish what differs as data,
            // or begin the births of the node anew.
            self.replace_layout(node, Some(name), seq, layout, worth);
            return Ok(());
        }
        match former {
            Some(former) if repeats => {
                let is_doubted = self.is_doubted(node, None) || former.doubts > 0;
                let is_doubted = is_doubted && worth == Worth::Doubted;
                layout.keep_stale_marks_of(&former, is_doubted);
            }
            None if repeats => match self.settings.on_gap {
                OnGap::Mark => layout.mark_stale(),
                // How often it was doubted says the next keyframe.
                OnGap::Death if worth == Worth::Doubted => layout.doubts = layout.doubts.max(1),
                OnGap::Death | OnGap::Ignore => {}
            },
            _ => {}
        }
        let withheld = node.withholds(&layout, self.settings.on_gap);
        let mut device = node.new_device(name, Arc::new(layout));
        if node.publishes() && !withheld {
            self.published(node, seq, seq);
            self.publish_device_birth(node, &mut device);
        } else {
            device.unpublished_birth = Some(seq);
        }
        if let Some(former) = node.devices.insert(name.to_owned(), device) {
            node.memory.forget(former.counted);
        }
        node.count(Some(name));
        Ok(())
    }

    pub(super) fn device_death(
        &mut self,
        node: &mut Node,
        name: &str,
        seq: u64,
    ) -> Result<(), Reason> {
        let device = node.forget_device(name).ok_or(Reason::DataBeforeBirth)?;
        if device.announced == Announced::Born && node.is_born() {
            self.published(node, seq, seq);
            self.publish_device_death(node, device.topics.death);
        }
        Ok(())
    }

    /// Whether what a keyframe, or a birth of the relay's own making, shows of a node or device for
    /// the first time is doubted: no birth of the plant brought it, so it was hidden from here when
    /// it was said.
    pub(super) fn is_doubted(&self, node: &Node, device: Option<&str>) -> bool {
        let is_doubted = device.is_some_and(|device| node.doubts_device(device));
        self.settings.on_gap == OnGap::Mark && (node.trust >= Trust::Uncertain || is_doubted)
    }

    /// Builds the layout of a birth, with the mirror's own copy of the policy applied.
    pub(super) fn layout(
        &mut self,
        node: &Node,
        device: Option<&str>,
        birth: Payload,
        date: u64,
    ) -> Layout {
        self.breathe();
        let (mut layout, refused) = Layout::from_birth(birth, date);
        layout.aliases = self.settings.aliases;
        self.breathe();
        let origin = node.origin(device);
        self.drop_metrics(origin, refused, Reason::BadFrame);
        self.recheck_birth(origin, &mut layout);
        self.breathe();
        layout
    }

    /// Replaces a known layout by one that the OT half repeated or changed.
    pub(super) fn replace_layout(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        seq: u64,
        layout: Layout,
        worth: Worth,
    ) {
        let is_doubted = match worth {
            Worth::Good => None,
            Worth::Repeated => Some(false),
            Worth::Doubted => Some(self.is_doubted(node, device)),
        };
        if let Some(revision) = Revision::of(node, device, layout, is_doubted) {
            self.revise(node, device, seq, revision);
        }
    }

    /// Differences are published as data where the shape is the same, else by a new birth
    /// sequence.
    pub(super) fn revise(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        seq: u64,
        revision: Revision,
    ) {
        if self.check_layout(node, device, revision.layout.bytes()).is_err() {
            // What it looks like isn't known: for hosts it is dead.
            match device {
                None => self.refuse_node(node),
                Some(name) => {
                    let _ = self.device_death(node, name, seq);
                }
            }
            return;
        }
        let Some(current) = node.layout_of_mut(device) else {
            return mistake::mistake!("a revision of a device that isn't there");
        };
        let mut layout = revision.layout;
        layout.is_typed = current.is_typed;
        *current = Arc::new(layout);
        node.count(device);
        count(&mut self.tally.healed);
        match revision.differences {
            _ if !node.publishes() => node.miss_birth(device, seq),
            Some(differences) => {
                self.published(node, seq, seq);
                self.publish_data(node, device, differences);
            }
            None => {
                self.publish_births_anew(node, true);
                if !node.publishes() {
                    node.miss_birth(device, seq);
                }
            }
        }
    }
}

/// How a birth differs from what is known of the node or device.
#[derive(Debug)]
pub(super) struct Revision {
    layout: Layout,
    /// As data; `None`: the shape is another.
    differences: Option<Vec<Metric>>,
}

impl Revision {
    /// What `repeats` an older birth keeps its stale marks, and has more where it says that what is
    /// new is doubted; a birth of the plant has values that are good. `None`: nothing differs.
    pub(super) fn of(
        node: &Node,
        device: Option<&str>,
        mut layout: Layout,
        repeats: Option<bool>,
    ) -> Option<Revision> {
        let current = node.layout_of(device)?;
        if let Some(is_doubted) = repeats {
            layout.keep_stale_marks_of(current, is_doubted);
        }
        layout.keep_numbers_of(current);
        let differences = current.same_shape(&layout).then(|| current.differences(&layout));
        if differences.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        Some(Revision { layout, differences })
    }
}
