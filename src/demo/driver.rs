//! The driver of the demo: follows the script, looks around, and draws.
//!
//! | module | what it is |
//! |---|---|
//! | `set_up` | the beginning: everything is started |
//! | `picture` | what the screen shows of a moment |
//! | `between` | with two boxes: both ends of the link, and the cable |
//! | `finish` | the end: everything comes to rest and is judged |

mod between;
mod finish;
mod picture;
mod set_up;

use std::time::Duration;

use between::Between;
pub(super) use between::LinkEnding;
use clock::Clock;
use tokio::time::{MissedTickBehavior, interval};

use super::attempts::{Attempts, Kind};
use super::broker::Broker;
use super::downtime::Downtime;
use super::enterprise::Enterprise;
use super::interrupts::Interrupts;
use super::keys::Keys;
use super::plant::{MORTAL, Phase, Plant, Reports};
use super::relay::{Half, JournalView, Usage, Workplace};
use super::screen::{self, Screen};
use super::view::History;
use super::{DemoError, Options};

/// The demo looks around this often; the screen is drawn every so many looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_PER_DRAWING: u64 = 5;
/// Without a terminal there is a line this often.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// The script of a demo without end is that of one of this length; the death is repeated.
const CYCLE: Duration = Duration::from_secs(30);

/// The key that cuts the cable between two boxes, and plugs it in again.
const CABLE_KEY: char = 'c';

/// The running demo. Fields are dropped in this order: first the terminal is given back, then
/// the halves end, then the brokers.
pub(super) struct Demo {
    screen: Option<Screen>,
    keys: Option<Keys>,
    options: Options,
    clock: Clock,
    it: Half,
    between: Option<Between>,
    ot: Half,
    usage: [Option<Usage>; 2],
    journal: JournalView,
    plant: Plant,
    enterprise: Enterprise,
    attempts: Attempts,
    history: History,
    ot_broker: Broker,
    it_broker: Broker,
    workplace: Workplace,
    /// The demo proper began then.
    began: Duration,
    downtimes: Vec<Downtime>,
}

/// What happens in one cycle, in per cent of its length.
const SCRIPT: [(u32, Act); 7] = [
    (15, Act::Try(Kind::Write)),
    (28, Act::Try(Kind::Rebirth)),
    (40, Act::Die),
    (50, Act::Try(Kind::Retained)),
    (62, Act::Return),
    (70, Act::Cut),
    (86, Act::Plug),
];

#[derive(Clone, Copy)]
enum Act {
    Try(Kind),
    Die,
    Return,
    /// Between two boxes, where nobody has a key for it.
    Cut,
    Plug,
}

impl Demo {
    /// The demo proper: until its time is over, or a signal comes.
    pub(super) async fn run(
        &mut self,
        interrupts: &mut Interrupts,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), DemoError> {
        let cycle = self.options.run_for.unwrap_or(CYCLE);
        let mut next_act = 0_usize;
        let mut cycle_began = self.clock.elapsed();
        let mut next_line = LINE_EVERY;
        let mut looks = 0_u64;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = interrupts.came() => return Ok(()),
            }
            let now = self.clock.elapsed();
            self.look();
            self.follow_keys(now)?;
            while let Some((percent, act)) = SCRIPT.get(next_act)
                && now.saturating_sub(cycle_began)
                    >= cycle.saturating_mul(*percent).checked_div(100).unwrap_or_default()
                // While IT sees nothing, there is nothing to show.
                && (!self.is_blind(now) || matches!(act, Act::Plug))
            {
                self.act(*act, now)?;
                next_act = next_act.saturating_add(1);
            }
            let elapsed = now.saturating_sub(self.began);
            if self.options.run_for.is_some_and(|run_for| elapsed >= run_for) {
                return Ok(());
            }
            if now.saturating_sub(cycle_began) >= cycle && next_act >= SCRIPT.len() {
                cycle_began = now;
                next_act = 0;
            }
            if looks.is_multiple_of(LOOKS_PER_DRAWING) {
                self.measure(now);
                let screen = self.screen.take();
                let view = self.view(now);
                match &screen {
                    Some(screen) => screen.draw(&view),
                    None if elapsed >= next_line => {
                        next_line = next_line.saturating_add(LINE_EVERY);
                        say(&screen::progress(&view));
                    }
                    None => {}
                }
                self.screen = screen;
            }
            looks = looks.wrapping_add(1);
            let ends = self.between.iter_mut().flat_map(|link| [&mut link.send, &mut link.receive]);
            for half in [&mut self.ot, &mut self.it].into_iter().chain(ends) {
                if let Some(status) = half.ended() {
                    (self.screen, self.keys) = (None, None);
                    let what = format!("`sparkdiode {}` ended: {status}", half.name);
                    return Err(self.workplace.error_of(half, &what));
                }
            }
        }
    }

    /// Does what was asked for by keys.
    fn follow_keys(&mut self, now: Duration) -> Result<(), DemoError> {
        while let Some(key) = self.keys.as_mut().and_then(Keys::next) {
            if key == CABLE_KEY {
                let is_cut = self.is_cut();
                self.cut(now, !is_cut)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, act: Act, now: Duration) -> Result<(), DemoError> {
        match act {
            // Once each: what comes of it stays to be seen.
            Act::Try(kind) if self.attempts.untried(kind) => {
                self.attempts.send(kind, now, clock::wall_us(), &self.enterprise);
            }
            Act::Try(_) => {}
            Act::Die => {
                self.downtimes.push(Downtime::default());
                self.plant.set_phase(Phase::OneDead);
            }
            Act::Return => self.plant.set_phase(Phase::Running),
            Act::Cut if self.keys.is_none() => self.cut(now, true)?,
            Act::Plug if self.keys.is_none() => self.cut(now, false)?,
            Act::Cut | Act::Plug => {}
        }
        Ok(())
    }

    /// Follows journal, logs, attempts, and the death of the mortal node.
    fn look(&mut self) {
        self.journal.look();
        self.ot.new_log_lines();
        if let Some(between) = &mut self.between {
            between.look();
        }
        let log = self.it.new_log_lines();
        let reports = self.plant.reports();
        let arrived = commands_arrived(&reports);
        self.attempts.look(self.clock.elapsed(), &log, &self.enterprise, arrived);
        if let (Some(downtime), Some(report)) = (self.downtimes.last_mut(), reports.get(MORTAL))
            && let Some(seen) = self.enterprise.host().nodes().get(MORTAL)
        {
            downtime.follow(report, seen);
        }
    }

    fn measure(&mut self, now: Duration) {
        self.usage = [self.ot.usage(now), self.it.usage(now)];
        if let Some(between) = &mut self.between {
            between.measure(now);
        }
    }
}

/// Commands that arrived in the plant.
fn commands_arrived(reports: &Reports) -> u64 {
    reports.values().fold(0, |sum, report| sum.saturating_add(report.commands))
}
