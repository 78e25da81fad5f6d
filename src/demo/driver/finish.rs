//! The end: both sides come to rest, are compared, and the relay is stopped.

use std::time::Duration;

use super::picture::drop_lines;
use super::{Demo, LOOK_EVERY, commands_arrived};
use crate::interrupts::Interrupts;
use crate::plant::Phase;
use crate::summary::{Ending, Summary};
use crate::{DemoError, Outcome, at_rest, screen};

/// How long both sides may take to come to rest at the end.
const REST_WITHIN: Duration = Duration::from_secs(6);
/// The same behind a cable that was cut: what is missing goes again first.
const REST_BEHIND_CABLE_WITHIN: Duration = Duration::from_secs(30);
/// How long the host waits for the deaths that the IT half announces when it stops.
const DEATHS_WITHIN: Duration = Duration::from_secs(3);

impl Demo {
    /// What the cable kept back is there: values that changed meanwhile come with the next keyframe.
    fn is_whole(&self) -> bool {
        self.between.is_none()
            || at_rest::compare(self.plant.nodes(), &self.plant.reports(), &self.enterprise.host())
                .values_wrong
                .is_empty()
    }

    /// Brings both sides to rest, compares them, stops the relay, and sums up.
    pub(crate) async fn finish(
        mut self,
        interrupts: &mut Interrupts,
        say: &mut dyn FnMut(&str),
    ) -> Result<Outcome, DemoError> {
        (self.screen, self.keys) = (None, None);
        if self.is_cut() {
            say("The cable is plugged in again …");
            self.cut(self.clock.elapsed(), false)?;
        }
        say("The plant comes to rest, both sides are compared, and the relay is stopped …");
        let elapsed = self.clock.elapsed().saturating_sub(self.began);
        self.history.freeze();
        let mut hurry = false;
        let mut wait = Duration::ZERO;
        let within = if self.between.is_some() { REST_BEHIND_CABLE_WITHIN } else { REST_WITHIN };
        while self.attempts.pending() && wait < within && !hurry {
            hurry = !interrupts.pause(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
            // The retained command is refused once its node is back.
            self.plant.set_phase(Phase::Running);
            self.look();
        }
        self.plant.set_phase(Phase::Quiet);
        let heartbeats = self.journal.heartbeats;
        wait = Duration::ZERO;
        while wait < within && !hurry {
            hurry = !interrupts.pause(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
            self.look();
            // The second heartbeat from now on knows everything that was published.
            let reported = self.journal.heartbeats >= heartbeats.saturating_add(2);
            if reported
                && self.missing() == 0
                && at_rest::is_at_rest(
                    self.plant.nodes(),
                    &self.plant.reports(),
                    self.enterprise.host().nodes(),
                )
                && self.is_whole()
            {
                break;
            }
        }
        let now = self.clock.elapsed();
        self.measure(now);
        let reports = self.plant.reports();
        let table = screen::table(&self.view(now), false, usize::MAX, screen::columns());
        let at_rest = at_rest::compare(self.plant.nodes(), &reports, &self.enterprise.host());
        let usage = self.usage;
        // The IT half announces the death of every node before it leaves.
        self.attempts.clear_retained(&self.enterprise);
        let it_status = self.it.stop();
        wait = Duration::ZERO;
        while wait < DEATHS_WITHIN && self.enterprise.host().nodes().values().any(|node| node.alive)
        {
            tokio::time::sleep(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
        }
        let ot_status = self.ot.stop();
        self.journal.look();
        let link = self.end_link(REST_WITHIN).await;
        let host = self.enterprise.host();
        let ending = Ending {
            began: self.began,
            elapsed,
            nodes: self.plant.nodes(),
            reports: &reports,
            host: &host,
            at_rest,
            heartbeat: self.journal.heartbeat.as_ref(),
            drops: drop_lines(&self.journal.heartbeat.clone().unwrap_or_default()),
            journal: &self.journal,
            attempts: &self.attempts.all,
            downtimes: &self.downtimes,
            ot_broker: self.ot_broker.witness(),
            commands_arrived: commands_arrived(&self.plant.reports()),
            usage,
            statuses: [ot_status, it_status],
            link,
            confinement: self.workplace.confinement(),
            table,
        };
        let mut summary = Summary::new(&ending);
        drop(host);
        if !summary.passed {
            let ends = self.between.iter().flat_map(|link| [&link.send, &link.receive]);
            for half in [&self.ot, &self.it].into_iter().chain(ends) {
                summary.add_log(half.name, &half.last_log_lines());
            }
            summary.add_place(&self.workplace.keep());
        }
        Ok(Outcome { passed: summary.passed, summary: summary.text })
    }
}
