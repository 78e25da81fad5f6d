//! One step of the pipeline: what handling one message, tick or reload may touch, and how it
//! writes to the journal.

use account::{Dropped, Ledger, Origin, Reason, RuleId, What};
use policy::{Admitted, AdmittedKind, Limiter, MessageFlags, Permit, Policy};
use sparkplug::{Cap, DecodeError, EntityTopic, Metric, Room};

use super::breath::Breath;
use super::encode::{Birth, DataPayload};
use super::overload::Overload;
use super::{Counters, Entry, Now, PipelineSettings};
use crate::decisions::RecentDrops;
use crate::plant::{EntityState, Fault, GivenLayouts, Node, RefusedMetrics, Slot};
use crate::rule_counters::RuleCounters;
use crate::shadow::Shadow;

/// Where the data of a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataSource {
    /// A message of the plant.
    Plant,
    /// One that the broker delivers again, of a node of which nobody knows yet whether something newer
    /// was missed: it makes no value good.
    Again,
    /// The relay itself, or values that it held back.
    Relay,
    /// Values that it held back since before messages were lost: they make no value good.
    Outdated,
}

/// The parts of the pipeline beside the plant.
pub(super) struct StepContext<'a> {
    pub(super) settings: &'a PipelineSettings,
    pub(super) policy: &'a Policy,
    /// The broker's session is up.
    pub(super) connected: bool,
    pub(super) limiter: &'a mut Limiter,
    pub(super) overload: &'a mut Overload,
    pub(super) rule_counters: &'a RuleCounters,
    pub(super) shadow: Option<&'a Shadow>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) recent_drops: &'a mut RecentDrops,
    pub(super) counters: &'a mut Counters,
    pub(super) structure_changed: &'a mut bool,
    /// Why the message that is handled is refused, where more than a word is known of it.
    pub(super) why: &'a mut Option<DecodeError>,
    /// What was done, in bytes that were read or written.
    pub(super) work: &'a mut u64,
    pub(super) breath: &'a mut Breath,
    pub(super) given: &'a mut GivenLayouts,
    /// What may be remembered of the node that a message is of.
    pub(super) room: Room,
    pub(super) now: Now,
    pub(super) out: &'a mut Vec<Entry>,
}

