//! The IT half and its broker: starts, kills, sessions.

use std::sync::Arc;
use std::time::Duration;

use it::FirstStart;
use it::mirror::{DataDatatypes, MirrorSettings, OnGap, Outgoing, Qos};
use sparkplug::{Budget, Caps};

use super::{Back, World, show};
use crate::sim::faults::Fault;

/// The edge node of which those of the plant are devices.
pub const FOLDED: &str = "folded";

impl World {
    pub(super) fn start_it(&mut self) {
        let policy = self.policy(self.ot_policy);
        let with_copy = self.config.copy;
        *self.it_policy.lock().expect("the policy") = policy.clone();
        let from = Arc::clone(&self.it_policy);
        let load: it::PolicyLoader =
            Box::new(move || Ok(from.lock().expect("the policy").clone().into()));
        let settings = it::testing::HalfSettings {
            journal_dir: self.journal_dir(),
            state_dir: self.dir.path().join("it"),
            mirror: MirrorSettings {
                stale_after: Duration::from_secs(10),
                on_gap: if self.config.dies_on_gap { OnGap::Death } else { OnGap::Mark },
                rebirth_min_interval: Duration::from_secs(1),
                primary_host: None,
                confirm_every: Duration::from_secs(2),
                data_datatypes: DataDatatypes::AsPlant,
                aliases: self.config.aliases,
                fold: self.config.folds.then(|| FOLDED.into()),
                compress_births_above: self.config.compresses.then_some(200),
                data_qos: match self.config.assured_on_it {
                    true => Qos::AtLeastOnce,
                    false => Qos::AtMostOnce,
                },
                max_nodes: 10,
                max_devices_per_node: 10,
                budget: Budget::UNLIMITED,
                backfill: self.config.backfill,
                caps: Caps::DEFAULT,
            },
            first_start: match self.config.first_newest {
                true => FirstStart::Newest,
                false => FirstStart::Oldest,
            },
            policy: with_copy.then_some((policy, load)),
        };
        let mut half = it::testing::Half::start(settings).expect("the IT half starts");
        if self.fault == Some(Fault::SkipsFrames) {
            half.skip(4);
        }
        self.it = Some(half);
        self.note(|| "IT half starts".into());
    }

    pub fn kill_it(&mut self, away_ms: u64) {
        if self.it.is_some() {
            self.it_gone();
            self.it_broker.half_gone(&mut self.host);
            self.come_back(Back::It, away_ms);
        }
    }

    pub(super) fn it_gone(&mut self) -> Option<it::testing::Half> {
        let half = self.it.take()?;
        self.dropped_on_it.add(half.mirror().account());
        let tally = half.mirror().tally();
        self.dropped_on_it.frames += tally.unplaceable + tally.frames_lost;
        Some(half)
    }

    /// It ends within some steps.
    pub fn stop_it(&mut self, away_ms: u64) {
        if let Some(half) = &mut self.it {
            half.ask_to_stop();
            self.come_back(Back::It, 6_000 + away_ms);
        }
    }

    pub(super) fn it_turn(&mut self) {
        self.it_broker.tick(self.now.mono, &mut self.host);
        for _ in 0..8 {
            let Some(half) = &mut self.it else { return };
            for (node, event) in self.it_broker.take_events() {
                half.happened(node, event);
            }
            let is_last = half.turn();
            let mut asked = half.asked();
            if let Some(fault) = self.fault {
                fault.on_outgoing(&mut asked);
            }
            let is_idle = asked.is_empty();
            for outgoing in asked {
                if self.trace
                    && let Outgoing::Publish { topic, payload, .. } = &outgoing
                {
                    let at = self.now.mono.as_secs_f64();
                    println!("{at:>10.3}     IT says {topic} {}", show(payload));
                }
                self.it_broker.carry_out(outgoing, &mut self.host, self.now.wall_ms);
            }
            if is_last {
                if let Some(half) = self.it_gone() {
                    // A disk that refuses is allowed to.
                    let _ = half.finish();
                }
                self.it_broker.half_gone(&mut self.host);
                return;
            }
            if is_idle {
                break;
            }
        }
        let ends = self.random.chance(self.config.state_pace);
        if let Some(half) = &mut self.it {
            while ends && half.write_state() {}
        }
    }

    pub fn break_it_broker(&mut self, away_ms: u64, cut: bool) {
        self.it_broker.is_away = true;
        self.it_broker.lose_all(&mut self.host);
        if !cut {
            self.host.lose_sight();
        }
        self.come_back(Back::ItBroker, away_ms);
    }
}
