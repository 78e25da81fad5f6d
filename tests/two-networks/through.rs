//! The whole relay over a link, from edge nodes at the plant's broker to hosts at the office's, and the
//! judgement at its end: what IT shows, what it was told and how, and what is missing for good.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal_format::Body;
use journal_read::{From, Item, Reader, compare};
use peers::broker::Broker;
use peers::checker::{Excuse, errors};
use peers::srad_host::SradHost;
use peers::waiting::{DEADLINE, holds_within};
use peers::wire::{Proxy, ot_guard};

use crate::ends::{End, Files, Options};
use crate::halves::Way;
use crate::line::{Line, metrics_at};
use crate::network::Network;
use crate::shown::{Shown, counter_in, number_of};

/// Births are said again after so long while nobody has seen them: whoever listens for them may have
/// begun later.
const BORN_AGAIN: Duration = Duration::from_secs(2);
/// What is said so shortly before a cut or the end of one may cross by what repairs it.
const EDGE_OF_OUTAGE: Duration = Duration::from_millis(600);
/// How often it is looked whether all is at rest.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Violations that are told.
const MOST_TOLD: usize = 5;

/// A relay that runs, with everything around it.
pub struct Through {
    pub network: Arc<Network>,
    pub files: Arc<Files>,
    line: Line,
    way: Way,
    shown: Shown,
    ot: End,
    it: End,
    /// What both halves say is recorded, and an independent host follows.
    judges: Option<Judges>,
    _brokers: [Broker; 2],
}

struct Judges {
    ot: Proxy,
    it: Proxy,
    host: SradHost,
}

/// What is true at the end.
#[derive(Debug, Default)]
pub struct Judged {
    /// What IT shows at rest and isn't so, and who must not be dead or alive.
    pub differences: Vec<String>,
    /// Rules that are broken in what was recorded on IT and on OT, and what the independent host lacks.
    pub violations: Vec<String>,
    /// Numbers that the plant said in data.
    pub said: u64,
    /// Of these: on IT as history and not before; live twice; again as history, since it wasn't sure that the
    /// broker had it when its edge node's session ended; neither in data nor in a birth.
    pub late: u64,
    pub twice: u64,
    pub again: u64,
    pub missing: u64,
    /// Of edge nodes that left for good: what the IT half has, and says once they are born again.
    pub waiting: u64,
    /// Missing ones whose frame isn't among those that the link has lost for good: nobody has counted them.
    pub uncounted: Vec<String>,
    /// Messages that the IT half has dropped by its own account, and frames it had no place for.
    pub it_dropped: u64,
    /// Frames that the link has lost for good: by both journals, and by the receiving end's account.
    pub lost_frames: u64,
    pub told_frames: u64,
    pub came_back: u64,
    /// What the receiving side's firewall had to stop.
    pub stopped: u64,
    /// From the plant to IT, of what came live, ascending.
    pub delays_ms: Vec<f64>,
}

/// What became of what was said while the cable was out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outage {
    pub said: u64,
    pub as_history: u64,
    /// From the cable's return until every entity has shown something live.
    pub live_after_s: f64,
}

impl Through {
    /// Brokers and both halves, with so many edge nodes that aren't born yet. The ends of the link are the
    /// caller's. `None`: there is no broker to be had.
    pub fn start(
        binary: &Path,
        network: Arc<Network>,
        paths: usize,
        options: &Options,
        way: Way,
        (edges, is_judged): (usize, bool),
    ) -> Option<Through> {
        let files = Arc::new(Files::new(binary, &network, paths, options));
        let plant = network.in_plant(Broker::plain)?;
        let office = network.in_office(Broker::plain)?;
        let judges = is_judged.then(|| Judges {
            ot: network.in_plant(|| Proxy::start(plant.address)),
            it: network.in_office(|| Proxy::start(office.address)),
            host: network.in_office(|| SradHost::start(office.address, "host")),
        });
        let addresses = match &judges {
            Some(judges) => (judges.ot.address, judges.it.address),
            None => (plant.address, office.address),
        };
        files.add_halves(way, addresses.0, addresses.1);
        let shown = network.in_office(|| Shown::start(office.address));
        let (ot, it) = (files.start_ot(&network), files.start_it(&network));
        let line = network.in_plant(|| Line::connect(plant.address, edges));
        let _brokers = [plant, office];
        Some(Through { network, files, line, way, shown, ot, it, judges, _brokers })
    }

