//! The driver of the demo: sets everything up, follows the script, draws, and brings it to an
//! end that can be judged.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use account::Reason;
use journal_format::Heartbeat;
use text::grouped;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::attempts::{Attempts, Kind};
use super::broker::Broker;
use super::clock::Clock;
use super::enterprise::Enterprise;
use super::host::NodeView;
use super::plant::{MORTAL, Phase, Plant, Reports, Treatment};
use super::relay::{Half, JournalView, Usage, Workplace};
use super::screen::{self, Screen};
use super::summary::{self, Ending, Summary};
use super::view::{Drop as DropLine, HalfView, History, Row, Side, View, counted, percentile};
use super::{DemoError, Options, Outcome};

/// The demo looks around this often; the screen is drawn every so many looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_PER_DRAWING: u64 = 5;
/// Without a terminal there is a line this often.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// The script of a demo without end is that of one of this length; the death is repeated.
const CYCLE: Duration = Duration::from_secs(30);
/// How long the halves may take until they are ready.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How long both sides may take to come to rest at the end.
const REST_WITHIN: Duration = Duration::from_secs(6);
/// How long the host waits for the deaths that the IT half announces when it stops.
const DEATHS_WITHIN: Duration = Duration::from_secs(3);
/// Latencies of late that the screen shows.
const RECENT_LATENCIES: usize = 2_000;

/// The running demo. Fields are dropped in this order: first the terminal is given back, then
/// the halves end, then the brokers.
pub(super) struct Demo {
    screen: Option<Screen>,
    options: Options,
    clock: Clock,
    it: Half,
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
    downs: Vec<Down>,
}

/// One death of the mortal edge node, and how long IT took to show it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Down {
    pub(super) died_at: Option<Duration>,
    pub(super) death_seen_after: Option<Duration>,
    /// The plant's new births.
    born_at: Option<Duration>,
    pub(super) birth_seen_after: Option<Duration>,
}

/// What happens in one cycle, in per cent of its length.
const SCRIPT: [(u32, Act); 5] = [
    (15, Act::Try(Kind::Write)),
    (28, Act::Try(Kind::Rebirth)),
    (40, Act::Die),
    (50, Act::Try(Kind::Retained)),
    (62, Act::Return),
];

#[derive(Clone, Copy)]
enum Act {
    Try(Kind),
    Die,
    Return,
}

impl Demo {
    /// Starts brokers, both halves and the plant, in this order.
    pub(super) async fn set_up(
        options: Options,
        interrupts: &mut Interrupts,
    ) -> Result<Demo, DemoError> {
        let thread = |what| move |source| DemoError::Thread { what, source };
        let clock = Clock::start();
        let ot_broker = Broker::start("OT").map_err(thread("OT broker"))?;
        let it_broker = Broker::start("IT").map_err(thread("IT broker"))?;
        let mut workplace = Workplace::new(ot_broker.address(), it_broker.address())?;
        let enterprise =
            Enterprise::start(it_broker.address(), clock).map_err(thread("IT side"))?;
        let mut ot = workplace.start("ot", clock)?;
        let mut journal = JournalView::open(&workplace.journal())?;
        // The relay listens before the plant speaks: what it can't have heard isn't missing.
        let mut waited = Duration::ZERO;
        while !journal.connected() {
            if !interrupts.pause(LOOK_EVERY).await {
                return Err(DemoError::Interrupted);
            }
            waited = waited.saturating_add(LOOK_EVERY);
            if let Some(status) = ot.ended() {
                let what = format!("the OT half ended: {status}");
                return Err(half_error(&ot, &what, &mut workplace));
            }
            if waited > READY_WITHIN {
                return Err(half_error(&ot, "the OT half doesn't get ready", &mut workplace));
            }
            journal.look();
        }
        let mut it = workplace.start("it", clock)?;
        while !it.new_log_lines().iter().any(|line| line.contains(" it: STARTED ")) {
            if !interrupts.pause(LOOK_EVERY).await {
                return Err(DemoError::Interrupted);
            }
            waited = waited.saturating_add(LOOK_EVERY);
            if let Some(status) = it.ended() {
                let what = format!("the IT half ended: {status}");
                return Err(half_error(&it, &what, &mut workplace));
            }
            if waited > READY_WITHIN {
                return Err(half_error(&it, "the IT half doesn't get ready", &mut workplace));
            }
        }
        let plant = Plant::start(ot_broker.address(), clock).map_err(thread("plant"))?;
        let screen = match options.screen {
            true => Some(Screen::begin(options.colour).map_err(DemoError::Stdout)?),
            false => None,
        };
        Ok(Demo {
            screen,
            options,
            began: clock.now(),
            clock,
            it,
            ot,
            usage: [None, None],
            journal,
            plant,
            enterprise,
            attempts: Attempts::new(),
            history: History::default(),
            ot_broker,
            it_broker,
            workplace,
            downs: Vec::new(),
        })
    }

