//! The names under which things cross. Everything in this half goes by the names of the plant;
//! what is journalled goes by those that the policy gives, and no two things ever share one.

use std::collections::HashMap;

use account::{Fate, Reason, RuleId};
use foldhash::fast::RandomState;
use mistake::mistake;
use policy::{Verdict, fold, is_reserved};
use sparkplug::{Entity, steps};

use crate::pipeline::step::StepContext;
use crate::plant::{Definitions, EntityState, Node, Slot};

/// What a metric is called on IT, where that isn't its own name.
type ExportedName = Option<Box<str>>;

impl StepContext<'_> {
    /// Whether the policy gives the names of `entity`, or of what it is part of, to something
    /// else.
    pub(in crate::pipeline) fn collides(&self, entity: Entity<'_>) -> bool {
        self.policy.renames().exported(entity).is_err()
    }

    /// Takes over the names under which a node is announced from now on. It must not be known
    /// under others.
    pub(in crate::pipeline) fn name_node(&self, node: &mut Node) {
        let exported = self.node_names(node);
        if node.exported_as != exported {
            node.exported_as = exported;
            // The layouts that the journal was given are of other topics.
            node.own.layout.take_back();
            node.devices.values_mut().for_each(|state| state.layout.take_back());
        }
    }

    /// The same for a device.
    pub(in crate::pipeline) fn name_device(&self, node: &mut Node, device: &str) {
        let exported = self.device_name(node, device);
        if let Some(state) = node.devices.get_mut(device)
            && state.exported_as != exported
        {
            state.exported_as = exported;
            state.layout.take_back();
        }
    }

    /// Buries what is announced under names that the policy doesn't give it any more. Whoever
    /// announces anything under another name does this for all nodes first: the names of two
    /// could have been exchanged.
    pub(in crate::pipeline) fn bury_renamed(&mut self, node: &mut Node) {
        if !node.own.life.is_announced() {
            return;
        }
        if self.collides(node.entity()) || node.exported_as != self.node_names(node) {
            self.bury_node(node, Fate::Dropped(Reason::NoRule));
            return;
        }
        let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
        for device in devices {
            let exported_as = node.devices.get(&device).and_then(|state| state.exported_as.clone());
            let entity = Entity { device: Some(&device), ..node.entity() };
            if self.collides(entity) || exported_as != self.device_name(node, &device) {
                self.bury_device(node, &device, Fate::Dropped(Reason::NoRule));
            }
        }
    }

    /// Whether something of a node is announced under a name that the policy doesn't give it any
    /// more.
    pub(in crate::pipeline) fn is_renamed(&self, node: &Node) -> bool {
        if !node.own.life.is_announced() {
            return false;
        }
        if self.collides(node.entity()) || node.exported_as != self.node_names(node) {
            return true;
        }
        node.devices.iter().any(|(device, state)| {
            let entity = Entity { device: Some(device), ..node.entity() };
            self.collides(entity) || state.exported_as != self.device_name(node, device)
        })
    }

    fn node_names(&self, node: &Node) -> Option<(Box<str>, Box<str>)> {
        let own = node.entity();
        let exported = self.policy.renames().exported(own).ok()?;
        (exported != own).then(|| (exported.group.into(), exported.edge_node.into()))
    }

    fn device_name(&self, node: &Node, device: &str) -> ExportedName {
        let exported =
            self.policy.renames().exported(Entity { device: Some(device), ..node.entity() });
        exported.ok()?.device.filter(|exported| *exported != device).map(Box::from)
    }

    /// Gives the metrics of an entity their names on IT, and refuses those whose name is another
    /// one's. The outcome doesn't depend on the order of the metrics: a renamed metric goes
    /// before one that has its name by itself, and of two renamed ones the first by its own
    /// name. `definitions` are those of the node, where the entity is one.
    pub(in crate::pipeline) fn name_metrics(
        &self,
        entity: Entity<'_>,
        definitions: Option<&Definitions>,
        state: &mut EntityState,
    ) {
        state.layout.forget_exported();
        let slots = &mut state.layout.slots;
        steps::take(slots.len());
        if self.collides(entity) {
            for slot in slots.iter_mut().filter(|slot| slot.is_exported()) {
                slot.refuse(Reason::NameCollision, None);
            }
        }
        let exported: Vec<ExportedName> = match self.policy.renames_metrics() {
            true => slots.iter().map(|slot| self.name_of(slot)).collect(),
            false => Vec::new(),
        };
        let mut claims: HashMap<String, usize, RandomState> = HashMap::default();
        let mut renamed: Vec<usize> = Vec::new();
        renamed.extend(
            exported
                .iter()
                .enumerate()
                .filter(|(_, exported)| exported.is_some())
                .map(|(at, _)| at),
        );
        renamed.sort_unstable_by(|left, right| {
            let name = |at: &usize| slots.get(*at).map(Slot::name);
            name(left).cmp(&name(right))
        });
        let mut refused = Vec::new();
        for place in renamed {
            let Some(Some(exported)) = exported.get(place) else { continue };
            let taken = definitions.is_some_and(|definitions| definitions.contains(exported));
            if is_reserved(exported) || taken || claims.contains_key(&fold(exported)) {
                refused.push(place);
            } else {
                claims.insert(fold(exported), place);
            }
        }
        if !claims.is_empty() {
            let own = slots.iter().enumerate().filter(|(place, slot)| {
                slot.is_exported()
                    && exported.get(*place).is_some_and(Option::is_none)
                    && claims.contains_key(&fold(slot.name()))
            });
            refused.extend(own.map(|(place, _)| place));
        }
        for place in refused {
            let Some(slot) = slots.get_mut(place) else {
                mistake!("a refused name without a slot");
                continue;
            };
            if let Verdict::Forward { rule, .. } | Verdict::Redact { rule, .. } = slot.verdict() {
                slot.refuse(Reason::NameCollision, Some(rule));
            }
        }
        for (place, slot) in slots.iter_mut().enumerate() {
            let exported = exported.get(place).cloned().flatten();
            if slot.exported_as != exported {
                slot.exported_as = exported;
                // Readers know it under another name, which is as good as not at all.
                slot.set_born(false);
                // It gets another place, and with it the layout another number.
                slot.set_place(None);
            }
        }
    }

    /// The name on IT of a metric that is born late, if it is nobody else's.
    ///
    /// # Errors
    /// It is.
    pub(in crate::pipeline) fn name_late(
        &self,
        state: &mut EntityState,
        definitions: Option<&Definitions>,
        name: &str,
        rule: RuleId,
    ) -> Result<ExportedName, Reason> {
        if !self.policy.renames_metrics() {
            return Ok(None);
        }
        let exported = self.exported_by(rule, name);
        let shown = fold(exported.as_deref().unwrap_or(name));
        let own = exported.as_deref();
        let taken = own.is_some_and(|exported| {
            is_reserved(exported) || definitions.is_some_and(|known| known.contains(exported))
        });
        match taken || state.layout.exports(&shown, name, exported.is_some()) {
            true => Err(Reason::NameCollision),
            false => Ok(exported),
        }
    }

    fn name_of(&self, slot: &Slot) -> ExportedName {
        match slot.verdict() {
            Verdict::Forward { rule, .. } | Verdict::Redact { forward: rule, .. } => {
                self.exported_by(rule, slot.name())
            }
            Verdict::Drop { .. } => None,
        }
    }

    fn exported_by(&self, rule: RuleId, name: &str) -> ExportedName {
        let prefixes = self.policy.rule(rule)?.prefixes()?;
        let exported = prefixes.exported_name(name);
        (exported != name).then(|| exported.into())
    }
}