    /// The edge nodes are born, and on IT.
    pub fn be_born(&mut self) {
        let Through { network, line, shown, .. } = self;
        let born = holds_within(DEADLINE, || {
            network.in_plant(|| line.be_born());
            holds_within(BORN_AGAIN, || {
                shown.look();
                shown.has_births(line)
            })
        });
        assert!(born, "no births on IT: {}", self.told());
        if self.judges.is_some() {
            network.in_plant(|| line.join_srad());
            let born = holds_within(DEADLINE, || {
                shown.look();
                shown.has_births(line)
            });
            assert!(born, "the birth of srad's edge node isn't on IT: {}", self.told());
        }
    }

    fn told(&self) -> String {
        let log = |name| format!("--- {name}\n{}", self.files.log(name));
        ["ot", "send", "receive", "it"].map(log).concat()
    }

    /// The plant speaks: so many messages, `per_s` a second; see [`Line::speak`].
    pub fn speak(&mut self, messages: u64, per_s: u64, restless: bool) {
        let Through { network, line, .. } = self;
        network.in_plant(|| line.speak(messages, per_s, restless));
    }

    /// Waits until IT shows what the plant is, and then, if `wants_all`, until every number has come, for
    /// so long in all; when each of both was so, in seconds.
    pub fn come_to_rest(
        &mut self,
        within: Duration,
        wants_all: bool,
    ) -> (Option<f64>, Option<f64>) {
        let begin = Instant::now();
        let (mut rest, mut complete) = (None, None);
        loop {
            self.shown.look();
            let elapsed = begin.elapsed().as_secs_f64();
            if rest.is_none() && self.shown.differences(&self.line).is_empty() {
                rest = Some(elapsed);
            }
            if complete.is_none() && self.is_complete() {
                complete = Some(elapsed);
            }
            let is_done = rest.is_some() && (complete.is_some() || !wants_all);
            if is_done || begin.elapsed() > within {
                return (rest, complete);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn is_complete(&self) -> bool {
        let mut alive = self.line.entities.iter().filter(|(_, entity)| entity.is_alive);
        alive.all(|(name, entity)| {
            let heard = self.shown.heard(name);
            heard.len() >= entity.said.len() && heard.iter().all(|heard| heard.first().is_some())
        })
    }

    /// What became of what was said while the cable was out.
    pub fn outage(&self, cut: Instant, mended: Instant) -> Outage {
        let mut outage = Outage::default();
        let within = cut + EDGE_OF_OUTAGE..mended - EDGE_OF_OUTAGE;
        for (name, entity) in self.line.entities.iter().filter(|(_, entity)| entity.is_alive) {
            let heard = self.shown.heard(name);
            for (said, heard) in entity.said.iter().zip(heard) {
                if within.contains(said) {
                    outage.said += 1;
                    outage.as_history += u64::from(heard.history.is_some());
                }
            }
            let live = heard.iter().filter_map(|heard| heard.live);
            let back = live.filter(|live| *live > mended).min();
            let after = back.map_or(f64::INFINITY, |back| (back - mended).as_secs_f64());
            outage.live_after_s = outage.live_after_s.max(after);
        }
        outage
    }

    /// Ends both halves and judges; the ends of the link have ended.
    pub fn judge(mut self) -> Judged {
        self.shown.look();
        let mut judged = Judged {
            differences: self.shown.differences(&self.line),
            said: self.line.messages(),
            came_back: self.network.came_back(),
            stopped: self.network.stopped(),
            ..Judged::default()
        };
        if let Some(judges) = &self.judges {
            judged.violations = self.host_lacks(&judges.host);
        }
        self.it.terminate();
        self.ot.terminate();
        if let Some(judges) = &self.judges {
            let it = errors(&judges.it.records(), Excuse::default());
            let all = it.iter().map(ToString::to_string).chain(ot_guard(&judges.ot.records()));
            judged.violations.extend(all);
        }
        let more = judged.violations.len().saturating_sub(MOST_TOLD);
        judged.violations.truncate(MOST_TOLD);
        if more > 0 {
            judged.violations.push(format!("and {more} more"));
        }
        let crossed = crossed(&self.files, self.way);
        judged.it_dropped = it_dropped(&self.files);
        if self.way == Way::Link {
            let (plants, offices) = (self.files.path("journal"), self.files.path("received"));
            let comparison = compare(&plants, &offices).unwrap();
            judged.lost_frames = comparison.missing_in_other.frames;
            let told = self.files.status("receive", "/receive/frames_missing");
            judged.told_frames = told.as_u64().unwrap_or(0);
        }
        for (name, entity) in &self.line.entities {
            let heard = self.shown.heard(name);
            // Births say the first ones.
            for (number, said) in entity.said.iter().enumerate().skip(1) {
                let heard = heard.get(number).cloned().unwrap_or_default();
                judged.twice += u64::from(heard.times_live > 1);
                let is_again = heard.times_live.min(1) + heard.times_history > 1;
                judged.again += u64::from(is_again);
                if let Some(live) = heard.live {
                    judged.delays_ms.push((live - *said).as_secs_f64() * 1e3);
                } else if heard.birth.is_none() && heard.history.is_some() {
                    judged.late += 1;
                } else if heard.first().is_none() {
                    let crossed = crossed.get(&(name.clone(), number));
                    if !entity.is_alive && crossed == Some(&true) {
                        judged.waiting += 1;
                        continue;
                    }
                    judged.missing += 1;
                    match crossed {
                        Some(false) => {}
                        Some(true) => {
                            judged.uncounted.push(format!("{name} {number}: on IT's disk"))
                        }
                        None => {
                            judged.uncounted.push(format!("{name} {number}: not in OT's journal"))
                        }
                    }
                }
            }
        }
        judged.delays_ms.sort_by(f64::total_cmp);
        judged
    }

    /// What the independent host doesn't know at rest, or didn't understand.
    fn host_lacks(&self, host: &SradHost) -> Vec<String> {
        let mut lacks = host.unknown();
        for (name, entity) in self.line.entities.iter().filter(|(_, entity)| entity.is_alive) {
            let last = entity.said.len() - 1;
            let counter = &metrics_at(name, u32::try_from(last).unwrap())[0];
            let known = host.live(name, counter.name()).last().copied();
            if known != number_of(counter).map(|number| number as u64) {
                lacks.push(format!("srad's host: {name} is at {last}, it knows {known:?}"));
            }
        }
        lacks
    }
}

fn it_dropped(files: &Files) -> u64 {
    let number = |place| files.status("it", place).as_u64().unwrap_or(0);
    number("/account/dropped") + number("/it/unplaceable")
}

/// Numbers that are in the OT half's journal, by entity; whether the IT half's has their frame.
fn crossed(files: &Files, way: Way) -> HashMap<(String, usize), bool> {
    let mut here = HashSet::new();
    if way == Way::Link {
        read(&files.path("received"), |seq, _| {
            here.insert(seq);
        });
    }
    let mut crossed = HashMap::new();
    read(&files.path("journal"), |seq, body| {
        let Some(Body::Relayed(relayed)) = body else { return };
        let levels: Vec<&str> = relayed.topic.split('/').collect();
        let entity = match levels[..] {
            [_, group, _, node] => format!("{group}/{node}"),
            [_, group, _, node, device] => format!("{group}/{node}/{device}"),
            _ => return,
        };
        if let Some(number) = counter_in(&relayed.payload) {
            *crossed.entry((entity, number)).or_default() |=
                way == Way::Disk || here.contains(&seq);
        }
    });
    crossed
}

fn read(journal: &Path, mut take: impl FnMut(u64, Option<Body>)) {
    let mut reader = Reader::open(journal, From::Oldest).unwrap();
    while let Some(item) = reader.next_settled().unwrap() {
        match item {
            Item::Frame(frame) | Item::Late(frame) => take(frame.seq, frame.body),
            Item::Lost(_) => {}
        }
    }
}