impl StepContext<'_> {
    /// Journals a birth of the plant, or one made in its place, and gives its layout: `others` metrics
    /// before those that are exported. False: it is larger than what may be relayed, and nothing was
    /// journalled.
    #[must_use]
    pub(super) fn relay_birth(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        permit: Permit,
        birth: Birth,
        synthetic: bool,
    ) -> bool {
        let Birth { payload, others, given_aliases } = birth;
        let limit = self.settings.caps.relayed_bytes();
        if payload.len() > limit {
            *self.why =
                Some(DecodeError::OverCap(Cap::RelayedBytes.exceeded(limit, payload.len())));
            return false;
        }
        self.limiter.charge(self.now.mono, node.queue.buckets.as_ref(), payload.len());
        *self.structure_changed |= synthetic;
        let has_aliases = |state: &EntityState| state.layout.aliases().next().is_some();
        let aliased = node.state(device).is_some_and(has_aliases);
        // An NBIRTH starts anew, so nothing is lost before it.
        let loss_before = device.is_some() && self.take_loss(node, synthetic);
        let bytes = payload.len();
        node.output.spend(bytes);
        if let Some(state) = node.state_mut(device) {
            state.announced_bytes = bytes;
        }
        let layout = node.state_mut(device).map(|state| &mut state.layout);
        let layout = layout.map_or(0, |layout| layout.give(self.given, others, Slot::is_exported));
        let topic = EntityTopic::birth(node.exported(device));
        let shows = |state| shows_what_is_doubted(state, node.losses);
        let outdated = synthetic && node.state(device).is_some_and(shows);
        let flags =
            MessageFlags { aliased, outdated, layout, ..self.flags(loss_before, synthetic) };
        let kind = AdmittedKind::Birth(flags, given_aliases);
        self.admit(permit, topic, payload, node.losses, kind);
        true
    }

    /// Journals a death of the plant, or one made in its place.
    pub(super) fn relay_death(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        timestamp_ms: u64,
        bd_seq: Option<&Metric>,
        withdrawn: Option<&'static str>,
    ) {
        let synthetic = withdrawn.is_some();
        *self.structure_changed |= synthetic;
        let loss_before = self.take_loss(node, synthetic);
        let flags = MessageFlags { withdrawn, ..self.flags(loss_before, synthetic) };
        let (source, entity) = (&self.settings.source, node.exported(device));
        let death = Admitted::death(source, entity, timestamp_ms, bd_seq, node.losses, flags);
        let bytes = death.payload_bytes();
        self.work(bytes);
        self.limiter.charge(self.now.mono, node.queue.buckets.as_ref(), bytes);
        node.output.spend(bytes);
        self.out.push(Entry::Plant(death));
    }

    /// Journals data of the plant, or data that the relay made or held back. `urgent`: a rule of high
    /// priority forwards some of it.
    pub(super) fn relay_data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        permit: Permit,
        payload: DataPayload,
        source: DataSource,
        urgent: bool,
    ) {
        let synthetic = !matches!(source, DataSource::Plant | DataSource::Again);
        let loss_before = self.take_loss(node, synthetic);
        let typed = node.state(device).is_some_and(|state| state.is_typed);
        let outdated = matches!(source, DataSource::Outdated | DataSource::Again);
        let flags = MessageFlags { typed, outdated, urgent, ..self.flags(loss_before, synthetic) };
        // Whoever reads it has it by names.
        let bytes = payload.named_bytes();
        node.output.spend(bytes);
        let (payload, kind) = match payload {
            DataPayload::Named(payload) => (payload, AdmittedKind::Message(flags)),
            DataPayload::Compact { layout, timestamp, metrics, named_bytes } => {
                self.work(named_bytes.saturating_sub(metrics.len()));
                let flags = MessageFlags { layout, ..flags };
                (metrics, AdmittedKind::Data { flags, timestamp })
            }
        };
        let topic = EntityTopic::data(node.exported(device));
        self.admit(permit, topic, payload, node.losses, kind);
    }

    /// Whether the next frame of the node has to say that messages were lost; then it does. What
    /// the relay makes by itself doesn't answer for the plant.
    fn take_loss(&self, node: &mut Node, synthetic: bool) -> bool {
        !synthetic && std::mem::take(&mut node.loss)
    }

    fn flags(&self, loss_before: bool, synthetic: bool) -> MessageFlags {
        let received_ms = self.now.wall_ms;
        MessageFlags {
            received_ms,
            loss_before,
            synthetic,
            aliased: false,
            typed: false,
            outdated: false,
            urgent: false,
            withdrawn: None,
            layout: 0,
        }
    }

    fn admit(
        &mut self,
        permit: Permit,
        topic: EntityTopic<'_>,
        payload: Vec<u8>,
        losses: u64,
        kind: AdmittedKind,
    ) {
        self.work(payload.len());
        let admitted = Admitted::new(permit, &self.settings.source, topic, payload, losses, kind);
        self.out.push(Entry::Plant(admitted));
    }

    /// A stage of a birth is over.
    pub(super) fn breathe(&mut self) {
        self.breath.draw();
    }

    /// So much was done, in bytes that were read or written.
    pub(super) fn work(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        *self.work = self.work.saturating_add(bytes);
    }

    /// Drops something. Every drop goes through here, or is a message's `Fate`.
    pub(super) fn drop(
        &mut self,
        origin: Origin<'_>,
        what: What<'_>,
        reason: Reason,
        rule: Option<RuleId>,
    ) {
        if let (Some(entity), What::Metric(name)) = (origin.entity, what)
            && !name.is_empty()
        {
            self.recent_drops.note(entity, name, (reason, rule), self.now.wall_ms);
        }
        self.ledger.drop(Dropped { origin, what, reason, rule });
    }

    /// Drops a metric that can't be used, or a part of it, and takes note of it for the log.
    pub(super) fn refuse_metric(
        &mut self,
        origin: Origin<'_>,
        name: &str,
        reason: Reason,
        told: &mut RefusedMetrics,
        fault: impl Fn() -> Fault,
    ) {
        self.drop(origin, What::Metric(name), reason, None);
        if self.ledger.wants_fault() {
            let Fault { got, wanted, .. } = fault();
            self.ledger.explain(&got, &wanted);
        }
        told.note(name, reason, fault);
    }
}

/// Whether a birth of the relay's own making shows metrics for the first time that were hidden from
/// readers until now, or waited for it since before a doubt, while it isn't known whether newer values
/// were lost. `losses` are those of the node.
fn shows_what_is_doubted(state: &EntityState, losses: u64) -> bool {
    let is_hidden = |slot: &Slot| slot.is_exported() && !slot.is_born() && !slot.awaits_birth();
    let may_show = || {
        // By this name readers don't know it, or hold it for dead: all of it is new to them.
        !state.life.is_announced()
            || state.awaits_doubted(losses)
            || state.layout.slots.iter().any(is_hidden)
    };
    state.life.is_uncertain() && may_show()
}