    /// The demo proper: until its time is over, or a signal comes.
    pub(super) async fn run(
        &mut self,
        interrupts: &mut Interrupts,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), DemoError> {
        let cycle = self.options.run_for.unwrap_or(CYCLE);
        let mut next_act = 0_usize;
        let mut cycle_began = self.clock.now();
        let mut next_line = LINE_EVERY;
        let mut looks = 0_u64;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = interrupts.came() => return Ok(()),
            }
            let now = self.clock.now();
            self.look();
            while let Some((percent, act)) = SCRIPT.get(next_act)
                && now.saturating_sub(cycle_began)
                    >= cycle.saturating_mul(*percent).checked_div(100).unwrap_or_default()
            {
                self.act(*act, now);
                next_act = next_act.saturating_add(1);
            }
            let elapsed = now.saturating_sub(self.began);
            if self.options.run_for.is_some_and(|run_for| elapsed >= run_for) {
                return Ok(());
            }
            if now.saturating_sub(cycle_began) >= cycle {
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
            for half in [&mut self.ot, &mut self.it] {
                if let Some(status) = half.ended() {
                    self.screen = None;
                    let what = format!("the {} half ended: {status}", half.name.to_uppercase());
                    return Err(half_error(half, &what, &mut self.workplace));
                }
            }
        }
    }

    fn act(&mut self, act: Act, now: Duration) {
        match act {
            // Once each: what comes of it stays to be seen.
            Act::Try(kind) if self.attempts.untried(kind) => {
                self.attempts.send(kind, now, self.clock.wall_us(), &self.enterprise);
            }
            Act::Try(_) => {}
            Act::Die => {
                self.downs.push(Down::default());
                self.plant.set_phase(Phase::OneDead);
            }
            Act::Return => self.plant.set_phase(Phase::Running),
        }
    }

    /// Follows journal, logs, attempts, and the death of the mortal node.
    fn look(&mut self) {
        self.journal.look();
        self.ot.new_log_lines();
        let log = self.it.new_log_lines();
        let reports = self.plant.reports();
        let arrived = arrived(&reports);
        self.attempts.look(self.clock.now(), &log, &self.enterprise, arrived);
        let (Some(down), Some(report)) = (self.downs.last_mut(), reports.get(MORTAL)) else {
            return;
        };
        let host = self.enterprise.host();
        let Some(seen) = host.nodes().get(MORTAL) else { return };
        if down.died_at.is_none() && !report.alive {
            down.died_at = report.died_at;
        }
        let Some(died_at) = down.died_at else { return };
        if down.death_seen_after.is_none() && !seen.alive {
            down.death_seen_after = seen.died_at.map(|at| at.saturating_sub(died_at));
        }
        if down.born_at.is_none() && report.alive {
            down.born_at = report.born_at;
        }
        if let Some(born_at) = down.born_at
            && down.birth_seen_after.is_none()
            && seen.alive
        {
            down.birth_seen_after =
                seen.born_at.filter(|at| *at >= died_at).map(|at| at.saturating_sub(born_at));
        }
    }

    fn measure(&mut self, now: Duration) {
        self.usage = [self.ot.usage(now), self.it.usage(now)];
    }

    fn view(&mut self, now: Duration) -> View<'_> {
        let reports = self.plant.reports();
        let host = self.enterprise.host();
        let seen = host.nodes();
        let counts: Vec<u64> = self
            .plant
            .nodes()
            .iter()
            .flat_map(|spec| {
                let plant = reports.get(spec.name).map_or(0, |report| report.data);
                [plant, seen.get(spec.name).map_or(0, |node| node.data)]
            })
            .collect();
        let rates = self.history.rates(now, counts);
        let mut rates = rates.into_iter();
        let mut rows = Vec::new();
        for spec in self.plant.nodes() {
            let (plant_rate, it_rate) = (rates.next().unwrap_or(0.0), rates.next().unwrap_or(0.0));
            let report = reports.get(spec.name).cloned().unwrap_or_default();
            let born = report.born_at.is_some();
            let node = seen.get(spec.name);
            rows.push(Row {
                name: spec.name,
                plant: Side {
                    state: state(born, report.alive),
                    devices: spec.devices.len(),
                    metrics: spec.metrics(),
                    rate: plant_rate,
                    seq: born.then_some(report.seq),
                },
                it: Side {
                    state: state(node.is_some(), node.is_some_and(|node| node.alive)),
                    devices: node.map_or(0, NodeView::devices),
                    metrics: node.map_or(0, NodeView::metrics),
                    rate: it_rate,
                    seq: node.map(|node| node.seq),
                },
                note: note(spec.treatment, node, report.alive),
            });
        }
        let latencies = host.latencies_us(RECENT_LATENCIES);
        let (violations, first_violation) =
            (host.violation_count, host.violations.first().cloned());
        drop(host);
        let heartbeat = self.journal.heartbeat.clone().unwrap_or_default();
        let [ot_usage, it_usage] = self.usage;
        let half = |half: &Half, usage, note| HalfView {
            name: half.name,
            pid: half.pid(),
            usage,
            ended: None,
            note,
        };
        let halves = vec![
            half(
                &self.ot,
                ot_usage,
                format!(
                    "received {}, forwarded {}",
                    grouped(heartbeat.received),
                    grouped(heartbeat.forwarded)
                ),
            ),
            half(&self.it, it_usage, format!("journal: {} frames", grouped(self.journal.frames))),
        ];
        View {
            elapsed: now.saturating_sub(self.began),
            run_for: self.options.run_for,
            ot_broker: self.ot_broker.address(),
            it_broker: self.it_broker.address(),
            rows,
            halves,
            drops: drop_lines(&heartbeat),
            attempts: &self.attempts.all,
            latency: (percentile(&latencies, 50), percentile(&latencies, 99)),
            violations,
            first_violation,
        }
    }

    /// Brings both sides to rest, compares them, stops the relay, and sums up.
    pub(super) async fn finish(
        mut self,
        interrupts: &mut Interrupts,
    ) -> Result<Outcome, DemoError> {
        self.screen = None;
        let elapsed = self.clock.now().saturating_sub(self.began);
        self.history.freeze();
        let mut hurry = false;
        let mut wait = Duration::ZERO;
        while self.attempts.pending() && wait < REST_WITHIN && !hurry {
            hurry = !interrupts.pause(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
            // The retained command is refused once its node is back.
            self.plant.set_phase(Phase::Running);
            self.look();
        }
        self.plant.set_phase(Phase::Quiet);
        let heartbeats = self.journal.heartbeats;
        wait = Duration::ZERO;
        while wait < REST_WITHIN && !hurry {
            hurry = !interrupts.pause(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
            self.look();
            // The second heartbeat from now on knows everything that was published.
            let reported = self.journal.heartbeats >= heartbeats.saturating_add(2);
            if reported
                && summary::at_rest(
                    self.plant.nodes(),
                    &self.plant.reports(),
                    self.enterprise.host().nodes(),
                )
            {
                break;
            }
        }
        let now = self.clock.now();
        self.measure(now);
        let reports = self.plant.reports();
        let table = screen::table(&self.view(now), false, usize::MAX);
        let at_rest = summary::compare(self.plant.nodes(), &reports, &self.enterprise.host());
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
            downs: &self.downs,
            ot_broker: self.ot_broker.witness(),
            commands_arrived: arrived(&self.plant.reports()),
            usage,
            statuses: [ot_status, it_status],
            confinement: self.workplace.confinement(),
            table,
        };
        let mut summary = Summary::new(&ending);
        drop(host);
        if !summary.passed {
            for half in [&self.ot, &self.it] {
                summary.add_log(half.name, &half.last_log_lines());
            }
            summary.add_place(&self.workplace.keep());
        }
        Ok(Outcome { passed: summary.passed, summary: summary.text })
    }
}

fn note(treatment: Treatment, node: Option<&NodeView>, alive: bool) -> String {
    match (treatment, node) {
        (Treatment::Denied, None) => "denied".into(),
        (Treatment::Denied, Some(_)) => "LEAKED".into(),
        (Treatment::Limited, _) => "rate-limited".into(),
        (Treatment::Forwarded, Some(node)) if node.rebirths > 0 => {
            counted(node.rebirths, "rebirth")
        }
        (Treatment::Forwarded, Some(node)) if node.deaths > 0 && alive => {
            format!("back, bdSeq {}", node.bd_seq.unwrap_or_default())
        }
        _ => String::new(),
    }
}

fn state(known: bool, alive: bool) -> &'static str {
    match (known, alive) {
        (false, _) => "–",
        (true, true) => "alive",
        (true, false) => "dead",
    }
}

fn arrived(reports: &Reports) -> u64 {
    reports.values().fold(0, |sum, report| sum.saturating_add(report.commands))
}

/// The OT half's own account of what it dropped, most first.
fn drop_lines(heartbeat: &Heartbeat) -> Vec<DropLine> {
    let meanings: BTreeMap<&str, &'static str> =
        Reason::ALL.iter().map(|reason| (reason.name(), reason.meaning())).collect();
    let mut lines: Vec<DropLine> = heartbeat
        .dropped
        .iter()
        .filter(|dropped| dropped.messages > 0 || dropped.metrics > 0)
        .map(|dropped| DropLine {
            reason: dropped.reason.clone(),
            messages: dropped.messages,
            metrics: dropped.metrics,
            meaning: meanings.get(dropped.reason.as_str()).copied().unwrap_or_default(),
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.messages, line.metrics)));
    lines
}

fn half_error(half: &Half, what: &str, workplace: &mut Workplace) -> DemoError {
    let mut log = half.last_log_lines();
    log.push(workplace.keep());
    DemoError::Half { what: what.to_owned(), log: log.join("\n") }
}

/// SIGINT, SIGTERM and SIGHUP: the demo ends in order, with its summary.
pub(super) struct Interrupts {
    signals: [Signal; 3],
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Interrupts> {
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Interrupts { signals })
    }

    async fn came(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }

    /// Waits; false if a signal came instead.
    async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.came() => false,
        }
    }
}
